/**
 * Half-open IKE SAs of a responder: found by their request, counted in all and by address
 * (RFC 7296 §2.6, RFC 8019 §4.2). An IPv6 host has a whole /64, so that counts as one address.
 */
import { ChurnMap } from '../../churn-map.js';
import { parseAddress } from '../../wire/index.js';
import type { IkeOptions } from '../options.js';
import type { IkeSa } from '../sa/ike-sa.js';

interface Entry {
  readonly key: string;
  readonly network: string;
}

export class HalfOpen {
  readonly #options: IkeOptions;
  readonly #byRequest = new ChurnMap<string, IkeSa>();
  /** Those that are half open, the oldest first. */
  readonly #entries = new ChurnMap<IkeSa, Entry>();
  /** Requests of those that are established. */
  readonly #established = new ChurnMap<IkeSa, string>();
  readonly #counts = new ChurnMap<string, number>();

  constructor(options: IkeOptions) {
    this.#options = options;
  }

  /** SAs whose initiator has not proved anything yet. */
  get count(): number {
    return this.#entries.size;
  }

  /** The SA that a request has made, also when it is established by now. */
  find(key: string): IkeSa | undefined {
    return this.#byRequest.get(key);
  }

  /**
   * Whether an initiator has to prove by a COOKIE that it is where it says. Of an address's places
   * half are for those that have: otherwise a few forged requests in a peer's name, which below
   * the threshold nobody asks for a COOKIE, would keep the peer itself out.
   */
  mustProve(address: string): boolean {
    const { cookieThreshold, maxHalfOpenPerAddress } = this.#options;
    const unproved = Math.floor(maxHalfOpenPerAddress / 2);
    return this.count >= cookieThreshold || this.#from(address) >= unproved;
  }

  /** Whether an address has places left. */
  hasRoom(address: string): boolean {
    return this.#from(address) < this.#options.maxHalfOpenPerAddress;
  }

  /** The SA that would have to go if there were one more; undefined where there is room. */
  get oldestSurplus(): IkeSa | undefined {
    if (this.count < this.#options.maxHalfOpen) return undefined;
    const [oldest] = this.#entries.keys();
    return oldest;
  }

  #from(address: string): number {
    return this.#counts.get(networkOf(address)) ?? 0;
  }

  add(key: string, sa: IkeSa): void {
    const network = networkOf(sa.remote.address);
    this.#byRequest.set(key, sa);
    this.#entries.set(sa, { key, network });
    this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1);
  }

  /** The initiator has proved itself: not half-open any more, but still found. */
  established(sa: IkeSa): void {
    const entry = this.#entries.get(sa);
    if (entry === undefined) return;
    this.#established.set(sa, entry.key);
    this.#forget(sa, entry);
  }

  remove(sa: IkeSa): void {
    const entry = this.#entries.get(sa);
    const key = entry?.key ?? this.#established.get(sa);
    if (key === undefined) return;
    this.#byRequest.delete(key);
    this.#established.delete(sa);
    if (entry !== undefined) this.#forget(sa, entry);
  }

  #forget(sa: IkeSa, { network }: Entry): void {
    this.#entries.delete(sa);
    const left = this.#counts.get(network)! - 1;
    if (left === 0) this.#counts.delete(network);
    else this.#counts.set(network, left);
  }
}

function networkOf(address: string): string {
  const octets = address.includes(':') ? parseAddress(address) : undefined;
  return octets === undefined ? address : octets.subarray(0, 8).join('.');
}
