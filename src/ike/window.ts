/**
 * Message IDs and retransmission of one IKE SA with a window of 1 in each direction
 * (RFC 7296 §2.1-2.3). SET_WINDOW_SIZE is neither sent nor heeded: one request at a time.
 */
import type { Task } from './tasks/task.js';

/** Our request that waits for its response. */
export interface OutstandingRequest {
  readonly task: Task;
  readonly messageId: number;
  /** Sent again bit by bit (§2.1). */
  readonly message: Uint8Array;
  sent: number;
}

/** Where a request of the peer stands; pending: it is here, and its answer is not made yet. */
export type Incoming = 'new' | 'pending' | 'duplicate' | 'stray';

export class MessageWindow {
  #nextOwn = 0;
  #nextPeer = 0;
  #lastRequest: Uint8Array | undefined;
  #lastResponse: Uint8Array | undefined;
  #pending = false;
  outstanding: OutstandingRequest | undefined;

  /** Makes a request outstanding; `message` is encoded for the message ID that it gets. */
  open(task: Task, encode: (messageId: number) => Uint8Array): OutstandingRequest {
    if (this.outstanding !== undefined) throw new Error('a request is outstanding');
    const messageId = this.#nextOwn++;
    this.outstanding = { task, messageId, message: encode(messageId), sent: 0 };
    return this.outstanding;
  }

  /** Replaces the outstanding request by another with the same message ID (§2.6, §2.7). */
  replace(message: Uint8Array): OutstandingRequest {
    if (this.outstanding === undefined) throw new Error('no request is outstanding');
    const { task, messageId } = this.outstanding;
    this.outstanding = { task, messageId, message, sent: 0 };
    return this.outstanding;
  }

  /** Ends the outstanding request: it was answered, or given up. */
  finish(): void {
    this.outstanding = undefined;
  }

  /** A retransmission is bitwise identical (§2.1), so the last request is known without keys. */
  classify(messageId: number, message: Uint8Array): Incoming {
    if (messageId === this.#nextPeer) return this.#pending ? 'pending' : 'new';
    if (messageId !== this.#nextPeer - 1 || this.#lastRequest === undefined) return 'stray';
    return sameOctets(message, this.#lastRequest) ? 'duplicate' : 'stray';
  }

  /** The request with the next message ID is authentic; its answer may take a while. */
  accept(): void {
    this.#pending = true;
  }

  /** The response to the last request, for its duplicates. */
  get lastResponse(): Uint8Array | undefined {
    return this.#lastResponse;
  }

  /** The new request was processed. */
  answered(request: Uint8Array, response: Uint8Array): void {
    this.#pending = false;
    this.#nextPeer++;
    this.#lastRequest = request;
    this.#lastResponse = response;
  }

  /** What answers duplicates after the IKE SA is gone. */
  lastExchange(): { readonly request: Uint8Array; readonly response: Uint8Array } | undefined {
    if (this.#lastRequest === undefined || this.#lastResponse === undefined) return undefined;
    return { request: this.#lastRequest, response: this.#lastResponse };
  }
}

export function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}
