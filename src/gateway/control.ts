/** What a running gateway does for who asks it, by the API or in the same process. */
import { composeIkeSas, composeStatus } from '../api/compose-status.js';
import { type Explanation, explainConnection } from '../api/explain.js';
import {
  type Control,
  type DownResult,
  type RekeyResult,
  UnknownConnectionError,
  type UpResult,
} from '../api/routes.js';
import type { Status } from '../api/status.js';
import type { GatewayConfig } from '../config/gateway-config.js';
import type { Plan } from '../config/plan.js';
import type { Dataplane } from '../dataplane/dataplane.js';
import type { DaemonLog } from '../log.js';
import { monotonicNow } from '../net/clock.js';
import { interfaceMtu, knownPathMtu } from '../net/path-mtu.js';
import type { Transport } from '../net/transport.js';
import { PacketWatcher } from '../watch/packet-watcher.js';
import { probeConnection } from '../watch/probe.js';
import type { GatewayEvents } from '../workers/gateway-event.js';
import type { IkeWorkers } from '../workers/ike-workers.js';
import { ikeDrops } from './ike-drops.js';
import type { Reconfigure } from './reconfigure.js';

const ETHERNET_MTU = 1500;

export interface ControlParts {
  readonly log: DaemonLog;
  readonly events: GatewayEvents;
  readonly configuration: Reconfigure;
  readonly dataplane: Dataplane;
  readonly workers: IkeWorkers;
  readonly transport: Transport;
}

export function makeControl(parts: ControlParts): Control {
  const { log, events, configuration, dataplane, workers, transport } = parts;
  const startedAt = monotonicNow();
  const mustExist = (name: string) => {
    const names = configuration.running.connections.map((connection) => connection.name);
    if (!names.includes(name)) throw new UnknownConnectionError(name, names);
  };
  const watcher = new PacketWatcher({
    dataplane,
    connections: () => configuration.running.connections,
    ikeSas: () => workers.ikeSas(),
  });
  const status = async (): Promise<Status> => {
    // First: meanwhile the configuration may change.
    const ikeSas = await composeIkeSas(await workers.ikeSas(), dataplane, monotonicNow());
    return composeStatus({
      config: configuration.running,
      dataplane,
      ikeSas,
      connectionState: (name) => workers.keeper.state(name),
      ikeDrops: ikeDrops(transport, workers),
      startedAt,
      now: monotonicNow(),
    });
  };
  return {
    name: configuration.running.name,
    log,
    events,
    status,
    mustExist,
    async explain(name): Promise<Explanation> {
      mustExist(name);
      const { connections } = await status();
      return explainConnection({
        connection: configuration.running.connections.find((one) => one.name === name)!,
        status: connections.find((one) => one.name === name)!,
        failure: workers.keeper.lastFailure(name),
        stranger: workers.keeper.lastStranger,
        now: Date.now(),
      });
    },
    async up(connection): Promise<UpResult> {
      mustExist(connection);
      return { connection, ...(await workers.keeper.up(connection)) };
    },
    async down(connection): Promise<DownResult> {
      mustExist(connection);
      const sas = (await workers.ikeSas()).filter((sa) => sa.connection === connection);
      workers.keeper.down(connection);
      return { connection, deletedIkeSas: sas.length };
    },
    async rekey(connection, what): Promise<RekeyResult> {
      mustExist(connection);
      const sas = (await workers.ikeSas()).filter(
        (sa) => sa.connection === connection && sa.state === 'established',
      );
      workers.rekey(connection, what);
      const children = sas.reduce((sum, sa) => sum + sa.children.length, 0);
      return { connection, what, begun: what === 'child' ? children : sas.length };
    },
    async probe(connection) {
      mustExist(connection);
      return probeConnection(connection, {
        ikeSas: () => workers.ikeSas(),
        probe: (ikeSpi, bytes) => workers.probe(ikeSpi, bytes),
        counters: (inboundSpi) => dataplane.counters(inboundSpi),
        portMtu: () => portMtu(configuration.running),
        knownMtu: knownPathMtu,
      });
    },
    async capture(query) {
      if (query.connection !== undefined) mustExist(query.connection);
      return watcher.capture(query);
    },
    async trace(packets, seconds) {
      if (packets.connection !== undefined) mustExist(packets.connection);
      return watcher.trace(packets, seconds);
    },
    plan: async (): Promise<Plan> => configuration.plan(),
    apply: () => configuration.apply(),
  };
}

/** The largest of the WAN ports. */
function portMtu({ ports }: GatewayConfig): number {
  const mtus = ports.filter(({ role }) => role === 'wan').map(({ device }) => interfaceMtu(device));
  return Math.max(...mtus.map((mtu) => mtu ?? ETHERNET_MTU));
}
