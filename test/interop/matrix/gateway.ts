/**
 * esplane's end of the matrix: a dataplane over memory ports, with a pair of SAs for each cell. The
 * host behind it and the wire are in the test's hands.
 */
import { Secret } from '../../../src/crypto/secret.js';
import type { SpdEntry } from '../../../src/dataplane/dataplane.js';
import { MemoryHost } from '../../../src/dataplane/memory-host.js';
import { NativeDataplane } from '../../../src/dataplane/native.js';
import type { ChildSa, ChildSaCounters, EspSpi } from '../../../src/sad/sad.js';
import type { TrafficSelector } from '../../../src/wire/traffic-selector.js';
import { addressBytes, frame, ipOf } from '../../unit/dataplane/packets.js';
import { type Cell, NETWORKS, OURS } from './cells.js';

export class MatrixGateway {
  readonly #dataplane: NativeDataplane;
  readonly #host: MemoryHost;
  readonly #wire: MemoryHost;
  readonly #kernel: MemoryHost;

  constructor(name: string, cells: readonly Cell[]) {
    const links = { lan: `${name}-lan`, wan: `${name}-wan`, kernel: `${name}-kernel` };
    this.#dataplane = NativeDataplane.create({
      workers: 1,
      maxChildSas: 4096,
      framesPerQueue: 2048,
      frameBytes: 2048,
      reinjectLink: links.kernel,
    });
    const memory = { kind: 'memory', device: '', queues: 1 } as const;
    this.#dataplane.addPort({
      ...memory,
      name: 'lan',
      role: 'lan',
      link: links.lan,
      networks: NETWORKS.ours,
    });
    this.#dataplane.addPort({
      ...memory,
      name: 'wan',
      role: 'wan',
      link: links.wan,
      networks: ['192.0.2.0/24', '2001:db8::/64', ...NETWORKS.theirs, ...NETWORKS.theirOwn],
      addresses: [OURS[4], OURS[6]],
    });
    this.#dataplane.setNetworks({
      localAddresses: [OURS[4], OURS[6]],
      localProtected: NETWORKS.ours,
      remoteProtected: [...NETWORKS.theirs, ...NETWORKS.theirOwn],
    });
    this.#dataplane.setSpd(cells.flatMap(policies));
    this.#host = new MemoryHost(links.lan);
    this.#wire = new MemoryHost(links.wan);
    this.#dataplane.start();
    this.#kernel = new MemoryHost(links.kernel);
  }

  /** Installs the pair of a cell, and sets its `ourSpi`. Throws why it cannot. */
  install(cell: Cell): void {
    const spi = this.#dataplane.allocateSpi();
    try {
      this.#dataplane.install(childSa(cell, spi));
    } catch (error) {
      this.#dataplane.releaseSpi(spi);
      throw error;
    }
    cell.ourSpi = spi;
  }

  /** Sends IP packets from the host behind the gateway, or from the gateway's own host. */
  send(packets: readonly Uint8Array[]): void {
    const frames = packets.map((packet) => frame(packet));
    if (this.#host.send(frames) !== frames.length) throw new Error('the LAN is full');
  }

  /** IP packets that reached the host behind the gateway, or the gateway's own. */
  delivered(): Uint8Array[] {
    return [...this.#host.receive().map(ipOf), ...this.#kernel.receive()];
  }

  /** Frames that leave for the wire. */
  toWire(): Uint8Array[] {
    return this.#wire.receive();
  }

  fromWire(frame: Uint8Array): void {
    if (this.#wire.send([frame]) !== 1) throw new Error('the wire is full');
  }

  counters(cell: Cell): ChildSaCounters {
    return this.#dataplane.counters(cell.ourSpi as EspSpi)!;
  }

  /** Drops of the whole gateway, by name. */
  get drops(): Record<string, number> {
    const counted = Object.entries(this.#dataplane.statistics().drops).filter(([, n]) => n > 0n);
    return Object.fromEntries(counted.map(([name, n]) => [name, Number(n)]));
  }

  stop(): void {
    this.#dataplane.stop();
    for (const host of [this.#host, this.#wire, this.#kernel]) host.close();
  }
}

const policyOf = (cell: Cell): string => `cell-${cell.index}`;

function policies(cell: Cell): SpdEntry[] {
  return (['outbound', 'inbound'] as const).map((direction) => ({
    action: 'protect',
    direction,
    policy: policyOf(cell),
    ...selectors(cell),
  }));
}

function selectors({ ourHost, theirHost }: Cell) {
  return { localSelectors: [selector(ourHost)], remoteSelectors: [selector(theirHost)] };
}

/** One address, any protocol and port. */
function selector(address: string): TrafficSelector {
  const bytes = addressBytes(address);
  return {
    family: bytes.length === 4 ? 4 : 6,
    protocol: 0,
    startPort: 0,
    endPort: 65535,
    startAddress: bytes,
    endAddress: bytes,
  };
}

function childSa(cell: Cell, spi: EspSpi): ChildSa {
  const { transform, column } = cell;
  const port = column.udp ? 4500 : 500;
  return {
    policy: policyOf(cell),
    protocol: transform.protocol,
    mode: column.mode,
    local: { address: cell.ours, port },
    remote: { address: cell.theirs, port },
    udpEncapsulation: column.udp,
    inboundSpi: spi,
    outboundSpi: cell.theirSpi as EspSpi,
    encryption: transform.encryption,
    keyBits: transform.keyBits,
    integrity: transform.integrity,
    inboundKey: new Secret(Uint8Array.from(cell.theirKeymat)),
    outboundKey: new Secret(Uint8Array.from(cell.ourKeymat)),
    esn: column.esn,
    replayWindow: 64,
    outboundSequence: cell.lastSequence,
    inboundSequence: cell.lastSequence,
    ...selectors(cell),
  };
}
