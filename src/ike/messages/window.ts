/**
 * Message IDs of one IKE SA (RFC 7296 §2.1-2.3): which of our requests are on their way, and which of
 * the peer's are here and answered. In each direction the window is 1 until SET_WINDOW_SIZE says
 * more; it is never less afterwards (§2.3). Within the window requests are handled as they come.
 */
import type { Payload } from '../../wire/index.js';
import type { Milliseconds } from '../event.js';
import { beginningOf, type Task } from '../tasks/task.js';

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
  /** How often on the way that is taken now: where we are elsewhere, it all begins anew. */
  tries: number;
  /** When it is sent again; undefined: its response is here, and what it brings is computed. */
  dueAt: Milliseconds | undefined;
}

/**
 * Where a request of the peer stands. pending: it is here, and its answer is not made yet; altered:
 * it has an answered one's message ID and other octets, as fragments after the first have.
 */
export type Incoming = 'new' | 'pending' | 'duplicate' | 'altered' | 'stray';

/** A request of the peer, and what it was answered: a message or its fragments. */
export interface Exchanged {
  readonly request: Uint8Array;
  readonly responses: readonly Uint8Array[];
}

/** One that is answered, for its duplicates. */
export interface Answered extends Exchanged {
  responses: readonly Uint8Array[];
  /** Makes the response anew, in fragments as long as goes by then; undefined: it stays as it is. */
  encode: (() => Uint8Array[]) | undefined;
  /** Duplicates that have come. */
  repeats: number;
}

export class MessageWindow {
  #nextOwn = 0;
  /** How many requests of ours the peer keeps the state of, and we of the peer's. */
  #granted = 1;
  #offered = 1;
  /** In the order of their message IDs. */
  readonly #outstanding = new Map<number, OutstandingRequest>();
  /** All requests of the peer before this one are answered. */
  #nextPeer = 0;
  readonly #pending = new Map<number, Uint8Array>();
  readonly #answered = new Map<number, Answered>();
  #last: Answered | undefined;

  // --- ours --------------------------------------------------------------------------------

  /** The peer takes so many requests of ours at once. */
  grant(size: number): void {
    this.#granted = Math.max(this.#granted, size);
  }

  get isIdle(): boolean {
    return this.#outstanding.size === 0;
  }

  /** Whether one more request may be sent: none is further than the window from the oldest. */
  get hasRoom(): boolean {
    const [oldest] = this.#outstanding.keys();
    return oldest === undefined || this.#nextOwn < oldest + this.#granted;
  }

  /** Ours, in the order of their message IDs. */
  get requests(): Iterable<OutstandingRequest> {
    return this.#outstanding.values();
  }

  /** The first of them of which this holds. */
  find(test: (request: OutstandingRequest) => boolean): OutstandingRequest | undefined {
    for (const request of this.#outstanding.values()) if (test(request)) return request;
    return undefined;
  }

  /** The one that was tried most often; where the window is 1, the only one. */
  get outstanding(): OutstandingRequest | undefined {
    let most: OutstandingRequest | undefined;
    for (const request of this.#outstanding.values()) {
      if (most === undefined || request.tries > most.tries) most = request;
    }
    return most;
  }

  /** The request with a message ID, if it has no answer yet. */
  requestOf(messageId: number): OutstandingRequest | undefined {
    return this.#outstanding.get(messageId);
  }

  /** The request of a task, or of what goes on with it. */
  byTask(task: Task): OutstandingRequest | undefined {
    return this.find((request) => beginningOf(request.task) === beginningOf(task));
  }

  /** Makes a request outstanding; `encode` makes its message for the message ID that it gets. */
  open(
    task: Task,
    payloads: readonly Payload[],
    encode: (messageId: number) => readonly Uint8Array[],
  ): OutstandingRequest {
    if (!this.hasRoom) throw new Error('the window is full');
    const messageId = this.#nextOwn++;
    const first = encode(messageId);
    return this.#unsent(task, messageId, payloads, first);
  }

  /** Replaces an outstanding request by another with the same message ID (§2.6, §2.7). */
  replace(
    { task, messageId }: OutstandingRequest,
    payloads: readonly Payload[],
    first: readonly Uint8Array[],
  ): OutstandingRequest {
    return this.#unsent(task, messageId, payloads, first);
  }

  #unsent(
    task: Task,
    messageId: number,
    payloads: readonly Payload[],
    first: readonly Uint8Array[],
  ): OutstandingRequest {
    const request: OutstandingRequest = {
      task,
      messageId,
      payloads,
      first,
      datagrams: first,
      sent: 0,
      tries: 0,
      dueAt: undefined,
    };
    this.#outstanding.set(messageId, request);
    return request;
  }

  /** It is outstanding no more: it was answered, or given up. */
  finish({ messageId }: OutstandingRequest): void {
    this.#outstanding.delete(messageId);
  }

  // --- the peer's --------------------------------------------------------------------------

  /** We take so many requests at once, and the peer is told. */
  offer(size: number): void {
    this.#offered = Math.max(this.#offered, size);
  }

  get offered(): number {
    return this.#offered;
  }

  /** A retransmission is bitwise identical (§2.1), so an answered request is known without keys. */
  classify(messageId: number, message: Uint8Array): Incoming {
    if (this.#pending.has(messageId)) return 'pending';
    const answered = this.#answered.get(messageId);
    if (answered !== undefined) {
      return sameOctets(message, answered.request) ? 'duplicate' : 'altered';
    }
    const isWithin = messageId >= this.#nextPeer && messageId < this.#nextPeer + this.#offered;
    return isWithin ? 'new' : 'stray';
  }

  /**
   * A request within the window is authentic, and all of it is here; its answer may take a while.
   * @param request  by which its duplicates are known: the message, or its first fragment
   */
  accept(messageId: number, request: Uint8Array): void {
    this.#pending.set(messageId, request);
  }

  /** A request that was accepted has its response. */
  answered(
    messageId: number,
    responses: readonly Uint8Array[],
    encode: (() => Uint8Array[]) | undefined,
  ): void {
    const request = this.#pending.get(messageId);
    if (request === undefined) throw new Error('no such request is to be answered');
    this.#pending.delete(messageId);
    this.#last = { request, responses, encode, repeats: 0 };
    this.#answered.set(messageId, this.#last);
    while (this.#answered.has(this.#nextPeer)) this.#nextPeer++;
    // §2.3: what lies before the window has its response.
    for (const old of this.#answered.keys()) {
      if (old < this.#nextPeer - this.#offered) this.#answered.delete(old);
    }
  }

  /** The keys of all that was answered so far go: each answer is repeated as it is. */
  keepAnswers(): void {
    for (const answered of this.#answered.values()) answered.encode = undefined;
  }

  /** An answered request, as long as duplicates of it may come. */
  answerTo(messageId: number): Answered | undefined {
    return this.#answered.get(messageId);
  }

  /**
   * The request that was answered last, for duplicates, also after the IKE SA is gone: it keeps
   * nothing of that alive.
   */
  get last(): Exchanged | undefined {
    const last = this.#last;
    return last && { request: last.request, responses: last.responses };
  }
}

export function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
