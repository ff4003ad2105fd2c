/**
 * All IKE workers together: what comes in goes to the shard that it belongs to (intake.ts), what the
 * workers tell is carried out, and what has to be known across shards is kept here: half-open SAs by
 * address and established ones by identity. A worker that dies is replaced; its SAs are removed.
 */

import { randomBytes } from 'node:crypto';
import { ChurnMap } from '../churn-map.js';
import { assertNever } from '../crypto/assert-never.js';
import type { IkeSaView, IkeSpi, LogLevel, Milliseconds, RekeyWhat } from '../ike/event.js';
import type { ProbeAnswer } from '../ike/tasks/probe.js';
import { type Log, ofSubsystem } from '../log.js';
import type { Transport } from '../net/transport.js';
import { type Connection, identitiesKey } from '../policy/connection.js';
import type { Endpoint, EspSpi, Sad } from '../sad/sad.js';
import type { GatewayEvents } from './gateway-event.js';
import { HalfOpenTable } from './half-open.js';
import { Intake } from './intake.js';
import { ConnectionKeeper } from './keeper.js';
import type { OpenLink, WorkerLink } from './link.js';
import type { FromWorker, ToWorker } from './messages.js';
import type { JobRunner } from './pool.js';
import { keysOf, packConnection, transferOf } from './portable.js';
import { Questions } from './questions.js';
import { SaIndex } from './sa-index.js';
import { ShardMap, shardOfSpi } from './shard-map.js';

export interface IkeWorkersOptions {
  readonly shards: number;
  readonly connections: readonly Connection[];
  readonly openLink: OpenLink;
  readonly transport: Transport;
  readonly jobs: JobRunner;
  /** For what a worker that died has left behind. */
  readonly sad: Sad;
  readonly halfOpenPerAddress: number;
  readonly now: () => Milliseconds;
  readonly log: Log;
  /** Told what happens to connections. */
  readonly events: GatewayEvents;
}

const RESTART_MS = 1_000;
/** What a stop may take at most, in times of the patience with silence. */
const MOST_PATIENCE = 5;

interface Slot {
  link: WorkerLink;
  /** Inbound SPIs by what is known of them; the policy once installed. */
  readonly spis: ChurnMap<EspSpi, string | undefined>;
  stopped: boolean;
  alive: boolean;
  /** Messages that it did not serve, by name, when it was last asked. */
  drops: Readonly<Record<string, number>>;
}

export class IkeWorkers {
  readonly keeper: ConnectionKeeper;
  readonly #options: IkeWorkersOptions;
  /** For what peers, and those who pretend to be, can cause. */
  readonly #log: Log;
  readonly #map: ShardMap;
  readonly #halfOpen: HalfOpenTable;
  readonly #index = new SaIndex();
  readonly #slots: Slot[];
  #connections: readonly Connection[];
  /** Made when it is asked for first. */
  #neighbours: ReadonlyMap<string, string[]> | undefined;
  #addresses: readonly string[] = [];
  #logLevel: LogLevel | undefined;
  /** Pairs of ESP SAs of each policy, in all workers. */
  readonly #installed = new Map<string, number>();
  readonly #intake: Intake;
  /** Those of workers that have died. */
  readonly #drops = new Map<string, number>();
  readonly #questions = new Questions();
  #stopping = false;
  #oneStopped: () => void = () => {};
  #allStopped: () => void = () => {};

  constructor(options: IkeWorkersOptions) {
    this.#options = options;
    this.#connections = options.connections;
    this.#log = ofSubsystem(options.log, 'ike');
    this.#map = new ShardMap(options.shards, randomBytes(32));
    this.#halfOpen = new HalfOpenTable(options.halfOpenPerAddress, options.now);
    this.#slots = Array.from({ length: options.shards }, (_, shard) => this.#openSlot(shard));
    this.keeper = new ConnectionKeeper({
      connections: options.connections,
      initiate: (connection, child) => this.#initiate(connection, child),
      terminate: (connection) => this.terminate(connection),
      isUp: (policy) => this.#isUp(policy),
      log: options.log,
    });
    this.#intake = new Intake({
      ...{ transport: options.transport, map: this.#map, halfOpen: this.#halfOpen },
      linkOf: (shard) => this.#slots[shard]!.link,
      log: this.#log,
    });
  }

  /** Datagrams that reached no worker, and those that the workers did not serve, as last told. */
  drops(): Readonly<Record<string, number>> {
    const sum = new Map(this.#drops);
    addUp(sum, this.#intake.drops());
    for (const slot of this.#slots) addUp(sum, slot.drops);
    return Object.fromEntries(sum);
  }

  /** The numbers of the workers that do not answer in time, or are dead. */
  async silent(): Promise<number[]> {
    const answers = await Promise.all(this.#slots.map((slot) => this.#ask(slot)));
    return answers.flatMap((answer, shard) => (answer === undefined ? [shard] : []));
  }

  /** IKE SAs of all workers; those of a worker that does not answer in time are missing. */
  async ikeSas(): Promise<IkeSaView[]> {
    const views = await Promise.all(this.#slots.map((slot) => this.#ask(slot)));
    return views.flatMap((view) => view ?? []);
  }

  /**
   * Replaces the connections, while SAs of them are there: those of a connection that is not
   * `fresh` go on as they are. What is gone has been terminated before.
   * @param fresh  those among them that differ from what the workers have
   */
  setConnections(connections: readonly Connection[], fresh: readonly Connection[]): void {
    this.#connections = connections;
    this.#neighbours = undefined;
    for (const { link } of this.#slots) this.#hand(link, fresh);
    for (const { name: connection, remote } of fresh) {
      if (remote.authentication.type !== 'certificate') continue;
      this.#postAll({ type: 'recheck', connection });
    }
    this.keeper.setConnections(connections);
    this.#endChildrenThatAreGone();
  }

  /** Child SAs that are out of the configuration, of connections that are not. */
  #endChildrenThatAreGone(): void {
    const known = new Map(
      this.#connections.map(({ name, children }) => [name, new Set(children.map((c) => c.name))]),
    );
    for (const { spis, link } of this.#slots) {
      for (const [inboundSpi, policy = ''] of spis.entries()) {
        const [connection, child] = policy.split('/') as [string, string];
        if (known.get(connection)?.has(child) !== false) continue;
        const cause = 'it is not in the configuration any more';
        link.post({ type: 'expire', inboundSpi, hard: true, cause });
      }
    }
  }

  /** Deletes the SAs of a connection, in whichever workers they are. */
  terminate(connection: string): void {
    this.#postAll({ type: 'terminate', connection });
  }

  /** Rekeys the SAs of a connection, or sets it up anew, in whichever workers they are. */
  rekey(connection: string, what: RekeyWhat): void {
    this.#postAll({ type: 'rekey', connection, what });
  }

  /**
   * Has the peer answer on an IKE SA, in a datagram of so many bytes (0: no matter which).
   * Undefined: it does not, within some seconds.
   */
  probe(ikeSpi: IkeSpi, bytes: number): Promise<ProbeAnswer | undefined> {
    const { link } = this.#slots[shardOfSpi(ikeSpi, this.#options.shards)]!;
    return this.#questions.probe(link, ikeSpi, bytes);
  }

  /** What a Child SA may be used for is used up in part (soft), or altogether (hard). */
  expire(inboundSpi: EspSpi, hard: boolean, cause: string): void {
    this.#slotOf(inboundSpi)?.link.post({ type: 'expire', inboundSpi, hard, cause });
  }

  /** This host has these addresses now: IKE SAs go where they can be (RFC 4555). */
  setAddresses(present: readonly string[]): void {
    this.#addresses = present;
    for (const { link, alive } of this.#slots) if (alive) link.post({ type: 'addresses', present });
  }

  /** Lines of the log below this level are of use to nobody. */
  setLogLevel(least: LogLevel): void {
    this.#logLevel = least;
    for (const { link, alive } of this.#slots) if (alive) link.post({ type: 'log-level', least });
  }

  /** Authentic ESP of a Child SA has come from another place (RFC 7296 §2.23). */
  natMappingChanged(inboundSpi: EspSpi, remote: Endpoint): void {
    this.#slotOf(inboundSpi)?.link.post({ type: 'nat-mapping-changed', inboundSpi, remote });
  }

  #slotOf(inboundSpi: EspSpi): Slot | undefined {
    return this.#slots.find(({ spis }) => spis.has(inboundSpi));
  }

  /**
   * Deletes all SAs and waits for the peers' answers: as long as some come, but not for long.
   * @param patienceMs  without an IKE SA that ends, after which those that are left are given up
   */
  async stop(patienceMs: Milliseconds): Promise<void> {
    this.#stopping = true;
    this.keeper.stop();
    this.#intake.stop();
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(silence);
        clearTimeout(most);
        resolve();
      };
      const silence = setTimeout(end, patienceMs);
      const most = setTimeout(end, MOST_PATIENCE * patienceMs);
      this.#oneStopped = () => silence.refresh();
      this.#allStopped = end;
      this.#postAll({ type: 'stop' });
    });
    await Promise.all(this.#slots.map(({ link }) => link.close()));
  }

  // Workers.

  #openSlot(shard: number): Slot {
    const { openLink, shards } = this.#options;
    const link = openLink(shard, shards, {
      message: (message) => this.#receive(shard, message),
      died: (reason) => this.#replace(shard, reason),
    });
    if (this.#addresses.length > 0) link.post({ type: 'addresses', present: this.#addresses });
    if (this.#logLevel !== undefined) link.post({ type: 'log-level', least: this.#logLevel });
    this.#hand(link, this.#connections);
    return { link, spis: new ChurnMap(), stopped: false, alive: true, drops: {} };
  }

  /** Tells a worker which connections there are, and hands some over. */
  #hand(link: WorkerLink, fresh: readonly Connection[]): void {
    const connections = fresh.map(packConnection);
    const names = this.#connections.map(({ name }) => name);
    link.post({ type: 'connections', names, connections }, keysOf(connections));
  }

  /** Removes what the dead worker had, and starts another a little later. */
  #replace(shard: number, reason: string): void {
    const { log, sad } = this.#options;
    const slot = this.#slots[shard]!;
    log.error(`IKE worker ${shard} died, its SAs are removed: ${reason}`, { shard });
    for (const [spi, policy] of slot.spis.entries()) {
      this.#count(policy, -1);
      if (policy === undefined) sad.releaseSpi(spi);
      else sad.remove(spi);
    }
    slot.spis.clear();
    slot.alive = false;
    addUp(this.#drops, slot.drops);
    slot.drops = {};
    this.#index.removeShard(shard);
    this.#settleStopped(slot);
    if (this.#stopping) return;
    setTimeout(() => {
      if (this.#stopping) return;
      this.#slots[shard] = this.#openSlot(shard);
      // Also of attempts that were under way there, which no index knows.
      for (const { name } of this.#connections) this.keeper.closed(name);
    }, RESTART_MS);
  }

  #post(shard: number, message: ToWorker): void {
    this.#slots[shard]!.link.post(message);
  }

  #postAll(message: ToWorker): void {
    for (const { link } of this.#slots) link.post(message);
  }

  /** Undefined where the worker does not answer in time. */
  async #ask({ alive, link }: Slot): Promise<readonly IkeSaView[] | undefined> {
    return alive ? this.#questions.view(link) : undefined;
  }

  /**
   * The worker that has an IKE SA of the connection can add to it; one that has another between
   * the same identities knows that INITIAL_CONTACT would be wrong (RFC 7296 §2.4). Else any one
   * will do that is the same for all connections between them.
   */
  #initiate(connection: string, child: string): void {
    const same = this.#betweenSameIdentities(connection);
    const [existing] = [connection, ...same].flatMap((name) => this.#index.ofConnection(name));
    const shard = existing?.shard ?? this.#map.ofConnection(same[0] ?? connection);
    this.#post(shard, { type: 'initiate', connection, child });
  }

  /** A resource of the dataplane wants a Child SA of its own, of a policy that is up (RFC 9611). */
  acquire(policy: string, resource: number): void {
    const [connection, child] = policy.split('/') as [string, string];
    const existing = this.#index.ofConnection(connection).at(-1);
    if (existing === undefined) return;
    this.#post(existing.shard, { type: 'acquire', connection, child, resource });
  }

  /** The connections between the same identities, always in the same order. */
  #betweenSameIdentities(name: string): string[] {
    this.#neighbours ??= neighboursOf(this.#connections);
    return this.#neighbours.get(name) ?? [];
  }

  #isUp(policy: string): boolean {
    return (this.#installed.get(policy) ?? 0) > 0;
  }

  #count(policy: string | undefined, change: 1 | -1): void {
    if (policy !== undefined) {
      this.#installed.set(policy, (this.#installed.get(policy) ?? 0) + change);
    }
  }

  // What workers tell.

  #receive(shard: number, message: FromWorker): void {
    const slot = this.#slots[shard]!;
    switch (message.type) {
      case 'ready':
        break;
      case 'send':
        this.#send(message);
        break;
      case 'half-open':
        this.#halfOpen.note(message.address, message.initiatorSpi, message.ourSpi);
        break;
      case 'compute':
        void this.#compute(slot, message);
        break;
      case 'spi':
        this.#noteSpi(slot, message);
        break;
      case 'ike-established':
        this.#established(shard, message);
        break;
      case 'ike-closed':
        this.#closed(message);
        break;
      case 'child-rekeyed':
        this.#options.events.emit({
          type: 'rekeyed',
          connection: message.connection,
          what: 'child',
        });
        break;
      case 'probed':
        this.#questions.probed(message);
        break;
      case 'failed':
        this.#failed(message);
        break;
      case 'log':
        this.#logEntry(message);
        break;
      case 'view':
        slot.drops = message.drops;
        this.#questions.viewed(message);
        break;
      case 'stopped':
        this.#settleStopped(slot);
        break;
      default:
        assertNever(message);
    }
  }

  #send({ local, remote, marker, data, whole }: Extract<FromWorker, { type: 'send' }>): void {
    this.#options.transport.send(local, remote, marker, data, whole);
  }

  #failed(message: Extract<FromWorker, { type: 'failed' }>): void {
    const { connection, child, notify, explanation, unproved = false } = message;
    const failure = { notify, explanation, unproved };
    if (unproved) this.keeper.note(connection, failure);
    else this.keeper.failed(connection, failure, child);
    const which = child === undefined ? {} : { child };
    this.#options.events.emit({ type: 'failed', connection, ...which, ...failure });
  }

  async #compute(slot: Slot, message: Extract<FromWorker, { type: 'compute' }>): Promise<void> {
    const result = await this.#options.jobs.run(message.job);
    slot.link.post({ type: 'computed', job: message.id, result }, transferOf(result));
  }

  #noteSpi(slot: Slot, { spi, state, policy }: Extract<FromWorker, { type: 'spi' }>): void {
    const before = slot.spis.get(spi);
    this.#count(before, -1);
    if (policy !== undefined && !this.#isUp(policy)) this.#tell('child-up', policy);
    this.#count(policy, 1);
    if (state === 'free') slot.spis.delete(spi);
    else slot.spis.set(spi, policy);
    if (policy !== undefined) this.keeper.childInstalled(policy);
    // The peer may delete the Child SA alone (RFC 7296 §1.4.1); the keeper may want it back.
    else if (before !== undefined) {
      if (!this.#isUp(before)) this.#tell('child-down', before);
      this.keeper.childGone(before);
    }
  }

  #tell(type: 'child-up' | 'child-down', policy: string): void {
    const [connection, child] = policy.split('/') as [string, string];
    this.#options.events.emit({ type, connection, child });
  }

  #established(shard: number, message: Extract<FromWorker, { type: 'ike-established' }>): void {
    const { ikeSpi, connection, peerIdentity, initialContact, replaces } = message;
    const { events } = this.#options;
    if (replaces !== undefined) events.emit({ type: 'rekeyed', connection, what: 'ike' });
    else events.emit({ type: 'ike-established', connection, ikeSpi, peerIdentity });
    if (replaces !== undefined && this.#index.rekey(replaces, ikeSpi)) return;
    const establishedAt = this.#options.now();
    const begunAt = this.#halfOpen.settle(ikeSpi) ?? establishedAt;
    const sa = { ikeSpi, shard, connection, peerIdentity, begunAt, establishedAt };
    for (const old of this.#index.add(sa, initialContact)) {
      this.#post(old.shard, { type: 'superseded', ikeSpi: old.ikeSpi });
    }
  }

  #closed({ ikeSpi, connection, reason }: Extract<FromWorker, { type: 'ike-closed' }>): void {
    this.#options.events.emit({ type: 'ike-closed', connection, ikeSpi, reason });
    this.#oneStopped();
    this.#halfOpen.settle(ikeSpi);
    this.#index.remove(ikeSpi);
    if (connection !== undefined) this.keeper.closed(connection);
  }

  #logEntry(entry: Extract<FromWorker, { type: 'log' }>): void {
    const { connection, ikeSpi } = entry;
    this.#log[entry.level](entry.message, { connection, ikeSpi });
  }

  #settleStopped(slot: Slot): void {
    slot.stopped = true;
    if (this.#slots.every(({ stopped }) => stopped)) this.#allStopped();
  }
}

function addUp(sum: Map<string, number>, drops: Readonly<Record<string, number>>): void {
  for (const [reason, count] of Object.entries(drops)) {
    sum.set(reason, (sum.get(reason) ?? 0) + count);
  }
}

/** For each connection the names of all between the same identities, itself among them. */
function neighboursOf(connections: readonly Connection[]): ReadonlyMap<string, string[]> {
  const groups = new Map<string, string[]>();
  return new Map(
    connections.map((connection) => {
      const key = identitiesKey(connection);
      const group = groups.get(key) ?? [];
      groups.set(key, group);
      group.push(connection.name);
      return [connection.name, group];
    }),
  );
}
