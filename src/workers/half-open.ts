/**
 * IKE SAs in the making, of all workers: how many of them an address has open, and since when
 * each has been. An entry is made by the first message of an IKE_SA_INIT exchange, in either
 * direction, and goes when the SA is established or after some time. The table is bounded:
 * under a flood from forged addresses the oldest entries make room.
 *
 * Left out: making and checking a COOKIE (RFC 7296 §2.6), which is the core's.
 */
import { ChurnMap } from '../churn-map.js';
import type { IkeSpi, Milliseconds } from '../ike/event.js';

interface HalfOpen {
  readonly address: string;
  readonly since: Milliseconds;
  readonly initiatorSpi: IkeSpi;
  /** Counts against the limit of the address: the peer has begun. */
  readonly theirs: boolean;
  ourSpi: IkeSpi | undefined;
}

/** Retransmissions of an honest peer have ended, or nearly so. */
export const HALF_OPEN_MS = 30_000;
const MAX_ENTRIES = 65_536;

export class HalfOpenTable {
  readonly #perAddress: number;
  readonly #now: () => Milliseconds;
  /** By initiator SPI and address, oldest first. */
  readonly #entries = new ChurnMap<string, HalfOpen>();
  readonly #bySpi = new ChurnMap<IkeSpi, HalfOpen>();
  readonly #counts = new ChurnMap<string, number>();

  constructor(perAddress: number, now: () => Milliseconds) {
    this.#perAddress = perAddress;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * An IKE_SA_INIT request has come; false where the address has too many half open. It is not
   * refused then, or forged requests would keep the peer out whose address they bear: it has to
   * bring a COOKIE (RFC 7296 §2.6).
   */
  admit(address: string, initiatorSpi: IkeSpi): boolean {
    this.#expire();
    if (this.#entries.has(key(initiatorSpi, address))) return true;
    if ((this.#counts.get(address) ?? 0) >= this.#perAddress) return false;
    const since = this.#now();
    this.#add({ address, since, initiatorSpi, theirs: true, ourSpi: undefined });
    return true;
  }

  /** An IKE_SA_INIT message of ours leaves: the SA has this SPI of ours, the initiator's or not. */
  note(address: string, initiatorSpi: IkeSpi, ourSpi: IkeSpi): void {
    if (this.#bySpi.has(ourSpi)) return;
    if (initiatorSpi === ourSpi) {
      this.#add({ address, since: this.#now(), initiatorSpi, theirs: false, ourSpi });
      return;
    }
    const entry = this.#entries.get(key(initiatorSpi, address));
    if (entry === undefined || entry.ourSpi !== undefined) return;
    entry.ourSpi = ourSpi;
    this.#bySpi.set(ourSpi, entry);
  }

  /** The SA is established or given up; answers when it was begun, if that is known. */
  settle(ourSpi: IkeSpi): Milliseconds | undefined {
    const entry = this.#bySpi.get(ourSpi);
    if (entry !== undefined) this.#remove(entry);
    return entry?.since;
  }

  #add(entry: HalfOpen): void {
    if (this.#entries.size >= MAX_ENTRIES) this.#remove(this.#entries.values().next().value!);
    this.#entries.set(key(entry.initiatorSpi, entry.address), entry);
    if (entry.ourSpi !== undefined) this.#bySpi.set(entry.ourSpi, entry);
    if (entry.theirs) {
      this.#counts.set(entry.address, (this.#counts.get(entry.address) ?? 0) + 1);
    }
  }

  #remove(entry: HalfOpen): void {
    this.#entries.delete(key(entry.initiatorSpi, entry.address));
    if (entry.ourSpi !== undefined) this.#bySpi.delete(entry.ourSpi);
    if (!entry.theirs) return;
    const left = this.#counts.get(entry.address)! - 1;
    if (left === 0) this.#counts.delete(entry.address);
    else this.#counts.set(entry.address, left);
  }

  /** Entries are in the order of their making, so the first that is young ends it. */
  #expire(): void {
    const oldest = this.#now() - HALF_OPEN_MS;
    for (const entry of this.#entries.values()) {
      if (entry.since > oldest) return;
      this.#remove(entry);
    }
  }
}

function key(initiatorSpi: IkeSpi, address: string): string {
  return `${initiatorSpi} ${address}`;
}
