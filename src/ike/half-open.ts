/**
 * Half-open IKE SAs of a responder: found by their request, counted in all and by address
 * (RFC 7296 §2.6, RFC 8019 §4.2). An IPv6 host has a whole /64, so that counts as one address.
 */
import { parseAddress } from '../wire/index.js';
import type { IkeSa } from './ike-sa.js';
import type { IkeOptions } from './options.js';

interface Entry {
  readonly key: string;
  readonly network: string;
}

export class HalfOpen {
  readonly #options: IkeOptions;
  readonly #byRequest = new Map<string, IkeSa>();
  readonly #entries = new Map<IkeSa, Entry>();
  readonly #counts = new Map<string, number>();
  #count = 0;

  constructor(options: IkeOptions) {
    this.#options = options;
  }

  /** SAs whose initiator has not proved anything yet. */
  get count(): number {
    return this.#count;
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
    return this.#count >= cookieThreshold || this.#from(address) >= unproved;
  }

  hasRoom(address: string): boolean {
    const { maxHalfOpen, maxHalfOpenPerAddress } = this.#options;
    return this.#count < maxHalfOpen && this.#from(address) < maxHalfOpenPerAddress;
  }

  #from(address: string): number {
    return this.#counts.get(networkOf(address)) ?? 0;
  }

  add(key: string, sa: IkeSa): void {
    const network = networkOf(sa.remote.address);
    this.#byRequest.set(key, sa);
    this.#entries.set(sa, { key, network });
    this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1);
    this.#count++;
  }

  /** The initiator has proved itself: not half-open any more, but still found. */
  established(sa: IkeSa): void {
    const entry = this.#entries.get(sa);
    if (entry === undefined) return;
    this.#entries.set(sa, { ...entry, network: '' });
    this.#uncount(entry.network);
  }

  remove(sa: IkeSa): void {
    const entry = this.#entries.get(sa);
    if (entry === undefined) return;
    this.#entries.delete(sa);
    this.#byRequest.delete(entry.key);
    this.#uncount(entry.network);
  }

  #uncount(network: string): void {
    if (network === '') return;
    const left = this.#counts.get(network)! - 1;
    if (left === 0) this.#counts.delete(network);
    else this.#counts.set(network, left);
    this.#count--;
  }
}

function networkOf(address: string): string {
  const octets = parseAddress(address);
  return octets?.length === 16 ? octets.subarray(0, 8).join('.') : address;
}
