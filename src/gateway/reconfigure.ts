/**
 * The configuration of a running gateway, and its change while traffic flows. What a plan does not
 * name is not touched: its SAs, policies and keys stay the very same ones, and lose no packet.
 *
 * What can fail is done first: reading and checking, the guard, ports, sockets, the SPD. Where one of
 * these fails, the others are taken back and nothing has changed.
 */
import { isDeepStrictEqual } from 'node:util';
import type { GatewayConfig } from '../config/gateway-config.js';
import { type ConnectionAction, isEmptyPlan, type Plan, planChange } from '../config/plan.js';
import type { Dataplane, WorkerPlan } from '../dataplane/dataplane.js';
import type { DaemonLog } from '../log.js';
import type { Guard } from '../net/guard.js';
import type { Transport } from '../net/transport.js';
import { wipeKeys } from '../policy/authentication.js';
import type { GatewayEvents } from '../workers/gateway-event.js';
import type { IkeWorkers } from '../workers/ike-workers.js';
import type { Networks } from './networks.js';
import type { Ports } from './ports.js';
import { type TunnelInterfaces, tunnelInterfaces } from './tunnel-interfaces.js';

export interface ReconfigureParts {
  readonly log: DaemonLog;
  readonly events: GatewayEvents;
  readonly guard: Guard;
  readonly dataplane: Pick<Dataplane, 'setSpd' | 'setWorkers'>;
  readonly networks: Networks;
  readonly ports: Ports;
  readonly interfaces: TunnelInterfaces;
  readonly transport: Pick<Transport, 'open'>;
  readonly workers: IkeWorkers;
  /** Reads the configuration anew; throws `ConfigError`. Undefined: there is nowhere to read from. */
  readonly load: (() => GatewayConfig) | undefined;
  /** Longest wait for the peers' answers to our Deletes, before a socket is closed. */
  readonly farewellMs: number;
  /** The workers that a configuration asks for, on this machine. */
  readonly planWorkers: (config: GatewayConfig) => WorkerPlan;
}

export class Reconfigure {
  readonly #parts: ReconfigureParts;
  #running: GatewayConfig;
  /** Changes are made one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(running: GatewayConfig, parts: ReconfigureParts) {
    this.#running = running;
    this.#parts = parts;
  }

  /** What is in force. Settings that wait for the next start have the values from before. */
  get running(): GatewayConfig {
    return this.#running;
  }

  /** What `apply` would do now. Throws `ConfigError`. */
  plan(): Plan {
    const next = this.#load();
    try {
      return planChange(this.#running, next);
    } finally {
      wipeKeys(next.connections);
    }
  }

  /** Puts the configuration as it can be read now in force. Throws `ConfigError`, and host errors. */
  apply(): Promise<Plan> {
    if (this.#closed) return Promise.reject(new Error('the gateway stops'));
    const applied = this.#last.then(() => this.#apply());
    this.#last = applied.catch(() => {});
    return applied;
  }

  /** For a gateway that stops: ends with what is under way, and nothing more is changed. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }

  #load(): GatewayConfig {
    const { load } = this.#parts;
    if (load === undefined) throw new Error('this gateway was not started from a file');
    return load();
  }

  async #apply(): Promise<Plan> {
    const [before, next] = [this.#running, this.#load()];
    const plan = planChange(before, next);
    const after = inForce(before, next, plan);
    const discarded = next.connections.filter((one) => !after.connections.includes(one));
    wipeKeys(discarded);
    if (isEmptyPlan(plan)) {
      this.#parts.log.info('the configuration is read again: nothing has changed');
      return plan;
    }
    try {
      await this.#prepare(before, after);
    } catch (error) {
      await this.#prepare(after, before).catch(() => {});
      this.#parts.interfaces.retain(tunnelInterfaces(before));
      this.#parts.ports.retain(before.ports);
      wipeKeys(after.connections.filter((one) => !before.connections.includes(one)));
      throw error;
    }
    this.#running = after;
    this.#parts.log.setLevel(after.logLevel);
    this.#changeWorkers(before, after);
    this.#changeConnections(plan, after);
    wipeKeys(before.connections.filter((one) => !after.connections.includes(one)));
    this.#parts.interfaces.retain(tunnelInterfaces(after));
    await this.#close(before, after, names(plan, 'stop', 'restart'));
    this.#parts.ports.retain(after.ports);
    this.#parts.events.emit({ type: 'config-applied', summary: summary(plan) });
    this.#parts.log.info(`the configuration is read again: ${summary(plan)}`);
    return plan;
  }

  /** The guard first: from then on nothing that is protected leaves in clear, old or new. */
  async #prepare(before: GatewayConfig, after: GatewayConfig): Promise<void> {
    const { guard, transport, dataplane, networks, interfaces, ports } = this.#parts;
    guard.install(after.spd);
    ports.provide(after.ports);
    interfaces.provide(tunnelInterfaces(after));
    // Those that go are still needed, for the Deletes.
    await transport.open([...new Set([...addresses(before), ...addresses(after)])]);
    dataplane.setSpd(after.spd);
    networks.protect(after.spd);
  }

  /** The queues stay as they are: other threads go on with them. */
  #changeWorkers(before: GatewayConfig, after: GatewayConfig): void {
    const { dataplane, planWorkers, log } = this.#parts;
    const plan = planWorkers(after);
    if (isDeepStrictEqual(plan, planWorkers(before))) return;
    dataplane.setWorkers(plan);
    log.info(`${plan.workers} dataplane worker(s) go on`);
  }

  #changeConnections(plan: Plan, { connections }: GatewayConfig): void {
    const { workers } = this.#parts;
    for (const name of names(plan, 'stop')) workers.terminate(name);
    const fresh = new Set(names(plan, 'start', 'restart', 'renew', 'adjust'));
    workers.setConnections(
      connections,
      connections.filter(({ name }) => fresh.has(name)),
    );
    for (const name of names(plan, 'restart')) workers.keeper.restart(name);
    for (const name of names(plan, 'renew')) workers.rekey(name, 'reauth');
    workers.keeper.start();
  }

  /** Closes sockets that nobody needs any more, once the SAs of the connections have ended. */
  async #close(before: GatewayConfig, after: GatewayConfig, ending: string[]): Promise<void> {
    const { transport, workers, farewellMs } = this.#parts;
    const left = addresses(after);
    if (addresses(before).every((address) => left.includes(address))) return;
    const end = performance.now() + farewellMs;
    const isEnding = async () =>
      (await workers.ikeSas()).some(
        (sa) => ending.includes(sa.connection) && !left.includes(sa.local.address),
      );
    while (performance.now() < end && (await isEnding())) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await transport.open(left);
  }
}

/**
 * The configuration once the plan is carried out. A connection that has not changed stays the
 * object that it was, with its key.
 */
function inForce(before: GatewayConfig, next: GatewayConfig, plan: Plan): GatewayConfig {
  const old = new Map(before.connections.map((connection) => [connection.name, connection]));
  const stay = new Set(names(plan, 'stay'));
  return {
    ...before,
    ports: next.ports,
    workers: next.workers,
    cpus: next.cpus,
    queueWorkers: next.queueWorkers,
    logLevel: next.logLevel,
    guardOnStop: next.guardOnStop,
    spd: next.spd,
    connections: next.connections.map((one) => (stay.has(one.name) ? old.get(one.name)! : one)),
  };
}

function names({ connections }: Plan, ...actions: readonly ConnectionAction[]): string[] {
  return connections
    .filter(({ action }) => actions.includes(action))
    .map(({ connection }) => connection);
}

export function addresses({ connections }: GatewayConfig): string[] {
  return [...new Set(connections.flatMap(({ local }) => [local.address, ...local.alternatives]))];
}

function summary(plan: Plan): string {
  const counts = (['start', 'stop', 'restart', 'renew', 'adjust', 'stay'] as const).flatMap(
    (action) => {
      const count = names(plan, action).length;
      return count === 0 ? [] : [`${count} ${action}`];
    },
  );
  return counts.length === 0 ? 'settings only' : counts.join(', ');
}
