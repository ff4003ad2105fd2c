/**
 * This host's addresses, which come and go: who is not at the first of its connection's addresses
 * that is there goes there (RFC 4555 §3.5).
 */
import type { Connection } from '../../policy/connection.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { isUnderWay } from '../sa/state.js';

export class Relocation {
  #present: ReadonlySet<string> = new Set();

  /** These are there from now on. */
  know(present: readonly string[]): void {
    this.#present = new Set(present);
  }

  /** Our addresses of a connection that are there, in their order; none may be. */
  addressesOf({ local }: Connection): readonly string[] {
    return [local.address, ...local.alternatives].filter((address) => this.#present.has(address));
  }

  /** The address that an IKE SA of ours has to go to; undefined where it may, or must, stay. */
  destinationOf(sa: IkeSa): string | undefined {
    if (sa.place.mobility !== 'mover' && !isUnderWay(sa.state)) return undefined;
    const [address] = this.addressesOf(sa.connection!);
    return address === sa.local.address ? undefined : address;
  }
}
