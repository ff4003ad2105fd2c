/**
 * The wiring of a gateway, from top to bottom: guard, dataplane, IKE workers, UDP, API. What is
 * wired is handed in as `GatewayParts`: `hostParts` for a daemon, others for gateways over
 * memory ports in one process.
 */
import { availableParallelism, networkInterfaces } from 'node:os';
import type { Control } from './api/routes.js';
import { type ApiServer, serveApi } from './api/server.js';
import { type GatewayConfig, tunName } from './config/gateway-config.js';
import { hintsForHost } from './config/host-hints.js';
import { shadowedPolicies } from './config/shadowed.js';
import type { Dataplane, DataplaneOptions, WorkerPlan } from './dataplane/dataplane.js';
import {
  describeChoice,
  type EngineChoice,
  engineFor,
  slowCpuWarning,
} from './dataplane/engines.js';
import { NativeDataplane } from './dataplane/native.js';
import { peerCredentials } from './dataplane/process.js';
import { numaNodesOf, readCpus, receiveQueuesOf } from './doctor/cpus.js';
import { makeControl } from './gateway/control.js';
import { handleEvent } from './gateway/dataplane-events.js';
import { Networks } from './gateway/networks.js';
import { Ports } from './gateway/ports.js';
import { addresses, Reconfigure } from './gateway/reconfigure.js';
import {
  aliasHost,
  type InterfaceHost,
  noInterfaceHost,
  TunnelInterfaces,
  tunnelInterfaces,
} from './gateway/tunnel-interfaces.js';
import { watchedGateway } from './gateway/watched.js';
import { planWorkers } from './gateway/worker-plan.js';
import type { IkeOptions } from './ike/options.js';
import { type DaemonLog, type Log, ofSubsystem } from './log.js';
import { ConnectionCounters } from './metrics/connection-counters.js';
import { serveMetrics } from './metrics/server.js';
import { monotonicNow } from './net/clock.js';
import { type Guard, nftGuard, noGuard } from './net/guard.js';
import { type HostRoutes, ipHostRoutes, noHostRoutes } from './net/host-routes.js';
import type { Transport } from './net/transport.js';
import { UdpTransport } from './net/udp.js';
import { wipeKeys } from './policy/authentication.js';
import { logKeys } from './sad/key-log.js';
import { GatewayEvents } from './workers/gateway-event.js';
import { IkeWorkers } from './workers/ike-workers.js';
import { type OpenLink, threadLinks } from './workers/link.js';
import { type JobRunner, openPool } from './workers/pool.js';

/** What differs between a daemon on a host and a gateway in a test. */
export interface GatewayParts {
  readonly log: DaemonLog;
  /** Reads the configuration anew; throws `ConfigError`. Undefined: it cannot be changed. */
  readonly loadConfig: (() => GatewayConfig) | undefined;
  readonly guard: Guard;
  readonly hostRoutes: HostRoutes;
  readonly interfaceHost: InterfaceHost;
  readonly createDataplane: (options: DataplaneOptions) => Dataplane;
  readonly transport: Transport;
  readonly openLink: (dataplane: Dataplane, config: GatewayConfig) => OpenLink;
  readonly jobs: JobRunner;
  /** All addresses of this host. */
  readonly localAddresses: () => readonly string[];
  readonly serveApi: (control: Control) => Promise<ApiServer | undefined>;
}

export interface Gateway extends Control {
  /** Whether every IKE worker answers. */
  isAlive(): Promise<boolean>;
  /** Deletes the SAs, gives everything back. The guard stays unless the configuration opens it. */
  stop(): Promise<void>;
  /** Stops the dataplane at once, for a process that is about to end. The guard stays. */
  abort(): void;
}

/** For how long `stop` waits without an answer of any peer to our Deletes. */
const FAREWELL_MS = 2_000;
const ADDRESS_POLL_MS = 2_000;

/** Starts a gateway; where a part cannot be had, gives back what was taken and rejects. */
export async function runGateway(config: GatewayConfig, parts: GatewayParts): Promise<Gateway> {
  const { log, guard, transport, jobs } = parts;
  const undo: Undo[] = [];
  const release = () => giveBack(undo.splice(0), log);
  try {
    undo.push(
      () => wipeKeys(config.connections),
      () => jobs.close(),
      () => transport.close(),
    );
    // First of all: from here on, and whatever happens, nothing protected leaves in clear.
    if (config.espKeysFile !== undefined) logKeys(config.espKeysFile);
    guard.install(config.spd);
    log.info('what is protected is dropped unless a tunnel takes it (the guard is installed)');

    const dataplane = parts.createDataplane(dataplaneOptions(config, workersHere(config)));
    undo.push(() => dataplane.stop());
    const ports = new Ports({ dataplane, log });
    ports.provide(config.ports);
    const interfaces = new TunnelInterfaces({ dataplane, log, host: parts.interfaceHost });
    interfaces.provide(tunnelInterfaces(config));
    dataplane.setSpd(config.spd);
    const { localAddresses, hostRoutes } = parts;
    const onAddresses = (present: readonly string[]) => workers.setAddresses(present);
    const networks = new Networks(
      { dataplane, transport, hostRoutes, localAddresses, onAddresses },
      config.spd,
    );
    logEngines(config, log);
    dataplane.start();
    interfaces.retain(tunnelInterfaces(config));
    undo.push(() => hostRoutes.remove());
    networks.takeOwn();
    logDataplane(config, dataplane, log);

    const events = new GatewayEvents();
    const counters = new ConnectionCounters(events);
    const workers = new IkeWorkers({
      shards: config.ikeWorkers === 'auto' ? defaultIkeWorkers() : config.ikeWorkers,
      connections: config.connections,
      openLink: parts.openLink(dataplane, config),
      transport,
      jobs,
      sad: dataplane,
      halfOpenPerAddress: config.halfOpenPerAddress,
      now: monotonicNow,
      log,
      events,
    });
    workers.setAddresses(localAddresses());
    log.watchLeast((least) => workers.setLogLevel(least));
    undo.push(() => workers.stop(FAREWELL_MS));
    const dataplaneLog = ofSubsystem(log, 'dataplane');
    dataplane.onEvent((event) =>
      handleEvent(event, { workers, networks, dataplane }, dataplaneLog),
    );
    const poll = setInterval(() => networks.follow(), ADDRESS_POLL_MS);
    undo.push(() => clearInterval(poll));
    await transport.open(addresses(config));

    const configuration = new Reconfigure(config, {
      ...{ log, guard, dataplane, networks, interfaces, ports, transport, workers, events },
      load: parts.loadConfig,
      planWorkers: workersHere,
      farewellMs: FAREWELL_MS,
    });
    undo.push(() => wipeKeys(configuration.running.connections));
    const control = makeControl({ log, events, configuration, dataplane, workers, transport });
    const api = await parts.serveApi(control);
    undo.push(() => api?.close());
    if (config.metricsListen !== undefined) {
      const sources = { control, counters, dataplane, workers, transport };
      const served = await serveMetrics(config.metricsListen, watchedGateway(sources));
      undo.push(() => served.close());
      log.info(`metrics at http://${formatListen(config.metricsListen)}/metrics`);
    }
    workers.keeper.start();
    log.info(`gateway ${config.name} runs`);
    return {
      ...control,
      isAlive: async () => (await workers.silent()).length === 0,
      async stop() {
        await configuration.close();
        if (configuration.running.guardOnStop === 'open') interfaces.retain([]);
        await release();
        openGuard(configuration.running, guard, log);
      },
      abort: () => dataplane.stop(),
    };
  } catch (error) {
    await release();
    throw error;
  }
}

type Undo = () => void | Promise<void>;

/** The last first; where one thing cannot be given back, the others are all the same. */
async function giveBack(undo: readonly Undo[], log: Log): Promise<void> {
  for (const action of undo.toReversed()) {
    try {
      await action();
    } catch (error) {
      log.error(`not given back: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/**
 * The parts of a daemon on this host.
 * @param loadConfig  reads the configuration anew
 */
export function hostParts(
  config: GatewayConfig,
  log: DaemonLog,
  loadConfig: () => GatewayConfig,
): GatewayParts {
  for (const hint of [...shadowedPolicies(config), ...hintsForHost(config)]) log.warn(hint);
  const { name, routeTable: table } = config;
  const tun = tunName(name);
  const takesOwn = table !== 0 && !config.plainForwarding;
  const transport = new UdpTransport({
    onAddress: (address, present) => {
      if (present) log.info(`listening on ${address}, ports 500 and 4500`);
      else log.warn(`${address} is not on this host (yet): IKE waits for it`);
    },
  });
  return {
    log,
    loadConfig,
    guard: nftGuard({ name, tun }),
    hostRoutes: takesOwn ? ipHostRoutes({ tun, table }) : noHostRoutes,
    interfaceHost: aliasHost(name),
    createDataplane: (options) => NativeDataplane.create({ ...options, tunName: tun }),
    transport,
    openLink: (dataplane) =>
      threadLinks({
        ...threadsOf(dataplane, transport),
        ikeOptions: ikeOptions(config, dataplane),
        espKeysFile: config.espKeysFile,
      }),
    jobs: openPool(defaultIkeWorkers()),
    localAddresses: hostAddresses,
    serveApi: (control) =>
      serveApi({ socketPath: config.apiSocket, group: config.apiGroup, control, peerCredentials }),
  };
}

/** What a gateway over memory ports has in place of a host. */
export interface MemorySurroundings {
  readonly log: DaemonLog;
  /** A `transport()` of a MemoryNetwork. */
  readonly transport: Transport;
  /** All addresses of the gateway. */
  readonly localAddresses: readonly string[];
  /** Memory link that packets for the gateway's own kernel go to. */
  readonly reinjectLink: string;
  /** Where the IKE shards run, such as `inlineLinks`; default: in threads, as in a daemon. */
  readonly openLink?: GatewayParts['openLink'];
}

/** The parts of a gateway over memory ports: no privilege, no kernel, no API socket, no guard. */
export function memoryParts(surroundings: MemorySurroundings): GatewayParts {
  const { log, transport, localAddresses, reinjectLink } = surroundings;
  return {
    log,
    loadConfig: undefined,
    guard: noGuard,
    hostRoutes: noHostRoutes,
    interfaceHost: noInterfaceHost,
    createDataplane: (options) => NativeDataplane.create({ ...options, reinjectLink }),
    transport,
    openLink:
      surroundings.openLink ??
      ((dataplane, config) =>
        threadLinks({
          ...threadsOf(dataplane, transport),
          ikeOptions: ikeOptions(config, dataplane),
          espKeysFile: undefined,
        })),
    jobs: openPool(1),
    localAddresses: () => localAddresses,
    serveApi: async () => undefined,
  };
}

/** By what IKE workers in threads reach the dataplane and the sockets. */
function threadsOf({ id: dataplaneId }: Dataplane, { senderId, spiKey }: Transport) {
  return { dataplaneId, senderId, spiKey };
}

function logDataplane({ workers: wanted }: GatewayConfig, dataplane: Dataplane, log: Log): void {
  // With "auto" nobody asked for as many queues as CPUs, so fewer are no surprise.
  for (const note of dataplane.notes()) log[wanted === 'auto' ? 'info' : 'warn'](note);
  const workers = dataplane.statistics().workers.length;
  log.info(`${workers} dataplane worker(s)`);
}

/**
 * What encrypts, for each suite that the connections may agree upon. Chosen before the workers run,
 * which would disturb the measurement.
 */
function logEngines({ connections }: GatewayConfig, log: Log): void {
  const chosen = new Map<string, EngineChoice>();
  const proposals = connections.flatMap(({ children }) => children.flatMap((c) => c.proposals));
  for (const { encryption, integrity } of proposals) {
    // AH has integrity alone, an AEAD encryption alone.
    for (const { id, keyBits = 0 } of encryption.length > 0 ? encryption : [{ id: 0 }]) {
      for (const { id: integrityId } of integrity.length > 0 ? integrity : [{ id: 0 }]) {
        const choice = engineFor({ encryption: id, keyBits, integrity: integrityId });
        if (choice !== undefined) chosen.set(choice.suite, choice);
      }
    }
  }
  for (const choice of chosen.values()) log.info(describeChoice(choice));
  const [first] = chosen.values();
  const warning = first === undefined ? undefined : slowCpuWarning(first);
  if (warning !== undefined) log.warn(warning);
}

function dataplaneOptions(config: GatewayConfig, plan: WorkerPlan): DataplaneOptions {
  const { ports, maxChildSas, framesPerQueue, frameBytes, plainForwarding } = config;
  const queues = ports.map(({ device, queues }) => queues || receiveQueuesOf(device));
  return {
    ...{ ...plan, maxChildSas, framesPerQueue, frameBytes, plainForwarding },
    busyPollMicroseconds: config.busyPollMicroseconds,
    queues: Math.max(...queues),
  };
}

/** On this machine as it is now. */
function workersHere(config: GatewayConfig): WorkerPlan {
  return planWorkers(config, readCpus(), numaNodesOf(config.ports.map(({ device }) => device)));
}

/** The limit holds across workers, so that no single one needs a lower limit of its own. */
function ikeOptions(
  { halfOpenPerAddress }: GatewayConfig,
  dataplane: Dataplane,
): Partial<IkeOptions> {
  return { maxHalfOpenPerAddress: halfOpenPerAddress, resources: dataplane.resources() };
}

function defaultIkeWorkers(): number {
  return Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)));
}

function hostAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.map(({ address }) => address);
}

function formatListen({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function openGuard(config: GatewayConfig, guard: Guard, log: Log): void {
  if (config.guardOnStop === 'open') guard.remove();
  else log.info('what is protected stays dropped (gateway.guard_on_stop = "keep")');
}
