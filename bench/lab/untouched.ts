/**
 * TCP between two hosts of which no setting is touched: an MTU of 1500 everywhere, checksums and
 * segmentation left to the "hardware" of their veth, windows as the kernel chooses them. Through
 * the tunnel, bare and in UDP, and routed into the interface of one, beside the same gateways,
 * ports and workers with the transform switched off. The ways take turns, so that all see the same
 * machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NamespaceLab } from '../../src/lab/namespace-lab.js';
import { ipBatch } from '../../src/lab/namespaces.js';
import { makeTopology, type Topology } from '../../src/lab/topology.js';
import { measureTcp, serveTcp } from '../../src/lab/traffic.js';
import {
  type BenchColumn,
  type BenchTable,
  describeMachine,
  median,
  printIfMain,
} from '../table.js';

const ROUNDS = 6;
const SECONDS = 2;
/** The interface of the route-based tunnel. */
const TUN = 'ipsec0';
const WAYS = ['plain', 'bare', 'udp', 'routed'] as const;
const FLOWS = ['ipv4 send', 'ipv4 receive', 'ipv6 send', 'ipv6 receive'] as const;

const COLUMNS: readonly BenchColumn[] = [
  { key: 'tcp', title: 'TCP over' },
  { key: 'plain', title: 'plain forwarder', unit: 'Mbit/s', digits: 0 },
  { key: 'bare', title: 'ESP', unit: 'Mbit/s', digits: 0 },
  { key: 'bareRatio', title: 'ratio', digits: 2 },
  { key: 'udp', title: 'ESP in UDP', unit: 'Mbit/s', digits: 0 },
  { key: 'udpRatio', title: 'ratio', digits: 2 },
  { key: 'routed', title: 'ESP by interface', unit: 'Mbit/s', digits: 0 },
  { key: 'routedRatio', title: 'ratio', digits: 2 },
];

type Way = (typeof WAYS)[number];
type Flow = (typeof FLOWS)[number];
/** Bits a second. */
type Round = Record<Way, Partial<Record<Flow, number>>>;

interface Scene {
  readonly topology: Topology;
  readonly folder: string;
  readonly lab: NamespaceLab;
}

/** Gateways that nobody sends anything sleep: all may be there at once. */
async function build(way: Way): Promise<Scene> {
  const topology = makeTopology({ untouched: true });
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const lab = await NamespaceLab.start(topology, folder, way === 'plain', (settings) => ({
    ...settings,
    udpEncapsulation: way === 'udp' ? 'always' : 'auto',
    ...(way === 'routed' ? { interface: TUN } : {}),
  }));
  if (way === 'routed') routeIntoTunnel(topology);
  await serveTcp(topology.b.hostNamespace, join(folder, 'tcp.log'));
  return { topology, folder, lab };
}

/** The hosts' traffic passes the gateways' kernels then, and not their LAN ports. */
function routeIntoTunnel({ a, b }: Topology): void {
  for (const [here, there] of [
    [a, b],
    [b, a],
  ] as const) {
    const networks = Object.values(there.networks);
    ipBatch(
      here.gatewayNamespace,
      networks.map((network) => `route replace ${network} dev ${TUN}`),
    );
  }
}

/** Ends all that runs in the namespaces. */
async function remove({ topology, folder, lab }: Scene): Promise<void> {
  await lab.stop();
  topology.remove();
  rmSync(folder, { recursive: true, force: true });
}

async function measure({ topology: { a, b } }: Scene, flow: Flow): Promise<number> {
  const [family, direction] = flow.split(' ') as ['ipv4' | 'ipv6', 'send' | 'receive'];
  const tcp = await measureTcp(a.hostNamespace, b.host[family], direction, SECONDS);
  return tcp.bitsPerSecond;
}

async function measureRounds(scenes: Readonly<Record<Way, Scene>>): Promise<Round[]> {
  const rounds: Round[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const round: Round = { plain: {}, bare: {}, udp: {}, routed: {} };
    for (const flow of FLOWS) {
      // Each way is first, second and last as often as the others.
      for (const way of WAYS.map((_, n) => WAYS[(n + i) % WAYS.length]!))
        round[way][flow] = await measure(scenes[way], flow);
    }
    rounds.push(round);
  }
  return rounds;
}

export async function benchUntouched(): Promise<BenchTable> {
  const scenes = {
    plain: await build('plain'),
    bare: await build('bare'),
    udp: await build('udp'),
    routed: await build('routed'),
  };
  const rounds = await measureRounds(scenes).finally(() =>
    Promise.all(Object.values(scenes).map(remove)),
  );
  const rate = (way: Way, flow: Flow) => median(rounds.map((round) => round[way][flow]! / 1e6));
  const ratio = (way: Way, flow: Flow) =>
    median(rounds.map((round) => round[way][flow]! / round.plain[flow]!));
  return {
    name: 'untouched',
    title: 'TCP between hosts with an MTU of 1500 and every offload, two gateways over AF_XDP',
    notes: [
      `One connection; ${ROUNDS} rounds of ${SECONDS} s each, medians, also of the ratios.`,
      'Hosts, gateways and the wire share the cores: the ratio says more than the rates.',
    ],
    machine: describeMachine(),
    columns: COLUMNS,
    rows: FLOWS.map((flow) => ({
      tcp: flow.replace('send', 'a -> b').replace('receive', 'b -> a'),
      plain: rate('plain', flow),
      bare: rate('bare', flow),
      bareRatio: ratio('bare', flow),
      udp: rate('udp', flow),
      udpRatio: ratio('udp', flow),
      routed: rate('routed', flow),
      routedRatio: ratio('routed', flow),
    })),
  };
}

await printIfMain(import.meta.url, benchUntouched);
