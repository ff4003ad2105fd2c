/**
 * Our requests of one IKE SA: as many are on their way as the peer's window takes and go beside each
 * other, the others wait; each is sent again until it is answered or given up (RFC 7296 §2.1-2.4).
 */
import {
  EXCHANGE,
  NOTIFY,
  type Payload,
  type PeekedHeader,
  type Story,
  validate,
  WireError,
} from '../../wire/index.js';
import type { Core } from '../core.js';
import { formatEndpoint } from '../explain.js';
import type { Datagram, IkeSa } from '../sa/ike-sa.js';
import { beginningOf, isAlone, type Task } from '../tasks/task.js';
import { describeHeader, describeMessage, hasNotify } from './payloads.js';
import { retransmitDelay } from './retransmit.js';
import type { OutstandingRequest } from './window.js';

/** Before another way to the peer is tried, where there is one: some eight seconds. */
const TRIES_ON_A_PATH = 4;

export class Requests {
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #queue: Task[] = [];
  /** Its request is being made; nothing was sent. */
  #preparing: Task | undefined;

  constructor(sa: IkeSa, core: Core) {
    this.#sa = sa;
    this.#core = core;
  }

  /** Sends the task's request, after those that are before it. */
  add(task: Task): void {
    this.#queue.push(task);
    this.proceed();
  }

  /** Sends the task's request before those that wait. */
  addFirst(task: Task): void {
    this.#queue.unshift(task);
    this.proceed();
  }

  /** Whether a task that this holds for waits, or is under way. */
  has(test: (task: Task) => boolean): boolean {
    const fits = (task: Task) => test(beginningOf(task));
    if (this.#preparing !== undefined && fits(this.#preparing)) return true;
    return this.#sa.window.find(({ task }) => fits(task)) !== undefined || this.#queue.some(fits);
  }

  /** The tasks of which nothing was sent, taken off. */
  takeUnsent(): Task[] {
    const preparing = this.#preparing === undefined ? [] : [this.#preparing];
    this.#preparing = undefined;
    return [...preparing, ...this.#queue.splice(0)];
  }

  /** Sends the outstanding request anew, changed, under the same message ID. */
  again(): void {
    const { window } = this.#sa;
    const request = window.outstanding!;
    const { task, messageId } = request;
    const payloads = task.build()!;
    const first = this.#encode(task, messageId, payloads, 0);
    this.#transmit(window.replace(request, payloads, first));
  }

  /** The task's request has its answer, or is given up. */
  finish(task: Task): void {
    const { window } = this.#sa;
    const request = window.byTask(task);
    if (request !== undefined) window.finish(request);
    this.#arm();
  }

  /** The response is here, and being looked at. */
  rest(task: Task): void {
    const request = this.#sa.window.byTask(task);
    if (request !== undefined) request.dueAt = undefined;
    this.#arm();
  }

  dropQueued(): void {
    for (const task of this.takeUnsent()) task.abandon();
  }

  /** The outstanding requests come to nothing. */
  giveUp(): void {
    for (const request of [...this.#sa.window.requests]) {
      request.task.abandon();
      this.#sa.window.finish(request);
    }
    this.#sa.stopTimer('retransmit');
  }

  dropAll(): void {
    this.giveUp();
    this.dropQueued();
  }

  /** Goes on with the next task, if it may go now. */
  proceed(): void {
    if (this.#preparing !== undefined || this.#sa.state.name === 'closed') return;
    const [task] = this.#queue;
    if (task === undefined || !this.#mayGo(task)) return;
    this.#queue.shift();
    if (task.prepare === undefined) {
      this.#start(task);
      return;
    }
    this.#preparing = task;
    task.prepare(() => {
      if (this.#preparing !== task) return;
      this.#preparing = undefined;
      this.#start(task);
    });
  }

  #mayGo(task: Task): boolean {
    const { window } = this.#sa;
    if (window.isIdle) return true;
    if (!window.hasRoom || isAlone(task)) return false;
    return window.find((request) => isAlone(request.task)) === undefined;
  }

  #start(task: Task): void {
    const payloads = task.build();
    if (payloads === undefined) {
      task.abandon();
      task.unsent?.();
    } else {
      const encode = (messageId: number) => this.#encode(task, messageId, payloads, 0);
      this.#transmit(this.#sa.window.open(task, payloads, encode));
    }
    this.proceed();
  }

  #encode(task: Task, messageId: number, payloads: readonly Payload[], sent: number): Uint8Array[] {
    const { channel, protection } = this.#sa;
    const most = task.goesWhole?.(sent) === true ? Number.POSITIVE_INFINITY : undefined;
    return channel.encode(task.exchange, false, messageId, payloads, protection, most);
  }

  /** Sends a request, for the first time or again. */
  #transmit(request: OutstandingRequest): void {
    const whole = request.sent === 0 && request.task.measures === true;
    request.sent++;
    request.tries++;
    this.#sa.channel.send(request.datagrams, this.#sa.local, this.#sa.remote, whole);
    const { options, environment, now } = this.#core;
    request.dueAt = now + retransmitDelay(options, environment, request.tries);
    this.#arm();
  }

  /** The one that is due before the others. */
  get #nextDue(): OutstandingRequest | undefined {
    let next: OutstandingRequest | undefined;
    for (const request of this.#sa.window.requests) {
      const { dueAt } = request;
      if (dueAt !== undefined && (next === undefined || dueAt < next.dueAt!)) next = request;
    }
    return next;
  }

  #arm(): void {
    const next = this.#nextDue;
    if (next === undefined) this.#sa.stopTimer('retransmit');
    else this.#sa.startTimer('retransmit', Math.max(0, next.dueAt! - this.#core.now));
  }

  /** Sends what is outstanding at once, since it may have gone the wrong way; all tries are left. */
  resend(): void {
    for (const request of this.#sa.window.requests) {
      if (request.dueAt === undefined) continue;
      request.tries = 0;
      this.#transmit(request);
    }
  }

  /** No response in time to the request that is due. */
  retransmit(): void {
    const request = this.#nextDue;
    if (request === undefined) return;
    const { task, messageId, sent, tries } = request;
    // Who wants it gone does not wait for minutes until a dead peer has answered something else.
    const { deleteTries } = this.#core.options;
    const leaving = this.#sa.state.name === 'deleting';
    if (tries >= (leaving ? Math.min(task.tries, deleteTries) : task.tries)) {
      task.timedOut();
      return;
    }
    if (tries >= TRIES_ON_A_PATH) this.#sa.place.detour();
    const to = this.#sa.remote;
    this.#sa.channel.logAgain(() => {
      const message = describeMessage(task.exchange, false, messageId);
      return `${message} -> ${formatEndpoint(to)}, sent again (${sent})`;
    });
    request.datagrams = this.#again(request);
    this.#transmit(request);
  }

  /** What is sent again: the same octets (§2.1), or the same in other fragments (RFC 7383 §2.5). */
  #again({ task, messageId, payloads, first, datagrams, sent }: OutstandingRequest) {
    const { channel } = this.#sa;
    const other = task.again?.(sent);
    if (other !== undefined) return this.#encode(task, messageId, other, sent);
    if (task.goesWhole?.(sent) === true) return first;
    const others = channel.mustSplit(datagrams) || channel.shrink(datagrams, sent);
    return others ? this.#encode(task, messageId, payloads, sent) : datagrams;
  }

  /** A response has come: the first one to an outstanding request, or it is a stray. */
  receive(datagram: Datagram, header: PeekedHeader): void {
    const outstanding = this.#sa.window.requestOf(header.messageId);
    const isAwaited = outstanding?.dueAt !== undefined;
    // Where it is at rest, its response is here, and what that brings is computed.
    if (!isAwaited || outstanding.task.exchange !== header.exchangeType) {
      this.#core.count('ike-stray-response');
      this.#sa.log('debug', () => `${describeHeader(header)} is a stray, ignored`);
      return;
    }
    const { task } = outstanding;
    const clear = header.exchangeType === EXCHANGE.IKE_SA_INIT;
    const payloads = clear
      ? this.#sa.channel.openClear(datagram, header)
      : this.#sa.channel.openSealed(datagram, header, (error) => task.malformed(error.message));
    const story = payloads && this.#storyOf(task, header, payloads);
    if (story === undefined) return;
    // §2.21.3: the peer has closed the IKE SA with that; nothing else has to be said.
    if (!clear && hasNotify(payloads!, NOTIFY.INVALID_SYNTAX)) {
      this.#sa.refusedAsMalformed(describeMessage(task.exchange, false, header.messageId));
      return;
    }
    task.process({ story, payloads: payloads!, header, message: datagram.data });
    this.proceed();
  }

  #storyOf(task: Task, header: PeekedHeader, payloads: readonly Payload[]): Story | undefined {
    const { exchangeType, response } = header;
    const clear = exchangeType === EXCHANGE.IKE_SA_INIT;
    try {
      return validate({ exchangeType, response, encrypted: !clear }, payloads).story;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      // Nobody has authenticated an IKE_SA_INIT response; a better one may come.
      if (clear) {
        this.#core.count('ike-bad-response');
        this.#sa.log('debug', `${describeHeader(header)} is ignored: ${error.message}`);
      } else task.malformed(error.message);
      return undefined;
    }
  }
}
