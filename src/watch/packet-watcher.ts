/** What `capture` and `trace` ask of a running gateway. */
import { HOST_SCOPE, type InterfaceStatus, type PortStatus } from '../dataplane/dataplane.js';
import {
  type PacketChoice,
  type PacketFilter,
  startCapture,
  startTrace,
  type TracedPlace,
  type TraceReport,
} from '../dataplane/watch.js';
import type { IkeSaView } from '../ike/event.js';
import type { Connection } from '../policy/connection.js';
import { version } from '../version.js';
import { connectionFilter } from './connection-filter.js';
import { bothFilters, parseFilter } from './filter.js';
import { type CapturedInterface, fileHead, lossBlock } from './pcapng.js';

/** Which packets: those that pass the filter and, where one is named, are of the connection. */
export interface WatchedPackets {
  /** Text, as `filter.ts` has it. */
  readonly filter: string;
  readonly connection?: string;
}

export interface CaptureQuery extends WatchedPackets {
  /** As they are on WAN ports; on LAN ports, interfaces of tunnels and the host's; or on both. */
  readonly where: 'outside' | 'inside' | 'both';
  /** Of each packet at most. */
  readonly snapBytes: number;
}

export interface TraceAnswer {
  /** Undefined: no packet came in time. */
  readonly report?: TraceReport;
  /** Names of the ports, or interfaces, and connection and Child SA of the SA, where it still exists. */
  readonly receivedOn?: string;
  readonly sentOn?: string;
  readonly connection?: string;
  readonly child?: string;
}

export interface WatchedGateway {
  readonly dataplane: {
    readonly id: number;
    ports(): readonly PortStatus[];
    interfaces(): readonly InterfaceStatus[];
  };
  /** Of the configuration that runs. */
  readonly connections: () => readonly Connection[];
  readonly ikeSas: () => Promise<readonly IkeSaView[]>;
}

/** Bytes that go into a pcapng file, one after the other. */
export interface CaptureStream {
  /** What has come since; empty where nothing has. */
  read(): Uint8Array;
  stop(): void;
}

/** What people read for the gateway's own TUN. */
const HOST_NAME = 'host';
const RING_BYTES = 1 << 21;
const POLL_MS = 5;

export class PacketWatcher {
  readonly #gateway: WatchedGateway;

  constructor(gateway: WatchedGateway) {
    this.#gateway = gateway;
  }

  /** Begins at once. Throws `FilterError`, and where another capture runs. */
  async capture(query: CaptureQuery): Promise<CaptureStream> {
    const { dataplane } = this.#gateway;
    const capture = startCapture(dataplane.id, {
      ...(await this.#chosen(query)),
      outside: query.where !== 'inside',
      inside: query.where !== 'outside',
      snapBytes: query.snapBytes,
      ringBytes: RING_BYTES,
    });
    const places = capturedInterfaces(dataplane, capture.portPlaces());
    let waiting: Uint8Array = fileHead(`esplane ${version}`, places);
    let toldLost = 0;
    return {
      read() {
        const { dropped } = capture.counts();
        const loss = dropped > toldLost ? lossBlock(dropped, Date.now()) : new Uint8Array();
        toldLost = dropped;
        const bytes = Buffer.concat([waiting, capture.read(), loss]);
        waiting = new Uint8Array();
        return bytes;
      },
      stop: () => capture.stop(),
    };
  }

  /** Waits for the next packet. Throws `FilterError`, and where another trace waits. */
  async trace(packets: WatchedPackets, seconds: number): Promise<TraceAnswer> {
    const { dataplane } = this.#gateway;
    const trace = startTrace(dataplane.id, await this.#chosen(packets));
    try {
      const end = performance.now() + seconds * 1000;
      while (performance.now() < end) {
        const report = trace.report();
        if (report !== null) return { report, ...(await this.#names(report)) };
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      return {};
    } finally {
      trace.stop();
    }
  }

  /** A route-based tunnel is all that its interface has, whatever the addresses. */
  async #chosen(query: WatchedPackets): Promise<PacketChoice> {
    const filter = await this.#filterOf(query);
    const connection = this.#connection(query.connection);
    if (connection === undefined) return { filter, interfaceFilter: filter };
    if (connection.interface === undefined)
      return { filter, interfaceFilter: filter, interfaces: [HOST_SCOPE] };
    const interfaces = this.#gateway.dataplane
      .interfaces()
      .filter(({ name }) => name === connection.interface)
      .map(({ scope }) => scope);
    return { filter, interfaceFilter: parseFilter(query.filter), interfaces };
  }

  #connection(name: string | undefined): Connection | undefined {
    return this.#gateway.connections().find((one) => one.name === name);
  }

  async #filterOf({ filter, connection: name }: WatchedPackets): Promise<PacketFilter> {
    const wanted = parseFilter(filter);
    const connection = this.#connection(name);
    if (connection === undefined) return wanted;
    const sas = (await this.#gateway.ikeSas()).filter((sa) => sa.connection === name);
    return bothFilters(connectionFilter(connection, sas), wanted);
  }

  async #names({ receivedAt, sentAt, spi, outbound }: TraceReport): Promise<TraceAnswer> {
    const receivedOn = this.#nameOf(receivedAt);
    const sentOn = sentAt && this.#nameOf(sentAt);
    const sas = await this.#gateway.ikeSas();
    const [owner] = sas.flatMap(({ connection, children }) =>
      children
        .filter((child) => spi === (outbound ? child.outboundSpi : child.inboundSpi))
        .map((child) => ({ connection, child: child.name })),
    );
    return {
      ...(receivedOn === undefined ? {} : { receivedOn }),
      ...(sentOn === undefined ? {} : { sentOn }),
      ...owner,
    };
  }

  /** Undefined: it has gone since. */
  #nameOf(place: TracedPlace): string | undefined {
    const { dataplane } = this.#gateway;
    if ('port' in place) return dataplane.ports().find((one) => one.number === place.port)?.name;
    if (place.interface === HOST_SCOPE) return HOST_NAME;
    return dataplane.interfaces().find((one) => one.scope === place.interface)?.name;
  }
}

/** By their places, of which those that are free have an entry too. */
function capturedInterfaces(
  dataplane: WatchedGateway['dataplane'],
  portPlaces: number,
): CapturedInterface[] {
  const described = new Map<number, CapturedInterface>([
    ...dataplane.ports().map((port) => [port.number, describePort(port)] as const),
    [portPlaces + HOST_SCOPE, { name: HOST_NAME, description: 'inside, the host', link: 'ip' }],
    ...dataplane.interfaces().map(({ name, scope }) => {
      const tunnel = { name, description: 'inside, a tunnel', link: 'ip' } as const;
      return [portPlaces + scope, tunnel] as const;
    }),
  ]);
  const count = Math.max(...described.keys()) + 1;
  const free = { name: '-', description: 'none', link: 'ip' } as const;
  return Array.from({ length: count }, (_, place) => described.get(place) ?? free);
}

function describePort({ name, role, mode }: PortStatus): CapturedInterface {
  const side = role === 'wan' ? 'outside' : 'inside';
  return { name, description: `${side}, ${mode}`, link: 'ethernet' };
}
