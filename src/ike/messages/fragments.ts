/**
 * Fragments of the peer's messages put together again (RFC 7383 §2.6). Only authentic ones come
 * here, and only of messages that the windows have room for; still, anybody who does a key exchange
 * can send some and never the rest, so what is kept is bounded: in a message, and in all messages
 * together, where the oldest goes first.
 */
import type { Payload } from '../../wire/index.js';
import { SealedContent } from './protection.js';

/** A message comes in no more fragments, and is no longer, than these. */
export const MAX_FRAGMENTS = 255;
const MAX_MESSAGE_OCTETS = 65_535;
/** What a fragment takes besides its octets, roughly. */
const OVERHEAD_OCTETS = 128;

/** What became of a fragment; a message is what the last one that was missing makes of all. */
export type Reassembled =
  | { readonly fate: 'kept' | 'duplicate' | 'refused' }
  | { readonly fate: 'complete'; readonly content: SealedContent; readonly first: Uint8Array };

/** What all IKE SAs of a core may keep of messages that are not complete. */
export class FragmentStore {
  readonly #most: number;
  readonly #ousted: () => void;
  /** The oldest first. */
  readonly #messages = new Set<PartialMessage>();
  #octets = 0;

  /**
   * @param most    octets, those of housekeeping included
   * @param ousted  is told when a message makes room for others
   */
  constructor(most: number, ousted: () => void = () => {}) {
    this.#most = most;
    this.#ousted = ousted;
  }

  get octets(): number {
    return this.#octets;
  }

  /** Takes note of what a message keeps more; others go where that is too much. */
  take(message: PartialMessage, octets: number): void {
    this.#messages.add(message);
    this.#octets += octets;
    for (const oldest of this.#messages) {
      if (this.#octets <= this.#most) return;
      if (oldest === message) continue;
      oldest.drop();
      this.#ousted();
    }
  }

  give(message: PartialMessage, octets: number): void {
    this.#messages.delete(message);
    this.#octets -= octets;
  }
}

/** A message of one direction, as far as it is here. */
export class PartialMessage {
  readonly #store: FragmentStore;
  readonly #parts = new Map<number, Uint8Array>();
  #messageId = 0;
  #total = 0;
  #firstType = 0;
  #before: readonly Payload[] = [];
  /** The datagram of the first fragment. */
  #first: Uint8Array | undefined;
  #length = 0;
  /** What the store was told. */
  #kept = 0;

  constructor(store: FragmentStore) {
    this.#store = store;
  }

  /**
   * Takes an authentic fragment.
   * @param datagram  it as it came
   */
  add(messageId: number, sealed: SealedContent, datagram: Uint8Array): Reassembled {
    const { number, total } = sealed.fragment!;
    if (number < 1 || number > total || total > MAX_FRAGMENTS) return { fate: 'refused' };
    if (messageId !== this.#messageId) this.drop();
    // §2.6: a peer that has met a smaller path MTU begins anew, with more fragments than before.
    if (total < this.#total) return { fate: 'refused' };
    if (total > this.#total) this.drop();
    if (this.#parts.has(number)) return { fate: 'duplicate' };
    if (this.#length + sealed.plaintext.length > MAX_MESSAGE_OCTETS) return { fate: 'refused' };
    this.#messageId = messageId;
    this.#total = total;
    this.#keep(number, sealed, datagram);
    return this.#parts.size === total ? this.#complete() : { fate: 'kept' };
  }

  #keep(number: number, sealed: SealedContent, datagram: Uint8Array): void {
    const { firstType, plaintext, before } = sealed;
    this.#parts.set(number, plaintext);
    this.#length += plaintext.length;
    let octets = plaintext.length + OVERHEAD_OCTETS;
    if (number === 1) {
      this.#firstType = firstType;
      this.#before = before;
      this.#first = datagram;
      octets += datagram.length;
    }
    this.#kept += octets;
    this.#store.take(this, octets);
  }

  #complete(): Reassembled {
    const plaintext = new Uint8Array(this.#length);
    let offset = 0;
    for (let number = 1; number <= this.#total; number++) {
      const part = this.#parts.get(number)!;
      plaintext.set(part, offset);
      offset += part.length;
    }
    const content = new SealedContent({
      firstType: this.#firstType,
      plaintext,
      before: this.#before,
    });
    const first = this.#first!;
    this.drop();
    return { fate: 'complete', content, first };
  }

  /** Forgets what is here. */
  drop(): void {
    if (this.#parts.size === 0) return;
    this.#store.give(this, this.#kept);
    this.#parts.clear();
    this.#first = undefined;
    this.#before = [];
    this.#length = 0;
    this.#kept = 0;
    this.#total = 0;
  }
}
