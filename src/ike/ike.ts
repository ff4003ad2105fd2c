/**
 * The IKEv2 core of one worker: all its IKE SAs, as a pure machine. Events go in, effects come
 * out; there is no clock, no randomness and no socket here (`Environment`).
 *
 * This file decides which IKE SA an event belongs to, and what IKE SAs tell leads to. Messages that
 * belong to none are in `strangers.ts`, the connections that are wanted in `attempts.ts`.
 */

import { ChurnMap } from '../churn-map.js';
import { assertNever } from '../crypto/assert-never.js';
import type { Connection } from '../policy/connection.js';
import { formatIdentity } from '../policy/identity.js';
import type { Endpoint, EspSpi } from '../sad/sad.js';
import {
  decodeMessage,
  EXCHANGE,
  type Message,
  PAYLOAD,
  type PeekedHeader,
  peekHeader,
  validate,
  WireError,
  ZERO_IKE_SPI,
} from '../wire/index.js';
import { answerRequest } from './answers/answer.js';
import { answerIkeInit, type Gate } from './answers/ike-init.js';
import { Attempts } from './attempts.js';
import { recheckPeer } from './auth/peer-certificate.js';
import { childTimer, endChild, rekeyChild, requestChild } from './child/child-procedures.js';
import type { Children, ChildTimerKind } from './child/children.js';
import { Draining } from './child/draining.js';
import { Connections } from './connections.js';
import type { About, Core, Line } from './core.js';
import { Drops } from './drops.js';
import type {
  Effect,
  Environment,
  Event,
  IkeSaView,
  IkeSpi,
  LogLevel,
  Milliseconds,
  RekeyWhat,
} from './event.js';
import { IkeSas } from './ike-sas.js';
import { Jobs } from './jobs.js';
import { FragmentStore } from './messages/fragments.js';
import { DEFAULT_OPTIONS, type IkeOptions } from './options.js';
import { Relocation } from './path/relocation.js';
import { Contest } from './sa/contest.js';
import type { Datagram, IkeSa, TimerKind } from './sa/ike-sa.js';
import { SLICE_TIMER, Slices } from './slices.js';
import { CookieJar } from './strangers/cookie.js';
import { HalfOpen } from './strangers/half-open.js';
import { Strangers } from './strangers/strangers.js';
import { probePeer } from './tasks/probe.js';
import { viewIkeSa } from './view.js';

export class Ike {
  readonly #environment: Environment;
  readonly #options: IkeOptions;
  readonly #core: Core & { now: Milliseconds };
  readonly #gate: Gate;
  readonly #halfOpen: HalfOpen;
  readonly #sas = new IkeSas();
  readonly #attempts: Attempts;
  readonly #relocation = new Relocation();
  readonly #strangers: Strangers;
  readonly #contest = new Contest();
  readonly #drops = new Drops();
  /** Which IKE SA each Child SA belongs to, by inbound SPI. */
  readonly #childIndex = new ChurnMap<EspSpi, Children>();
  readonly #draining: Draining;
  readonly #jobs = new Jobs((effect) => this.#emit(effect));
  readonly #slices = new Slices((effect) => this.#emit(effect));
  #connections = new Connections([]);
  #effects: Effect[] = [];
  #stopping = false;

  constructor(environment: Environment, options: Partial<IkeOptions> = {}) {
    this.#environment = environment;
    this.#options = { ...DEFAULT_OPTIONS, ...options };
    this.#halfOpen = new HalfOpen(this.#options);
    this.#draining = new Draining((effect) => this.#emit(effect), this.#options.drainTime);
    this.#core = this.#makeCore();
    this.#attempts = new Attempts(this.#core, this.#sas);
    this.#strangers = new Strangers(this.#core);
    this.#gate = {
      halfOpen: this.#halfOpen,
      cookies: new CookieJar(environment),
      mayReply: () => this.#strangers.mayReply(),
      opened: (sa) => this.#sas.add(sa),
    };
  }

  /**
   * Replaces the connections. IKE SAs that exist keep what they were made with; take those down
   * by `terminate` that are not wanted any more.
   */
  setConnections(connections: readonly Connection[]): void {
    this.#connections = new Connections(connections);
  }

  /** Handles one event; the effects are to be applied in their order. */
  handle(event: Event): Effect[] {
    this.#core.now = event.at;
    this.#dispatch(event);
    this.#attempts.proceed();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Messages that were not served so far, by name. */
  drops(): Readonly<Record<string, number>> {
    return this.#drops.counts;
  }

  /** Whether there is no IKE SA, of whomever. */
  get isEmpty(): boolean {
    return this.#sas.size === 0;
  }

  /** The IKE SAs whose connection is known. */
  ikeSas(): IkeSaView[] {
    return [...this.eachIkeSa()];
  }

  /** Those that are there now, each as it is when it is asked for; what is gone by then is left out. */
  *eachIkeSa(): Generator<IkeSaView> {
    for (const sa of this.#sas.all()) {
      const view = sa.state.name === 'closed' ? undefined : viewIkeSa(sa);
      if (view !== undefined) yield view;
    }
  }

  #dispatch(event: Event): void {
    switch (event.type) {
      case 'datagram':
        this.#receive(event);
        break;
      case 'timer':
        this.#timer(event.timer);
        break;
      case 'computed':
        this.#jobs.done(event.job, event.result);
        break;
      case 'initiate':
        this.#attempts.initiate(event.connection, event.child);
        break;
      case 'acquire':
        this.#attempts.acquire(event.connection, event.child, event.resource);
        break;
      case 'terminate':
        this.#terminate(event.connection, event.ikeSpi);
        break;
      case 'rekey':
        this.#rekey(event.connection, event.what);
        break;
      case 'expire':
        this.#expire(event.inboundSpi, event.hard, event.cause);
        break;
      case 'nat-mapping-changed':
        this.#heardEsp(event.inboundSpi, event.remote);
        break;
      case 'addresses':
        this.#relocate(event.present);
        break;
      case 'recheck':
        for (const sa of this.#sas.of(event.connection)) recheckPeer(sa, this.#core);
        break;
      case 'probe':
        probePeer(this.#sas.get(event.ikeSpi), this.#core, event.probe, event.bytes);
        break;
      case 'superseded':
        this.#sas.get(event.ikeSpi)?.close('the peer has a newer IKE SA with us');
        break;
      case 'stop':
        this.#stop();
        break;
      default:
        assertNever(event);
    }
  }

  // --- messages ----------------------------------------------------------------------------

  #receive(datagram: Datagram): void {
    const header = peekHeader(datagram.data);
    if (header === undefined || header.length !== datagram.data.length) return;
    // §3.1: the initiator's SPI must not be zero.
    if (header.initiatorSpi === ZERO_IKE_SPI) return;
    if (header.majorVersion !== 2) {
      this.#strangers.refuseVersion(datagram, header);
      return;
    }
    // The I flag says whose SPI is whose: its sender is the original initiator (§3.1).
    const localSpi = header.initiator ? header.responderSpi : header.initiatorSpi;
    const peerSpi = header.initiator ? header.initiatorSpi : header.responderSpi;
    const initial = header.exchangeType === EXCHANGE.IKE_SA_INIT && !header.response;
    if (initial && header.initiator && localSpi === ZERO_IKE_SPI && header.messageId === 0) {
      this.#receiveInitialRequest(datagram);
      return;
    }
    const sa = this.#sas.get(localSpi);
    if (sa === undefined) this.#strangers.receive(datagram, header, localSpi);
    else if (this.#belongsTo(sa, header, peerSpi)) {
      if (this.#isHint(header, datagram)) {
        this.#drops.count('ike-in-clear');
        sa.peerLife.hint();
      } else sa.receive(datagram, header);
    }
  }

  /** Both SPIs and the I flag are those of the IKE SA; the first response brings the peer's. */
  #belongsTo(sa: IkeSa, header: PeekedHeader, peerSpi: IkeSpi): boolean {
    if (header.initiator !== (sa.role === 'responder')) return false;
    return sa.state.name === 'initiating' || sa.peerSpi === peerSpi;
  }

  /** Nonce and proposals of somebody who has proved nothing yet. */
  #receiveInitialRequest(datagram: Datagram): void {
    if (this.#stopping) return;
    let message: Message;
    try {
      message = decodeMessage(datagram.data);
      const frame = { exchangeType: EXCHANGE.IKE_SA_INIT, response: false, encrypted: false };
      validate(frame, message.payloads);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#strangers.refuseMalformed(datagram, error);
      return;
    }
    answerIkeInit(this.#core, this.#gate, datagram, message);
  }

  /**
   * An error in clear after IKE_SA_INIT: anybody may have sent it, so it changes nothing; but it
   * may be a peer that has forgotten us, and a liveness check finds out (§2.4, §2.21.4).
   */
  #isHint(header: PeekedHeader, { data }: Datagram): boolean {
    if (!header.response || header.exchangeType === EXCHANGE.IKE_SA_INIT) return false;
    return data[16] !== PAYLOAD.SK && data[16] !== PAYLOAD.SKF;
  }

  // --- what is to be done to IKE SAs that are there -----------------------------------------

  #relocate(present: readonly string[]): void {
    this.#relocation.know(present);
    const movers = this.#sas.all().filter((sa) => this.#relocation.destinationOf(sa) !== undefined);
    this.#slices.add(movers, (sa) => {
      const address = this.#relocation.destinationOf(sa);
      if (address === undefined || sa.state.name === 'closed') return;
      // IKE_SA_INIT says where we are, and AUTH covers it: it cannot be said again from elsewhere;
      // nor can NO_NATS_ALLOWED in IKE_AUTH.
      const { name } = sa.state;
      const isFixed = name === 'authenticating' && !sa.connection!.natTraversal;
      if (name === 'initiating' || isFixed) this.#attempts.beginAnew(sa);
      else sa.place.relocate(address);
    });
  }

  #rekey(name: string, what: RekeyWhat): void {
    const all = this.#sas.established(name);
    switch (what) {
      case 'child':
        for (const sa of all) for (const child of sa.children) rekeyChild(sa, this.#core, child);
        break;
      case 'ike':
        for (const sa of all) sa.rekey();
        break;
      case 'reauth':
        this.#attempts.reauthenticate(all, 'asked for');
        break;
      default:
        assertNever(what);
    }
  }

  #expire(inboundSpi: EspSpi, hard: boolean, cause: string): void {
    const children = this.#childIndex.get(inboundSpi);
    const child = children?.byInbound(inboundSpi);
    if (children === undefined || child === undefined) return;
    const { owner } = children;
    owner.log(
      'info',
      `Child SA ${child.policy.name} is ${hard ? 'used up' : 'to be rekeyed'}: ${cause}`,
    );
    if (hard) endChild(owner, this.#core, child, cause);
    else rekeyChild(owner, this.#core, child);
  }

  /** §2.23: only where it is sure that the packet is new, and no old one that somebody has kept. */
  #heardEsp(inboundSpi: EspSpi, remote: Endpoint): void {
    const children = this.#childIndex.get(inboundSpi);
    const child = children?.byInbound(inboundSpi);
    if (child !== undefined && child.sa.replayWindow > 0) children?.owner.place.heardEsp(remote);
  }

  #terminate(connection: string, ikeSpi: IkeSpi | undefined): void {
    if (ikeSpi === undefined) this.#attempts.release(connection);
    for (const sa of this.#sas.of(connection)) {
      if (ikeSpi === undefined || sa.localSpi === ikeSpi) sa.terminate('asked for');
    }
  }

  #stop(): void {
    this.#stopping = true;
    this.#attempts.stop();
    this.#slices.add(this.#sas.all(), (sa) => sa.terminate('shutting down'));
    this.#slices.add(this.#draining.stop(), (spi) => this.#draining.cut(spi));
  }

  // --- timers and jobs ---------------------------------------------------------------------

  #timer(name: string): void {
    const slash = name.indexOf('/');
    const [kind, subject] = [name.slice(0, slash), name.slice(slash + 1)];
    if (kind === 'reconnect') this.#attempts.retry(subject);
    else if (name === SLICE_TIMER) this.#slices.proceed();
    else if (kind === 'linger') this.#strangers.forget(subject as IkeSpi);
    else if (kind === 'drain') this.#draining.end(Number(subject) as EspSpi);
    else if (kind.startsWith('child-')) {
      this.#childTimer(kind as ChildTimerKind, Number(subject) as EspSpi);
    } else this.#sas.get(subject as IkeSpi)?.timer(kind as TimerKind);
  }

  #childTimer(kind: ChildTimerKind, inboundSpi: EspSpi): void {
    const children = this.#childIndex.get(inboundSpi);
    const child = children?.timer(kind, inboundSpi);
    if (children !== undefined && child !== undefined) {
      childTimer(children.owner, this.#core, child, kind);
    }
  }

  // --- what IKE SAs tell -------------------------------------------------------------------

  #makeCore(): Core & { now: Milliseconds } {
    return {
      now: 0,
      environment: this.#environment,
      options: this.#options,
      fragments: new FragmentStore(this.#options.maxFragmentOctets, () =>
        this.#drops.count('ike-fragments-ousted'),
      ),
      emit: (effect) => this.#emit(effect),
      answer: (sa, datagram, header) => answerRequest(sa, this.#core, datagram, header),
      count: (reason) => this.#drops.count(reason),
      log: (level, message, about) => this.#log(level, message, about),
      compute: (sa, job, resume) => this.#jobs.ask(sa, job, resume),
      connection: (name) => this.#connections.named(name),
      ourAddresses: (connection) => this.#relocation.addressesOf(connection),
      candidates: (local, remote) => this.#connections.candidates(local, remote),
      isEstablished: (connection, except) =>
        this.#sas
          .between(connection)
          .some((sa) => sa !== except && sa.state.name === 'established'),
      authenticated: (sa, connection) => {
        sa.connection = connection;
        this.#sas.index(sa, connection);
      },
      settled: (sa) => this.#settled(sa),
      childGone: (sa) => this.#attempts.retryLater(sa.connection!.name),
      childSettled: (sa) => this.#attempts.settled(sa),
      hasChild: (connection, policy, except) => this.#sas.hasChild(connection, policy, except),
      childIsOf: (inboundSpi, children) => {
        if (children === undefined) this.#childIndex.delete(inboundSpi);
        else this.#childIndex.set(inboundSpi, children);
      },
      drain: (inboundSpi, reason) => this.#draining.add(inboundSpi, reason),
      added: (sa) => this.#sas.add(sa),
      replaced: (sa, by) => this.#replaced(sa, by),
      reauthenticate: (sa, reason) => this.#attempts.reauthenticate([sa], reason),
      closed: (sa) => this.#closed(sa),
    };
  }

  /** An IKE SA is established and its Child SA installed: others of its connection may go. */
  #settled(sa: IkeSa): void {
    const { name } = sa.connection!;
    this.#halfOpen.established(sa);
    this.#contest.enter(sa);
    if (sa.unwanted) {
      sa.terminate('asked for');
      return;
    }
    this.#contest.decide(sa, this.#sas.of(name));
    this.#bound(name);
    const asked = sa.connection!.childless && sa.childlessSupported ? 0 : 1;
    for (const child of sa.wanted.slice(asked)) {
      if (sa.state.name === 'established') requestChild(sa, this.#core, child);
    }
    this.#attempts.settled(sa);
  }

  /** The same IKE SA under new keys: nobody but the index has to know. */
  #replaced(sa: IkeSa, by: IkeSa): void {
    this.#contest.inherit(sa, by);
    for (const other of this.#sas.of(by.connection!.name)) {
      other.reauthenticates = other.reauthenticates.map((old) => (old === sa ? by : old));
    }
    this.#emit({
      type: 'ike-established',
      connection: by.connection!.name,
      ikeSpi: by.localSpi,
      peerIdentity: formatIdentity(by.remoteIdentity!),
      initialContact: false,
      replaces: sa.localSpi,
    });
  }

  #bound(connection: string): void {
    const established = this.#sas.established(connection);
    const surplus = established.length - this.#options.maxIkeSasPerConnection;
    for (const sa of established.slice(0, Math.max(0, surplus))) {
      sa.terminate('the connection has too many IKE SAs');
    }
  }

  #closed(sa: IkeSa): void {
    this.#sas.remove(sa);
    this.#contest.leave(sa);
    this.#halfOpen.remove(sa);
    const { last } = sa.window;
    if (last !== undefined && sa.protection !== undefined)
      this.#strangers.linger(sa.localSpi, last);
    if (sa.connection !== undefined) this.#attempts.closed(sa, sa.connection.name);
  }

  #emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  #log(level: LogLevel, message: Line, about: About = {}): void {
    const { admitLine } = this.#environment;
    if (admitLine !== undefined && !admitLine(level)) return;
    const text = typeof message === 'string' ? message : message();
    this.#emit({ type: 'log', level, message: text, ...about });
  }
}
