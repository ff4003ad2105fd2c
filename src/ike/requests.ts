/**
 * Our requests of one IKE SA: one at a time is on its way, the others wait; it is sent again until
 * it is answered or given up (RFC 7296 §2.1-2.4).
 */
import {
  EXCHANGE,
  NOTIFY,
  type Payload,
  type PeekedHeader,
  type Story,
  validate,
  WireError,
} from '../wire/index.js';
import type { Core } from './core.js';
import { formatEndpoint } from './explain.js';
import type { Datagram, IkeSa } from './ike-sa.js';
import { describeHeader, describeMessage, notifiesOf } from './payloads.js';
import { retransmitDelay } from './retransmit.js';
import { beginningOf, type Task } from './tasks/task.js';
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

  /** Sends the task's request as soon as the outstanding one has its answer. */
  addFirst(task: Task): void {
    this.#queue.unshift(task);
    this.proceed();
  }

  /** Whether a task that this holds for waits, or is under way. */
  has(test: (task: Task) => boolean): boolean {
    const { outstanding } = this.#sa.window;
    const current = outstanding === undefined ? this.#preparing : outstanding.task;
    const all = current === undefined ? this.#queue : [current, ...this.#queue];
    return all.some((task) => test(beginningOf(task)));
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
    const { task, messageId } = window.outstanding!;
    const payloads = task.build()!;
    window.replace(payloads, this.#encode(task, messageId, payloads, 0));
    this.#transmit();
  }

  /** The outstanding request has its answer, or is given up. */
  finish(): void {
    this.#sa.stopTimer('retransmit');
    this.#sa.window.finish();
  }

  dropQueued(): void {
    for (const task of this.takeUnsent()) task.abandon();
  }

  /** The outstanding request comes to nothing. */
  giveUp(): void {
    this.#sa.window.outstanding?.task.abandon();
    this.finish();
  }

  dropAll(): void {
    this.giveUp();
    this.dropQueued();
  }

  /** Goes on with the next task, unless there is one under way. */
  proceed(): void {
    if (this.#sa.window.outstanding !== undefined || this.#preparing !== undefined) return;
    if (this.#sa.state.name === 'closed') return;
    const task = this.#queue.shift();
    if (task === undefined) return;
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

  #start(task: Task): void {
    const payloads = task.build();
    if (payloads === undefined) {
      task.abandon();
      this.proceed();
      return;
    }
    this.#sa.window.open(task, payloads, (messageId) => this.#encode(task, messageId, payloads, 0));
    this.#transmit();
  }

  #encode(task: Task, messageId: number, payloads: readonly Payload[], sent: number): Uint8Array[] {
    const { channel, protection } = this.#sa;
    const most = task.goesWhole?.(sent) === true ? Number.POSITIVE_INFINITY : undefined;
    return channel.encode(task.exchange, false, messageId, payloads, protection, most);
  }

  /** Sends the outstanding request, for the first time or again. */
  #transmit(): void {
    const request = this.#sa.window.outstanding!;
    const whole = request.sent === 0 && request.task.measures === true;
    request.sent++;
    this.#sa.channel.send(request.datagrams, this.#sa.local, this.#sa.remote, whole);
    const { options, environment } = this.#core;
    this.#sa.startTimer('retransmit', retransmitDelay(options, environment, request.sent));
  }

  /** Sends the outstanding request at once, since it may have gone the wrong way. */
  resend(): void {
    if (this.#sa.window.outstanding !== undefined) this.#transmit();
  }

  /** No response in time. */
  retransmit(): void {
    const request = this.#sa.window.outstanding;
    if (request === undefined) return;
    const { task, messageId, sent } = request;
    // Who wants it gone does not wait for minutes until a dead peer has answered something else.
    const { deleteTries } = this.#core.options;
    const leaving = this.#sa.state.name === 'deleting';
    if (sent >= (leaving ? Math.min(task.tries, deleteTries) : task.tries)) {
      task.timedOut();
      return;
    }
    if (sent >= TRIES_ON_A_PATH) this.#sa.place.detour();
    const message = describeMessage(task.exchange, false, messageId);
    const to = formatEndpoint(this.#sa.remote);
    this.#sa.channel.logAgain(`${message} -> ${to}, sent again (${sent})`);
    request.datagrams = this.#again(request);
    this.#transmit();
  }

  /** What is sent again: the same octets (§2.1), or the same in other fragments (RFC 7383 §2.5). */
  #again({ task, messageId, payloads, first, datagrams, sent }: OutstandingRequest) {
    const { channel } = this.#sa;
    if (task.goesWhole?.(sent) === true) return first;
    const others = channel.mustSplit(datagrams) || channel.shrink(datagrams, sent);
    return others ? this.#encode(task, messageId, payloads, sent) : datagrams;
  }

  /** A response has come: to the outstanding request, or it is a stray. */
  receive(datagram: Datagram, header: PeekedHeader): void {
    const { outstanding } = this.#sa.window;
    if (
      outstanding === undefined ||
      outstanding.messageId !== header.messageId ||
      outstanding.task.exchange !== header.exchangeType
    ) {
      this.#core.count('ike-stray-response');
      this.#sa.log('debug', `${describeHeader(header)} is a stray, ignored`);
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
    if (!clear && notifiesOf(payloads!, NOTIFY.INVALID_SYNTAX).length > 0) {
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
