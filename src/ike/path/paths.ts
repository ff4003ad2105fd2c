/**
 * The ways between which the mover of a MOBIKE SA may choose, when its peer does not answer (RFC 4555
 * §3.5, §3.10): from each of our addresses that is there to each that the peer has told of.
 */
import type { Endpoint } from '../../sad/sad.js';
import { sameEndpoint } from '../../sad/sad.js';
import { formatAddress, NOTIFY, type Payload } from '../../wire/index.js';
import { hasNotify, notifiesOf } from '../messages/payloads.js';

/** Addresses that a peer may have beside the one in use; what it names beyond that is passed over. */
const MAX_ADDRESSES = 8;

export interface Path {
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

export class Paths {
  /** The peer's addresses, the one first that the IKE SA was set up with. */
  #remotes: readonly string[];
  /** Where the peer was known to be when the first try went another way; undefined: it still is. */
  #left: Path | undefined;

  constructor(remote: string, payloads: readonly Payload[]) {
    this.#remotes = [remote, ...addressesIn(payloads)];
  }

  /** The peer has other addresses now, or none beside the one in use (§3.6). */
  learn({ remote }: Path, payloads: readonly Payload[]): void {
    const { ADDITIONAL_IP4_ADDRESS, ADDITIONAL_IP6_ADDRESS, NO_ADDITIONAL_ADDRESSES } = NOTIFY;
    const told = [ADDITIONAL_IP4_ADDRESS, ADDITIONAL_IP6_ADDRESS, NO_ADDITIONAL_ADDRESSES].some(
      (type) => hasNotify(payloads, type),
    );
    if (told) this.#remotes = [remote.address, ...addressesIn(payloads)];
  }

  /**
   * The way to try after this one; undefined where there is no other.
   * @param ours  our addresses that are there, as far as that is known, preferred first
   */
  detour(present: Path, ours: readonly string[]): Path | undefined {
    const locals = ours.length === 0 ? [present.local.address] : ours;
    const all = [...new Set(this.#remotes)].flatMap((remote) =>
      locals.flatMap((local) =>
        local.includes(':') === remote.includes(':')
          ? [{ local: at(present.local, local), remote: at(present.remote, remote) }]
          : [],
      ),
    );
    const next = all[(all.findIndex((one) => samePath(one, present)) + 1) % all.length];
    if (next === undefined || samePath(next, present)) return undefined;
    this.#left ??= { local: present.local, remote: present.remote };
    return next;
  }

  /** The peer answers on this way: whether it has to be told that it is another than before. */
  found(path: Path): boolean {
    const isOther = this.#left !== undefined && !samePath(this.#left, path);
    this.#left = undefined;
    return isOther;
  }

  /** Whether an answer is awaited on another way. */
  get isSearching(): boolean {
    return this.#left !== undefined;
  }
}

export function samePath(one: Path, other: Path): boolean {
  return sameEndpoint(one.local, other.local) && sameEndpoint(one.remote, other.remote);
}

function at({ port }: Endpoint, address: string): Endpoint {
  return { address, port };
}

function addressesIn(payloads: readonly Payload[]): string[] {
  const { ADDITIONAL_IP4_ADDRESS, ADDITIONAL_IP6_ADDRESS } = NOTIFY;
  const told = [
    ...notifiesOf(payloads, ADDITIONAL_IP4_ADDRESS).filter(({ data }) => data.length === 4),
    ...notifiesOf(payloads, ADDITIONAL_IP6_ADDRESS).filter(({ data }) => data.length === 16),
  ];
  return told.slice(0, MAX_ADDRESSES).map(({ data }) => formatAddress(data));
}
