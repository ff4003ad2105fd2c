/**
 * One IKE SA (RFC 7296 §1.2, §2): its state, its keys, where its peer is, its timers. Its messages
 * are in `channel.ts`, our requests in `requests.ts`, how another takes its place in
 * `succession.ts`; what is said in an exchange is for the tasks (our requests) and the answers (the
 * peer's requests).
 */
import { assertNever } from '../../crypto/assert-never.js';
import type { Prf } from '../../crypto/prf.js';
import type { PeerKnows } from '../../crypto/signature-scheme.js';
import type { ChildPolicy, Connection } from '../../policy/connection.js';
import { formatIdentity, type Identity } from '../../policy/identity.js';
import type { PeerCertificates } from '../../policy/peer-proof.js';
import { formatSuite, type Suite } from '../../policy/suite.js';
import type { Endpoint } from '../../sad/sad.js';
import { type PeekedHeader, ZERO_IKE_SPI } from '../../wire/index.js';
import { forgetFollowUp, type Waiting } from '../answers/follow-up.js';
import type { PendingKeyExchange } from '../answers/ike-init.js';
import { Children } from '../child/children.js';
import type { Core, Line } from '../core.js';
import type { Event, IkeSpi, Job, JobResult, LogLevel, Milliseconds } from '../event.js';
import { explainSilence, type Failure, formatEndpoint, NO_ANSWER } from '../explain.js';
import { Channel } from '../messages/channel.js';
import { describeMessage } from '../messages/payloads.js';
import type { Protection } from '../messages/protection.js';
import { Requests } from '../messages/requests.js';
import { MessageWindow } from '../messages/window.js';
import type { NatSituation, SpiPair } from '../path/nat.js';
import { Place } from '../path/place.js';
import { DeleteIke } from '../tasks/delete.js';
import { Liveness } from '../tasks/liveness.js';
import { RekeyIke } from '../tasks/rekey-ike.js';
import type { Task, TaskKind } from '../tasks/task.js';
import type { Intermediate } from './intermediate.js';
import { Lifespan } from './lifespan.js';
import { PeerLife } from './peer-life.js';
import { Postponed } from './postponed.js';
import { type IkeSaState, type Role, transition } from './state.js';
import { Succession } from './succession.js';

export type Datagram = Extract<Event, { type: 'datagram' }>;

export type TimerKind =
  | 'retransmit'
  | 'half-open'
  | 'hint'
  | 'liveness'
  | 'keepalive'
  /** It is to be rekeyed; it ends; the peers are to prove themselves anew. */
  | 'ike-rekey'
  | 'ike-end'
  | 'reauth'
  /** The peer's certificate is looked at again. */
  | 'recheck'
  /** The peer should have deleted it by now. */
  | 'replaced'
  /** What the peer has put off is asked for again. */
  | 'postponed'
  /** The peer goes on with its key exchanges no more. */
  | 'follow-up';

/** What both sides of IKE_SA_INIT have said; AUTH covers it (§2.15). */
export interface Negotiated {
  readonly prf: Prf;
  readonly suite: Suite;
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
  readonly initRequest: Uint8Array;
  readonly initResponse: Uint8Array;
}

/** Of an IKE SA that rekeying has made: the SPI that was told to the peer, and what it replaces. */
interface Origin {
  readonly localSpi: IkeSpi;
  readonly predecessor: IkeSa;
}

export class IkeSa {
  readonly role: Role;
  readonly localSpi: IkeSpi;
  peerSpi: IkeSpi = ZERO_IKE_SPI;
  /** Where it is, and its peer. */
  readonly place: Place;
  /** Whether its peer is there. */
  readonly peerLife: PeerLife;
  /** Known to the initiator from the start, to the responder when the peer has said who it is. */
  connection: Connection | undefined;
  remoteIdentity: Identity | undefined;
  /** By which the peer has proved itself; undefined with a pre-shared key. */
  peerCertificates: PeerCertificates | undefined;
  negotiated: Negotiated | undefined;
  protection: Protection | undefined;
  /** What the peer has said of the signatures that it verifies. */
  peerKnows: PeerKnows = { hashes: undefined, methods: undefined };
  /** When our IKE_SA_INIT was sent, or the peer's received. */
  readonly startedAt: Milliseconds;
  establishedAt: Milliseconds | undefined;
  /** Responder: what the keys will be made of when IKE_AUTH comes. */
  pending: PendingKeyExchange | undefined;
  /** Its Child SAs; of a rival those of the IKE SA that both would replace. */
  children: Children;
  readonly window = new MessageWindow();
  readonly channel: Channel;
  /** What it replaces, what replaces it. */
  readonly succession: Succession;
  /** Its initiator has sent INITIAL_CONTACT. */
  initialContact = false;
  /** Take it down as soon as that can be done in order. */
  unwanted = false;
  /** Initiator: the Child SAs that it is set up for; the first comes with IKE_AUTH. */
  wanted: readonly ChildPolicy[] = [];
  /** Both have said that there may be IKE_INTERMEDIATE (RFC 9242), and what comes of that. */
  supportsIntermediate = false;
  intermediate: Intermediate | undefined;
  /** What of the peer's waits for its next key exchange (RFC 9370 §2.2.4). */
  followUp: Waiting | undefined;
  /** Both have said that they have a PPK for each other (RFC 8784). */
  usesPpk = false;
  /** Both have said that they take messages in fragments (RFC 7383). */
  supportsFragments = false;
  /** The responder has said that IKE_AUTH may come without a Child SA (RFC 6023). */
  childlessSupported = false;
  /** The IKE SAs that go when this one has taken their place with new authentication (§2.8.3). */
  reauthenticates: readonly IkeSa[] = [];
  readonly lifespan: Lifespan;
  /** What the peer has put off. */
  readonly postponed: Postponed;

  readonly #core: Core;
  readonly #requests: Requests;
  readonly #timers = new Set<TimerKind>();
  #state: IkeSaState;
  /** What was asked for once. */
  readonly #tried = new Set<string>();

  constructor(core: Core, role: Role, local: Endpoint, remote: Endpoint, from?: Origin) {
    this.#core = core;
    this.#requests = new Requests(this, core);
    this.channel = new Channel(this, core);
    this.succession = new Succession(this, core, from?.predecessor);
    this.lifespan = new Lifespan(this, core);
    this.postponed = new Postponed(this, core);
    this.role = role;
    this.children = new Children(core, this);
    this.localSpi = from?.localSpi ?? core.environment.allocateIkeSpi();
    this.place = new Place(this, core, { local, remote });
    this.startedAt = core.now;
    this.peerLife = new PeerLife(this, core);
    this.#state = { name: role === 'initiator' ? 'initiating' : 'half-open' };
  }

  /** What rekeying makes to replace it; as long as that is open, a rival of what else may. */
  successor(role: Role, localSpi: IkeSpi, peerSpi: IkeSpi): IkeSa {
    const origin = { localSpi, predecessor: this };
    const made = new IkeSa(this.#core, role, this.local, this.remote, origin);
    made.#state = { name: 'rival' };
    made.peerSpi = peerSpi;
    made.connection = this.connection;
    made.remoteIdentity = this.remoteIdentity;
    made.peerCertificates = this.peerCertificates;
    made.place.inherit(this.place);
    made.supportsFragments = this.supportsFragments;
    made.lifespan.inherit(this.lifespan);
    // The peer may use at once what it has made.
    if (role === 'responder') made.children = this.children;
    return made;
  }

  get local(): Endpoint {
    return this.place.local;
  }

  get remote(): Endpoint {
    return this.place.remote;
  }

  get nat(): NatSituation {
    return this.place.nat;
  }

  get state(): IkeSaState {
    return this.#state;
  }

  get spis(): SpiPair {
    return this.role === 'initiator'
      ? { initiatorSpi: this.localSpi, responderSpi: this.peerSpi }
      : { initiatorSpi: this.peerSpi, responderSpi: this.localSpi };
  }

  // --- state -------------------------------------------------------------------------------

  move(to: IkeSaState): void {
    const { story } = transition(this.role, this.#state.name, to.name);
    const from = this.#state.name;
    this.log('debug', () => `${from} -> ${to.name}: ${story}`);
    this.#state = to;
  }

  /** The peer has proved that it is the other end of `connection`. */
  establish(initialContact: boolean): void {
    const connection = this.connection!;
    this.move({ name: 'established', at: this.#core.now });
    this.establishedAt = this.#core.now;
    this.initialContact = initialContact;
    this.stopTimer('half-open');
    const peer = formatIdentity(this.remoteIdentity!);
    this.log('info', () => {
      const suite = formatSuite(this.negotiated!.suite);
      return `IKE SA established with ${peer} at ${formatEndpoint(this.remote)}, ${suite}`;
    });
    this.#core.emit({
      type: 'ike-established',
      connection: connection.name,
      ikeSpi: this.localSpi,
      peerIdentity: peer,
      initialContact,
    });
    this.lifespan.authenticated();
    this.#startTimers();
  }

  /** It takes the place of another, with all that one was asked to do (§2.8). */
  inherit(old: IkeSa): void {
    this.move({ name: 'established', at: this.#core.now });
    this.establishedAt = this.#core.now;
    this.wanted = old.wanted;
    this.reauthenticates = old.reauthenticates;
    old.reauthenticates = [];
    this.#core.replaced(old, this);
    this.#startTimers();
    this.postponed.inherit(old.postponed);
    for (const task of old.#requests.takeUnsent()) {
      const again = task.onSuccessor?.(this);
      if (again === undefined) task.abandon();
      else this.request(again);
    }
    this.place.resume(old);
    // §2.3: its window is 1 again; who has made it tells of another.
    if (this.role === 'initiator' && this.connection!.windowSize > 1) {
      this.request(new Liveness(this, this.#core));
    }
  }

  #startTimers(): void {
    this.peerLife.watch();
    if (this.nat.local) this.startTimer('keepalive', this.#core.options.keepaliveInterval);
    this.lifespan.begin();
  }

  // --- the end -----------------------------------------------------------------------------

  /** Takes the IKE SA down in order, as far as its state allows. */
  terminate(reason: string): void {
    switch (this.#state.name) {
      case 'established':
      case 'replaced':
      case 'rival':
        this.log('info', `taken down: ${reason}`);
        this.move({ name: 'deleting' });
        if (this.children.owner === this) this.children.retireAll(reason);
        this.succession.terminate(reason);
        // Requests that are outstanding have to be answered first, whatever the window (§2.3).
        this.#requests.dropQueued();
        this.request(new DeleteIke(this, this.#core));
        break;
      case 'authenticating':
        // The peer may have established it already: it goes as soon as we know.
        this.unwanted = true;
        break;
      case 'initiating':
      case 'half-open':
        this.close(reason);
        break;
      case 'deleting':
      case 'closed':
        break;
    }
  }

  /**
   * Ends at once, without a word to the peer.
   * @param drains  where others serve, what is on its way is still received
   */
  close(reason: string, drains = false): void {
    if (this.#state.name === 'closed') return;
    this.move({ name: 'closed' });
    this.log(this.connection === undefined ? 'debug' : 'info', `IKE SA closed: ${reason}`);
    // A rival's are those of the IKE SA that it does not replace.
    if (this.children.owner === this) this.children.removeAll(reason, drains);
    else this.children = new Children(this.#core, this);
    this.succession.close(reason);
    this.#requests.dropAll();
    for (const kind of [...this.#timers]) this.stopTimer(kind);
    this.protection?.wipe();
    this.pending?.privateKey.wipe();
    this.pending = undefined;
    this.channel.close();
    forgetFollowUp(this);
    if (this.establishedAt !== undefined) {
      const { localSpi: ikeSpi, connection } = this;
      this.#core.emit({ type: 'ike-closed', connection: connection?.name, ikeSpi, reason });
    }
    this.#core.closed(this);
  }

  /** Tells a person why; the IKE SA itself goes its own way. */
  report({ notify, explanation }: Failure, child?: string): void {
    this.log('warn', `${notify}: ${explanation}`);
    const connection = this.connection?.name;
    const which = child === undefined ? {} : { child };
    this.#core.emit({ type: 'failed', connection, ...which, notify, explanation });
  }

  /** The attempt, or the established IKE SA, has come to nothing. */
  fail(failure: Failure): void {
    this.report(failure);
    this.close(failure.notify);
  }

  /**
   * The peer's response to our request does not decode, or is no answer to it: the two are out of
   * step. For the peer all is well, so a Delete tells it (§2.21.3).
   */
  misanswered(problem: string): void {
    this.#core.count('ike-bad-response');
    this.report({ notify: 'INVALID_SYNTAX', explanation: `the peer's response: ${problem}` });
    this.#requests.giveUp();
    if (this.#state.name === 'authenticating') {
      this.move({ name: 'deleting' });
      this.request(new DeleteIke(this, this.#core));
    } else this.terminate('the peer answers nonsense');
    this.proceed();
  }

  /** The peer answers INVALID_SYNTAX to a request, which ends the IKE SA on both sides (§2.21.3). */
  refusedAsMalformed(request: string): void {
    if (this.#state.name === 'deleting') this.close('deleted by us, refused by the peer', true);
    else {
      const explanation = `the peer answers INVALID_SYNTAX to ${request}`;
      this.fail({ notify: 'INVALID_SYNTAX', explanation });
    }
  }

  /** The peer has not answered a request as often as it was sent: all SAs with it are dead. */
  lost(): void {
    if (this.#state.name === 'replaced') {
      this.close('replaced, and the peer answers on it no more');
      return;
    }
    const { task, messageId, sent } = this.window.outstanding!;
    const message = describeMessage(task.exchange, false, messageId);
    this.report({ notify: NO_ANSWER, explanation: explainSilence(this.remote, message, sent) });
    // A peer that has not heard our Delete may still send on what others have taken the place of.
    this.close(NO_ANSWER, this.#state.name === 'deleting');
  }

  // --- our requests ------------------------------------------------------------------------

  /** Sends the task's request, after those that are before it. */
  request(task: Task): void {
    this.#requests.add(task);
  }

  /** Sends it as the very next one, such as an attempt that the peer has asked to be changed. */
  requestFirst(task: Task): void {
    this.#requests.addFirst(task);
  }

  /** Rekeys it, unless that is under way. */
  rekey(): void {
    if (this.#state.name !== 'established') return;
    if (this.isAbout(({ kind }) => kind === 'rekey-ike')) return;
    this.request(new RekeyIke(this, this.#core));
  }

  /** Whether a task of which this holds waits or is under way. */
  isAbout(test: (task: Task) => boolean): boolean {
    return this.#requests.has(test);
  }

  /** A computation has ended a task: goes on with the next one. */
  proceed(): void {
    this.#requests.proceed();
  }

  /** Whether a Child SA is yet to be asked for, or answered, on this IKE SA. */
  get isMakingChildren(): boolean {
    return this.postponed.hasPlans || this.isAbout(({ kind }) => kind === 'create-child');
  }

  /** Whether this was not tried before on this IKE SA; from now on it was. */
  isFirstTry(what: string): boolean {
    const first = !this.#tried.has(what);
    this.#tried.add(what);
    return first;
  }

  /** Sends the outstanding IKE_SA_INIT request anew, changed (§2.6, §2.7). */
  requestAgain(): void {
    this.#requests.again();
  }

  /** The request of a task has its answer: the next may go. */
  finishRequest(task: Task): void {
    this.#requests.finish(task);
  }

  /** The response is here, and what it brings is computed: it is not sent again meanwhile. */
  requestIsAnswered(task: Task): void {
    this.#requests.rest(task);
  }

  /** Whether a request of one of these kinds is on its way. */
  awaits(...kinds: readonly TaskKind[]): boolean {
    return this.window.find(({ task }) => kinds.includes(task.kind)) !== undefined;
  }

  // --- what arrives ------------------------------------------------------------------------

  receive(datagram: Datagram, header: PeekedHeader): void {
    if (header.response) this.#requests.receive(datagram, header);
    else this.channel.receiveRequest(datagram, header);
  }

  /** An authentic message came: the peer lives, and this is where it is (§2.4, §2.23). */
  heard(datagram: Datagram, header: PeekedHeader): void {
    if (this.#state.name === 'established') this.children.peerIsEstablished();
    this.peerLife.heard();
    this.place.heard(datagram, header);
  }

  /** Sends what is outstanding at once: it may have gone the wrong way. */
  sendAgain(): void {
    this.#requests.resend();
  }

  // --- timers ------------------------------------------------------------------------------

  startTimer(kind: TimerKind, delay: Milliseconds): void {
    this.#timers.add(kind);
    this.#core.emit({ type: 'start-timer', timer: `${kind}/${this.localSpi}`, delay });
  }

  stopTimer(kind: TimerKind): void {
    if (!this.#timers.delete(kind)) return;
    this.#core.emit({ type: 'cancel-timer', timer: `${kind}/${this.localSpi}` });
  }

  /** The timer of this kind has run out; those that were cancelled on the way are ignored. */
  timer(kind: TimerKind): void {
    if (!this.#timers.delete(kind)) return;
    switch (kind) {
      case 'retransmit':
        this.#requests.retransmit();
        break;
      case 'half-open':
        this.close('IKE_AUTH has not come');
        break;
      case 'hint':
        this.window.outstanding?.task.timedOut();
        break;
      case 'liveness':
        this.peerLife.check();
        break;
      case 'keepalive':
        // RFC 3948 §2.3: one octet 0xFF, without a non-ESP marker.
        this.#core.emit({
          type: 'send',
          local: this.local,
          remote: this.remote,
          marker: false,
          data: Uint8Array.of(0xff),
        });
        this.startTimer('keepalive', this.#core.options.keepaliveInterval);
        break;
      case 'ike-rekey':
        this.rekey();
        break;
      case 'ike-end':
        this.terminate('its lifetime is over');
        break;
      case 'reauth':
        this.lifespan.reauthenticate();
        break;
      case 'recheck':
        this.lifespan.recheck();
        break;
      case 'replaced':
        this.succession.overdue();
        break;
      case 'postponed':
        this.postponed.askAgain();
        break;
      case 'follow-up':
        forgetFollowUp(this);
        break;
      default:
        assertNever(kind);
    }
  }

  compute(job: Job, resume: (result: JobResult) => void): void {
    this.#core.compute(this, job, resume);
  }

  // --- to the outside ----------------------------------------------------------------------

  log(level: LogLevel, message: Line): void {
    const { localSpi: ikeSpi, connection } = this;
    const about = connection === undefined ? { ikeSpi } : { ikeSpi, connection: connection.name };
    this.#core.log(level, message, about);
  }
}
