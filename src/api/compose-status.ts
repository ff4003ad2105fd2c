/** Puts the status document together from what the dataplane and the IKE workers tell. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { GatewayConfig } from '../config/gateway-config.js';
import type { Dataplane, InterfaceStatus, PortStatus } from '../dataplane/dataplane.js';
import type { ChildSaView, IkeSaView, Milliseconds } from '../ike/event.js';
import type { Connection } from '../policy/connection.js';
import type { Endpoint } from '../sad/sad.js';
import { version } from '../version.js';
import type { ChildSaStatus, ConnectionStatus, IkeSaStatus, Status } from './status.js';

export interface StatusSources {
  readonly config: GatewayConfig;
  readonly dataplane: Pick<Dataplane, 'interfaces' | 'kernels' | 'ports' | 'statistics'>;
  readonly ikeSas: IkeSasOfConnections;
  readonly connectionState: (name: string) => {
    wanted: ConnectionStatus['wanted'];
    lastError: string | undefined;
  };
  /** Datagrams that the control plane dropped, by name. */
  readonly ikeDrops: Readonly<Record<string, number>>;
  readonly startedAt: Milliseconds;
  readonly now: Milliseconds;
}

/** By the names of their connections. */
export type IkeSasOfConnections = ReadonlyMap<string, readonly IkeSaStatus[]>;

/** So many take a few milliseconds. */
const PART = 200;

/** In parts: nobody waits until all of ten thousand have been looked at. */
export async function composeIkeSas(
  views: readonly IkeSaView[],
  dataplane: Pick<Dataplane, 'counters'>,
  now: Milliseconds,
): Promise<IkeSasOfConnections> {
  const found = new Map<string, IkeSaStatus[]>();
  for (const [n, view] of views.entries()) {
    const status = ikeSaStatus(view, dataplane, now);
    const others = found.get(view.connection);
    if (others === undefined) found.set(view.connection, [status]);
    else others.push(status);
    if (n % PART === PART - 1) await nextTurn();
  }
  return found;
}

/** All of one moment: what it reads of the configuration may be gone with the next turn. */
export function composeStatus(sources: StatusSources): Status {
  const { config, dataplane, now } = sources;
  const statistics = dataplane.statistics();
  const ports = dataplane.ports();
  const interfaces = dataplane.interfaces();
  const doors = new Map(interfaces.map((one) => [one.name, one]));
  return {
    version,
    name: config.name,
    uptimeSeconds: seconds(now - sources.startedAt),
    cryptoKernel: dataplane.kernels().inUse,
    workers: statistics.workers.length,
    workerLoads: statistics.workers.map(({ packets, helpedBursts, busyCycles, cycles, rings }) => ({
      packets: Number(packets),
      helpedBursts: Number(helpedBursts),
      busyCycles: Number(busyCycles),
      cycles: Number(cycles),
      rings,
    })),
    ports: ports.map(portStatus),
    connections: config.connections.map((one) => connectionStatus(one, doors, sources)),
    esp: {
      outPackets: Number(statistics.espOutPackets),
      inPackets: Number(statistics.espInPackets),
      outBytes: Number(statistics.espOutBytes),
      inBytes: Number(statistics.espInBytes),
    },
    drops: nonZero({
      ...Object.fromEntries(
        Object.entries(statistics.drops).map(([name, count]) => [name, Number(count)]),
      ),
      ...portDrops([...ports, statistics.removedPorts]),
      'interface-rx-dropped': interfaces.reduce((sum, one) => sum + Number(one.rxDropped), 0),
      ...sources.ikeDrops,
    }),
  };
}

function portStatus({ rxPackets, txPackets, ...port }: PortStatus): Status['ports'][number] {
  const { name, role, device, mode, note, queues } = port;
  const traffic = { rxPackets: Number(rxPackets), txPackets: Number(txPackets) };
  return { name, role, device, mode, note, queues, ...traffic };
}

/** What the ports lost before a worker saw it, or after. */
function portDrops(
  ports: readonly Pick<PortStatus, 'rxDropped' | 'txFull'>[],
): Record<string, number> {
  const sum = (key: 'rxDropped' | 'txFull') =>
    ports.reduce((total, port) => total + Number(port[key]), 0);
  return { 'port-rx-dropped': sum('rxDropped'), 'port-tx-full': sum('txFull') };
}

function connectionStatus(
  connection: Connection,
  doors: ReadonlyMap<string, InterfaceStatus>,
  sources: StatusSources,
): ConnectionStatus {
  const { name, interface: tun } = connection;
  const door = tun === undefined ? undefined : doors.get(tun);
  const { wanted, lastError } = sources.connectionState(name);
  return {
    name,
    wanted,
    ...(lastError === undefined ? {} : { lastError }),
    ...(door === undefined ? {} : { interface: interfaceStatus(door) }),
    ikeSas: sources.ikeSas.get(name) ?? [],
  };
}

function interfaceStatus({ name, mtu, rxPackets, txPackets }: InterfaceStatus) {
  return { name, mtu, outPackets: Number(rxPackets), inPackets: Number(txPackets) };
}

function ikeSaStatus(
  sa: IkeSaView,
  dataplane: Pick<Dataplane, 'counters'>,
  now: Milliseconds,
): IkeSaStatus {
  const { initiatorSpi, responderSpi, role, state, localId, remoteId, proposal } = sa;
  return {
    initiatorSpi,
    responderSpi,
    role,
    state,
    local: formatEndpoint(sa.local),
    remote: formatEndpoint(sa.remote),
    localId,
    remoteId,
    proposal,
    nat: natOf(sa),
    ageSeconds: seconds(now - (sa.establishedAt ?? sa.startedAt)),
    childSas: sa.children.map((child) => childSaStatus(child, dataplane, now)),
  };
}

function natOf({ natLocal, natRemote }: IkeSaView): IkeSaStatus['nat'] {
  if (natLocal && natRemote) return 'both';
  if (natLocal) return 'local';
  return natRemote ? 'remote' : 'none';
}

function childSaStatus(
  child: ChildSaView,
  dataplane: Pick<Dataplane, 'counters'>,
  now: Milliseconds,
): ChildSaStatus {
  const counters = dataplane.counters(child.inboundSpi);
  const { name, state, proposal, protocol, mode, udpEncapsulation, esn } = child;
  const { localSelectors, remoteSelectors, resource, peerResource } = child;
  return {
    name,
    state,
    inboundSpi: formatSpi(child.inboundSpi),
    outboundSpi: formatSpi(child.outboundSpi),
    proposal,
    protocol,
    mode,
    udpEncapsulation,
    esn,
    localSelectors,
    remoteSelectors,
    ...(resource !== undefined && { resource }),
    ...(peerResource !== undefined && { peerResource }),
    ageSeconds: seconds(now - child.installedAt),
    inPackets: Number(counters?.inPackets ?? 0n),
    inBytes: Number(counters?.inBytes ?? 0n),
    outPackets: Number(counters?.outPackets ?? 0n),
    outBytes: Number(counters?.outBytes ?? 0n),
  };
}

function formatSpi(spi: number): string {
  return spi.toString(16).padStart(8, '0');
}

function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function nonZero(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** To the millisecond, so that rates between two documents are exact. */
function seconds(milliseconds: Milliseconds): number {
  return Math.round(milliseconds) / 1000;
}
