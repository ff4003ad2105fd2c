/**
 * The IKEv2 core of one worker: all its IKE SAs, as a pure machine. Events go in, effects come
 * out; there is no clock, no randomness and no socket here (`Environment`).
 *
 * This file decides which IKE SA an event belongs to, what happens to messages that belong to
 * none (RFC 7296 §2.6, §2.21), and which connections are tried again.
 */

import { assertNever } from '../crypto/assert-never.js';
import type { ChildPolicy, Connection } from '../policy/connection.js';
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
import { answerIkeInit, type Gate } from './answers/ike-init.js';
import { childTimer, endChild, rekeyChild, requestChild } from './child-procedures.js';
import type { Children, ChildTimerKind } from './children.js';
import { Connections } from './connections.js';
import { Contest } from './contest.js';
import { CookieJar } from './cookie.js';
import type { About, Core, Line } from './core.js';
import { Drops } from './drops.js';
import type {
  Effect,
  Environment,
  Event,
  IkeSaView,
  IkeSpi,
  Job,
  JobResult,
  LogLevel,
  Milliseconds,
  RekeyWhat,
} from './event.js';
import { FragmentStore } from './fragments.js';
import { HalfOpen } from './half-open.js';
import { type Datagram, IkeSa, type TimerKind } from './ike-sa.js';
import { IkeSas } from './ike-sas.js';
import { Keeper } from './keeper.js';
import { presentAddresses } from './mobility.js';
import { DEFAULT_OPTIONS, type IkeOptions } from './options.js';
import { recheckPeer } from './peer-certificate.js';
import { SLICE_TIMER, Slices } from './slices.js';
import { isUnderWay } from './state.js';
import { Strangers } from './strangers.js';
import { InitiateIkeInit } from './tasks/ike-init.js';
import { Probe } from './tasks/probe.js';
import { viewIkeSa } from './view.js';

export class Ike {
  readonly #environment: Environment;
  readonly #options: IkeOptions;
  readonly #core: Core;
  readonly #gate: Gate;
  readonly #halfOpen: HalfOpen;
  readonly #keeper: Keeper;
  readonly #sas = new IkeSas();
  readonly #strangers: Strangers;
  readonly #contest = new Contest();
  readonly #drops = new Drops();
  /** Which IKE SA each Child SA belongs to, by inbound SPI. */
  readonly #childIndex = new Map<EspSpi, Children>();
  /** ESP SAs that are gone for the peer and receive what was on its way. */
  readonly #draining = new Map<EspSpi, string>();
  readonly #jobs = new Map<string, { sa: IkeSa; resume: (result: JobResult) => void }>();
  readonly #slices = new Slices((effect) => this.#emit(effect));
  #connections = new Connections([]);
  #effects: Effect[] = [];
  #now: Milliseconds = 0;
  /** Addresses of this host, as far as it was told. */
  #present: ReadonlySet<string> = new Set();
  #jobCount = 0;
  #stopping = false;

  constructor(environment: Environment, options: Partial<IkeOptions> = {}) {
    this.#environment = environment;
    this.#options = { ...DEFAULT_OPTIONS, ...options };
    this.#halfOpen = new HalfOpen(this.#options);
    this.#keeper = new Keeper(this.#options, environment);
    this.#core = this.#makeCore();
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
    this.#now = event.at;
    this.#dispatch(event);
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
    return this.#sas.all().flatMap((sa) => viewIkeSa(sa) ?? []);
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
        this.#computed(event.job, event.result);
        break;
      case 'initiate':
        this.#initiate(event.connection, event.child);
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
        this.#relocate(new Set(event.present));
        break;
      case 'recheck':
        for (const sa of this.#of(event.connection)) recheckPeer(sa, this.#core);
        break;
      case 'probe':
        this.#probe(event.ikeSpi, event.probe, event.bytes);
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

  // --- what is wanted ----------------------------------------------------------------------

  #initiate(name: string, childName: string | undefined): void {
    if (this.#stopping) return;
    const connection = this.#connections.named(name);
    const children =
      connection?.children.filter((child) => childName === undefined || child.name === childName) ??
      [];
    if (connection === undefined || children.length === 0) {
      const missing = childName === undefined ? name : `${name}/${childName}`;
      this.#failed(name, 'no connection', `no connection of that name is configured: ${missing}`);
      return;
    }
    if (connection.remote.address === '%any' && !this.#isThere(name)) {
      this.#failed(name, 'no address', 'the peer may have any address, so it has to initiate');
      return;
    }
    this.#keeper.want(name, children);
    const missing = children.filter((child) => !this.#hasChild(name, child.name));
    if (missing.length > 0) this.#bringUp(connection, missing);
  }

  /** On the connection's IKE SA, or with a new one. */
  #bringUp(connection: Connection, children: readonly ChildPolicy[]): void {
    const all = this.#of(connection.name);
    const established = all.findLast(({ state }) => state.name === 'established');
    const underWay = all.find(({ state }) => isUnderWay(state));
    if (established !== undefined) {
      for (const child of children) requestChild(established, this.#core, child);
    } else if (underWay !== undefined) {
      underWay.wanted = [...new Set([...underWay.wanted, ...children])];
    } else {
      this.#start(connection, children);
    }
  }

  /** @param replaces  IKE SAs that go when the new one has all their Child SAs (§2.8.3) */
  #start(
    connection: Connection,
    children: readonly ChildPolicy[],
    replaces: readonly IkeSa[] = [],
  ): void {
    const { ikePort: port } = this.#options;
    const [address = connection.local.address] = presentAddresses(connection, this.#present);
    const local = { address, port };
    // A peer that may be anywhere is where it was seen last.
    const remote = { address: replaces[0]?.remote.address ?? connection.remote.address, port };
    const sa = new IkeSa(this.#core, 'initiator', local, remote);
    sa.connection = connection;
    sa.wanted = children;
    sa.reauthenticates = replaces;
    this.#sas.add(sa);
    new InitiateIkeInit(sa, this.#core, connection, children[0]!).start();
  }

  /** Where an IKE SA of ours is not at the first of its addresses that is there, it goes there. */
  #relocate(present: ReadonlySet<string>): void {
    this.#present = present;
    const movers = this.#sas.all().filter(({ place }) => place.mobility === 'mover');
    this.#slices.add(movers, (sa) => {
      if (sa.state.name !== 'established') return;
      const [address] = presentAddresses(sa.connection!, this.#present);
      if (address !== undefined && address !== sa.local.address) sa.place.relocate(address);
    });
  }

  // --- lifetimes ---------------------------------------------------------------------------

  /** A long one may only be lost where it can be said again in fragments. */
  #probe(ikeSpi: IkeSpi, probe: number, bytes: number): void {
    const sa = this.#sas.get(ikeSpi);
    if (sa?.state.name === 'established' && (bytes === 0 || sa.supportsFragments)) {
      sa.request(new Probe(sa, this.#core, probe, bytes));
    } else {
      this.#core.emit({ type: 'probed', probe });
    }
  }

  #rekey(name: string, what: RekeyWhat): void {
    const all = this.#of(name).filter(({ state }) => state.name === 'established');
    switch (what) {
      case 'child':
        for (const sa of all) for (const child of sa.children) rekeyChild(sa, this.#core, child);
        break;
      case 'ike':
        for (const sa of all) sa.rekey();
        break;
      case 'reauth':
        this.#reauthenticate(all, 'asked for');
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

  /** §2.8.3: a new IKE SA with the same Child SAs; the old ones go when all are there. */
  #reauthenticate(established: readonly IkeSa[], reason: string): void {
    const all = established.filter(
      (old) =>
        old.state.name === 'established' &&
        !this.#of(old.connection!.name).some((sa) => sa.reauthenticates.includes(old)),
    );
    const [first] = all;
    const name = first?.connection?.name;
    const connection = this.#connections.named(name);
    if (first === undefined || connection === undefined || this.#stopping) return;
    first.log('info', `the connection is set up anew: ${reason}`);
    const names = new Set(
      all.flatMap(({ children }) => [...children].map(({ policy }) => policy.name)),
    );
    const children = connection.children.filter(({ name }) => names.has(name));
    this.#start(connection, children.length > 0 ? children : connection.children, all);
  }

  #of(connection: string): IkeSa[] {
    return this.#sas.of(connection);
  }

  #isUnderWay(connection: string): boolean {
    return this.#of(connection).some(({ state }) => isUnderWay(state));
  }

  #isThere(connection: string): boolean {
    return this.#of(connection).some(({ state }) => state.name === 'established');
  }

  #hasChild(connection: string, child: string, except?: IkeSa): boolean {
    return this.#of(connection).some(
      (sa) =>
        sa !== except &&
        sa.state.name === 'established' &&
        [...sa.children].some(({ policy, state }) => policy.name === child && state !== 'deleting'),
    );
  }

  /** Whether the connection has all Child SAs that it is to be kept up with. */
  #isComplete(connection: string): boolean {
    return [...this.#keeper.wants(connection)].every((child) => this.#hasChild(connection, child));
  }

  #terminate(connection: string, ikeSpi: IkeSpi | undefined): void {
    if (ikeSpi === undefined) {
      this.#keeper.release(connection);
      this.#emit({ type: 'cancel-timer', timer: `reconnect/${connection}` });
    }
    for (const sa of this.#of(connection)) {
      if (ikeSpi === undefined || sa.localSpi === ikeSpi) sa.terminate('asked for');
    }
  }

  #stop(): void {
    this.#stopping = true;
    for (const name of this.#keeper.releaseAll()) {
      this.#emit({ type: 'cancel-timer', timer: `reconnect/${name}` });
    }
    this.#slices.add(this.#sas.all(), (sa) => sa.terminate('shutting down'));
    this.#slices.add([...this.#draining.keys()], (spi) => {
      this.#emit({ type: 'cancel-timer', timer: `drain/${spi}` });
      this.#drained(spi);
    });
  }

  // --- timers and jobs ---------------------------------------------------------------------

  #timer(name: string): void {
    const slash = name.indexOf('/');
    const [kind, subject] = [name.slice(0, slash), name.slice(slash + 1)];
    if (kind === 'reconnect') this.#reconnect(subject);
    else if (name === SLICE_TIMER) this.#slices.proceed();
    else if (kind === 'linger') this.#strangers.forget(subject as IkeSpi);
    else if (kind === 'drain') this.#drained(Number(subject) as EspSpi);
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

  #drain(inboundSpi: EspSpi, reason: string): void {
    this.#draining.set(inboundSpi, reason);
    const { drainTime: delay } = this.#options;
    if (this.#stopping) this.#drained(inboundSpi);
    else this.#emit({ type: 'start-timer', timer: `drain/${inboundSpi}`, delay });
  }

  #drained(inboundSpi: EspSpi): void {
    const reason = this.#draining.get(inboundSpi);
    if (!this.#draining.delete(inboundSpi)) return;
    this.#emit({ type: 'remove-child', inboundSpi, reason: reason! });
  }

  #reconnect(name: string): void {
    for (const child of this.#keeper.wants(name)) this.#initiate(name, child);
  }

  #compute(sa: IkeSa, job: Job, resume: (result: JobResult) => void): void {
    const id = `${sa.localSpi}/${this.#jobCount++}`;
    this.#jobs.set(id, { sa, resume });
    this.#emit({ type: 'compute', id, job });
  }

  #computed(id: string, result: JobResult): void {
    const waiting = this.#jobs.get(id);
    this.#jobs.delete(id);
    if (waiting !== undefined && waiting.sa.state.name !== 'closed') waiting.resume(result);
    else if (result.type === 'generated') result.privateKey.wipe();
    else if ('sharedSecret' in result) result.sharedSecret.wipe();
  }

  // --- what IKE SAs tell -------------------------------------------------------------------

  #makeCore(): Core {
    const now = () => this.#now;
    return {
      get now() {
        return now();
      },
      environment: this.#environment,
      options: this.#options,
      fragments: new FragmentStore(this.#options.maxFragmentOctets, () =>
        this.#drops.count('ike-fragments-ousted'),
      ),
      emit: (effect) => this.#emit(effect),
      count: (reason) => this.#drops.count(reason),
      log: (level, message, about) => this.#log(level, message, about),
      compute: (sa, job, resume) => this.#compute(sa, job, resume),
      connection: (name) => this.#connections.named(name),
      ourAddresses: (connection) => presentAddresses(connection, this.#present),
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
      childGone: (sa) => this.#scheduleReconnect(sa.connection!.name),
      childSettled: (sa) => this.#childSettled(sa),
      hasChild: (connection, policy, except) => this.#hasChild(connection, policy, except),
      childIsOf: (inboundSpi, children) => {
        if (children === undefined) this.#childIndex.delete(inboundSpi);
        else this.#childIndex.set(inboundSpi, children);
      },
      drain: (inboundSpi, reason) => this.#drain(inboundSpi, reason),
      added: (sa) => this.#sas.add(sa),
      replaced: (sa, by) => this.#replaced(sa, by),
      reauthenticate: (sa, reason) => this.#reauthenticate([sa], reason),
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
    this.#contest.decide(sa, this.#of(name));
    this.#bound(name);
    const asked = sa.connection!.childless && sa.childlessSupported ? 0 : 1;
    for (const child of sa.wanted.slice(asked)) {
      if (sa.state.name === 'established') requestChild(sa, this.#core, child);
    }
    this.#childSettled(sa);
  }

  /** What was asked for on this IKE SA is there, or refused, but for what is still under way. */
  #childSettled(sa: IkeSa): void {
    if (sa.state.name !== 'established' || sa.isMakingChildren) return;
    const { name } = sa.connection!;
    const replaced = sa.children.size > 0 ? sa.reauthenticates : [];
    sa.reauthenticates = [];
    for (const old of replaced) old.terminate('set up anew');
    if (this.#isComplete(name)) {
      this.#keeper.succeeded(name);
      this.#emit({ type: 'cancel-timer', timer: `reconnect/${name}` });
    } else {
      this.#scheduleReconnect(name);
    }
  }

  /** The same IKE SA under new keys: nobody but the index has to know. */
  #replaced(sa: IkeSa, by: IkeSa): void {
    this.#contest.inherit(sa, by);
    for (const other of this.#of(by.connection!.name)) {
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
    const established = this.#of(connection).filter(({ state }) => state.name === 'established');
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
    if (sa.connection === undefined) return;
    const { name } = sa.connection;
    // The peer has ended what we were about to set up anew; nobody else wants that.
    if (this.#keeper.wants(name).size === 0 && !this.#isThere(name)) {
      for (const other of this.#of(name)) {
        if (!other.reauthenticates.includes(sa)) continue;
        other.reauthenticates = other.reauthenticates.filter((old) => old !== sa);
        if (other.reauthenticates.length > 0) continue;
        other.terminate('the peer has taken the connection down');
      }
    }
    this.#scheduleReconnect(name);
  }

  #scheduleReconnect(connection: string): void {
    if (this.#stopping || this.#isUnderWay(connection)) return;
    if (this.#isComplete(connection)) return;
    const delay = this.#keeper.nextDelay(connection);
    if (delay === undefined) return;
    this.#emit({ type: 'start-timer', timer: `reconnect/${connection}`, delay });
  }

  #emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  #failed(connection: string, notifyName: string, explanation: string): void {
    this.#log('warn', `${connection}: ${explanation}`);
    this.#emit({ type: 'failed', connection, notify: notifyName, explanation });
  }

  #log(level: LogLevel, message: Line, about: About = {}): void {
    const { admitLine } = this.#environment;
    if (admitLine !== undefined && !admitLine(level)) return;
    const text = typeof message === 'string' ? message : message();
    this.#emit({ type: 'log', level, message: text, ...about });
  }
}
