/**
 * Message IDs and retransmission of one IKE SA with a window of 1 in each direction
 * (RFC 7296 §2.1-2.3). SET_WINDOW_SIZE is neither sent nor heeded: one request at a time.
 */
import type { Payload } from '../wire/index.js';
import type { Task } from './tasks/task.js';

/** Our request that waits for its response. */
export interface OutstandingRequest {
  readonly task: Task;
  readonly messageId: number;
  readonly payloads: readonly Payload[];
  /** The message, or its fragments, as it was made. */
  readonly first: readonly Uint8Array[];
  /** As it was sent last: the first again, bit by bit (§2.1), or in smaller fragments. */
  datagrams: readonly Uint8Array[];
  sent: number;
}

/**
 * Where a request of the peer stands. pending: it is here, and its answer is not made yet; altered:
 * it has the last one's message ID and other octets, as fragments after the first have.
 */
export type Incoming = 'new' | 'pending' | 'duplicate' | 'altered' | 'stray';

/** A request of the peer, and what it was answered: a message or its fragments. */
export interface Exchanged {
  readonly request: Uint8Array;
  readonly responses: readonly Uint8Array[];
}

export class MessageWindow {
  #nextOwn = 0;
  #nextPeer = 0;
  #pending: Uint8Array | undefined;
  #last: Exchanged | undefined;
  outstanding: OutstandingRequest | undefined;

  /** Makes a request outstanding; `message` is encoded for the message ID that it gets. */
  open(
    task: Task,
    payloads: readonly Payload[],
    encode: (messageId: number) => readonly Uint8Array[],
  ): void {
    if (this.outstanding !== undefined) throw new Error('a request is outstanding');
    const messageId = this.#nextOwn++;
    const datagrams = encode(messageId);
    this.outstanding = { task, messageId, payloads, first: datagrams, datagrams, sent: 0 };
  }

  /** Replaces the outstanding request by another with the same message ID (§2.6, §2.7). */
  replace(payloads: readonly Payload[], datagrams: readonly Uint8Array[]): void {
    if (this.outstanding === undefined) throw new Error('no request is outstanding');
    this.outstanding = { ...this.outstanding, payloads, first: datagrams, datagrams, sent: 0 };
  }

  /** Ends the outstanding request: it was answered, or given up. */
  finish(): void {
    this.outstanding = undefined;
  }

  /** A retransmission is bitwise identical (§2.1), so the last request is known without keys. */
  classify(messageId: number, message: Uint8Array): Incoming {
    if (messageId === this.#nextPeer) return this.#pending === undefined ? 'new' : 'pending';
    if (messageId !== this.#nextPeer - 1 || this.#last === undefined) return 'stray';
    return sameOctets(message, this.#last.request) ? 'duplicate' : 'altered';
  }

  /**
   * The request with the next message ID is authentic, and all of it is here; its answer may take a
   * while.
   * @param request  by which its duplicates are known: the message, or its first fragment
   */
  accept(request: Uint8Array): void {
    this.#pending = request;
  }

  /** The request that was accepted has its response. */
  answered(responses: readonly Uint8Array[]): void {
    if (this.#pending === undefined) throw new Error('no request is to be answered');
    this.#last = { request: this.#pending, responses };
    this.#pending = undefined;
    this.#nextPeer++;
  }

  /** The same response in other fragments. */
  answerAnew(responses: readonly Uint8Array[]): void {
    this.#last = { request: this.#last!.request, responses };
  }

  /** The last request and its response, for duplicates, also after the IKE SA is gone. */
  get last(): Exchanged | undefined {
    return this.#last;
  }
}

export function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
