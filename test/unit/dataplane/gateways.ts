/**
 * Two dataplanes in one process: host a - gateway a - wire - gateway b - host b, over memory
 * ports. The hosts, and what the gateways hand to their kernels, are in the test's hands.
 */
import { Secret } from '../../../src/crypto/secret.js';
import type {
  DataplaneEvent,
  DataplaneOptions,
  DataplaneStatistics,
  SpdEntry,
} from '../../../src/dataplane/dataplane.js';
import { MemoryHost } from '../../../src/dataplane/memory-host.js';
import { NativeDataplane } from '../../../src/dataplane/native.js';
import type { ChildSa, EspSpi } from '../../../src/sad/sad.js';
import type { TrafficSelector } from '../../../src/wire/traffic-selector.js';
import { addressBytes } from './packets.js';

export const OPTIONS: DataplaneOptions = {
  workers: 1,
  maxChildSas: 16,
  framesPerQueue: 1024,
  frameBytes: 2048,
};

/** A selector over a range of addresses, any protocol and port. */
export function range(start: string, end: string): TrafficSelector {
  const startAddress = addressBytes(start);
  return {
    family: startAddress.length === 4 ? 4 : 6,
    protocol: 0,
    startPort: 0,
    endPort: 65535,
    startAddress,
    endAddress: addressBytes(end),
  };
}

export interface Site {
  readonly letter: 'a' | 'b';
  readonly outer: string;
  readonly outerV6: string;
  readonly networks: readonly string[];
  readonly gateway: readonly string[];
  readonly selectors: readonly TrafficSelector[];
}

const site = (letter: 'a' | 'b', n: number): Site => ({
  letter,
  outer: `192.0.2.${n}`,
  outerV6: `2001:db8:ffff::${n}`,
  networks: [`10.${n}.0.0/16`, `2001:db8:${n}::/48`],
  gateway: [`10.${n}.0.1`, `2001:db8:${n}::1`],
  selectors: [
    range(`10.${n}.0.0`, `10.${n}.255.255`),
    range(`2001:db8:${n}::`, `2001:db8:${n}:ffff:ffff:ffff:ffff:ffff`),
  ],
});

export const A = site('a', 1);
export const B = site('b', 2);

export const protectBothWays = (local: Site, remote: Site): SpdEntry[] =>
  (['outbound', 'inbound'] as const).map((direction) => ({
    action: 'protect',
    direction,
    policy: 'tunnel',
    localSelectors: local.selectors,
    remoteSelectors: remote.selectors,
  }));

let links = 0;

export class Gateway {
  readonly dataplane: NativeDataplane;
  readonly host: MemoryHost;
  readonly kernel: MemoryHost;
  readonly site: Site;
  readonly events: DataplaneEvent[] = [];

  /** @param wan the link to the other gateway */
  constructor(own: Site, peer: Site, wan: string, options: Partial<DataplaneOptions> = {}) {
    const id = `${wan}-${own.letter}`;
    this.site = own;
    this.dataplane = NativeDataplane.create({
      ...OPTIONS,
      reinjectLink: `${id}-kernel`,
      ...options,
    });
    const queues = options.workers ?? 1;
    this.dataplane.addPort({
      name: 'lan',
      role: 'lan',
      kind: 'memory',
      device: '',
      queues,
      link: `${id}-lan`,
      networks: own.networks,
      addresses: own.gateway,
    });
    this.dataplane.addPort({
      name: 'wan',
      role: 'wan',
      kind: 'memory',
      device: '',
      queues,
      link: wan,
      networks: ['192.0.2.0/24', '2001:db8:ffff::/48', ...peer.networks],
      addresses: [own.outer, own.outerV6],
    });
    this.dataplane.setNetworks({
      localAddresses: [own.outer, own.outerV6, ...own.gateway],
      localProtected: own.networks,
      remoteProtected: peer.networks,
    });
    this.dataplane.setSpd(protectBothWays(own, peer));
    this.dataplane.onEvent((event) => this.events.push(event));
    this.host = new MemoryHost(`${id}-lan`, queues);
    this.dataplane.start();
    this.kernel = new MemoryHost(`${id}-kernel`, this.dataplane.statistics().workers.length);
  }

  get statistics(): DataplaneStatistics {
    return this.dataplane.statistics();
  }

  /** Verdicts that are not zero, as plain numbers. */
  get verdicts(): Record<string, number> {
    const counted = Object.entries(this.statistics.verdicts).filter(([, n]) => n > 0n);
    return Object.fromEntries(counted.map(([name, n]) => [name, Number(n)]));
  }

  stop(): void {
    this.dataplane.stop();
    this.host.close();
    this.kernel.close();
  }
}

export interface TunnelOptions {
  readonly keyBits?: 128 | 256;
  readonly esn?: boolean;
  readonly udpEncapsulation?: boolean;
  readonly outerV6?: boolean;
  readonly replayWindow?: number;
  readonly fragmentation?: 'before' | 'after';
}

/** Key | salt for one direction; the peers hold the same bytes. */
export function keyBytes(direction: number, keyBits: number): Uint8Array {
  return Uint8Array.from({ length: keyBits / 8 + 4 }, (_, i) => (direction * 97 + i * 13) & 255);
}

/** The Child SA of one side of a tunnel. */
export function childSa(
  local: Site,
  remote: Site,
  spis: { readonly inbound: EspSpi; readonly outbound: EspSpi },
  options: TunnelOptions = {},
): ChildSa {
  const { keyBits = 128, esn = false, udpEncapsulation = false, replayWindow = 128 } = options;
  const port = udpEncapsulation ? 4500 : 500;
  const outer = (s: Site) => (options.outerV6 ? s.outerV6 : s.outer);
  const toA = local.letter === 'a';
  return {
    policy: 'tunnel',
    protocol: 'esp',
    mode: 'tunnel',
    local: { address: outer(local), port },
    remote: { address: outer(remote), port },
    udpEncapsulation,
    inboundSpi: spis.inbound,
    outboundSpi: spis.outbound,
    encryption: 20,
    keyBits,
    integrity: 0,
    inboundKey: new Secret(keyBytes(toA ? 1 : 2, keyBits)),
    outboundKey: new Secret(keyBytes(toA ? 2 : 1, keyBits)),
    esn,
    replayWindow,
    ...(options.fragmentation && { fragmentation: options.fragmentation }),
    localSelectors: local.selectors,
    remoteSelectors: remote.selectors,
  };
}

export class Pair {
  readonly a: Gateway;
  readonly b: Gateway;
  readonly wan: string;

  constructor(options: Partial<DataplaneOptions> = {}) {
    this.wan = `pair-${process.pid}-${++links}`;
    this.a = new Gateway(A, B, this.wan, options);
    this.b = new Gateway(B, A, this.wan, options);
  }

  /** Installs a tunnel on both sides, which may see some of it differently. */
  connect(
    options: TunnelOptions = {},
    optionsOfB: TunnelOptions = options,
  ): { readonly a: EspSpi; readonly b: EspSpi } {
    const a = this.a.dataplane.allocateSpi();
    const b = this.b.dataplane.allocateSpi();
    this.a.dataplane.install(childSa(A, B, { inbound: a, outbound: b }, options));
    this.b.dataplane.install(childSa(B, A, { inbound: b, outbound: a }, optionsOfB));
    return { a, b };
  }

  stop(): void {
    this.a.stop();
    this.b.stop();
  }
}

/** Gateway a alone: the test holds the wire too. */
export class Lone {
  readonly gateway: Gateway;
  readonly wire: MemoryHost;

  constructor(options: Partial<DataplaneOptions> = {}) {
    const link = `lone-${process.pid}-${++links}`;
    this.gateway = new Gateway(A, B, link, options);
    this.wire = new MemoryHost(link, options.workers ?? 1);
  }

  /** Installs a's side of a tunnel to a peer that the test plays, with SPI 0x2000. */
  connect(options: TunnelOptions = {}): EspSpi {
    const inbound = this.gateway.dataplane.allocateSpi();
    const spis = { inbound, outbound: 0x2000 as EspSpi };
    this.gateway.dataplane.install(childSa(A, B, spis, options));
    return inbound;
  }

  stop(): void {
    this.gateway.stop();
    this.wire.close();
  }
}

/** Waits until `condition` holds; fails with `what` after two seconds, or as long as is said. */
export async function until(
  condition: () => boolean,
  what: string,
  milliseconds = 2000,
): Promise<void> {
  const deadline = Date.now() + milliseconds;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Collects frames at a host until there are `count`, or two seconds have passed. */
export async function collect(host: MemoryHost, count: number, queues = 1): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  const deadline = Date.now() + 2000;
  while (frames.length < count && Date.now() < deadline) {
    for (let q = 0; q < queues; q++) frames.push(...host.receive(q));
    if (frames.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return frames;
}
