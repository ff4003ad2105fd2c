/**
 * TCP between two hosts of which no setting is touched: an MTU of 1500 everywhere, checksums and
 * segmentation left to the "hardware" of their veth, windows as the kernel chooses them. Through
 * the tunnel, and routed into the interface of one, each bare and in UDP, beside the same gateways,
 * ports and workers with the transform switched off. The ways take turns, so that all see the same
 * machine.
 *
 * A gateway with nothing but route-based tunnels needs no LAN port, and then its veth keeps the
 * segmentation that an XDP program takes from it. One with a LAN port as well is the last way, with
 * GRO there, as `esplane doctor` says: a network card has it on, a veth has not.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NamespaceLab } from '../../src/lab/namespace-lab.js';
import { execute, inNamespace, ipBatch } from '../../src/lab/namespaces.js';
import { LAN, makeTopology, type Topology } from '../../src/lab/topology.js';
import { measureTcp, serveTcp } from '../../src/lab/traffic.js';
import {
  type BenchColumn,
  type BenchRow,
  type BenchTable,
  describeMachine,
  median,
  printIfMain,
} from '../table.js';

const ROUNDS = 6;
const SECONDS = 2;
/** The interface of the route-based tunnel. */
const TUN = 'ipsec0';
const WAYS = {
  plain: 'plain forwarder',
  bare: 'ESP',
  udp: 'ESP in UDP',
  routed: 'by interface',
  routedUdp: '... in UDP',
  routedLan: '... LAN port',
} as const;
const ORDER = Object.keys(WAYS) as Way[];
const FLOWS = ['ipv4 send', 'ipv4 receive', 'ipv6 send', 'ipv6 receive'] as const;

type Way = keyof typeof WAYS;
type Flow = (typeof FLOWS)[number];
/** Bits a second. */
type Round = Record<Flow, Record<Way, number>>;

interface Scene {
  readonly topology: Topology;
  readonly folder: string;
  readonly lab: NamespaceLab;
}

/** Gateways that nobody sends anything sleep: all may be there at once. */
async function build(way: Way): Promise<Scene> {
  const isRouted = way.startsWith('routed');
  const topology = makeTopology({ untouched: true });
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const lab = await NamespaceLab.start(topology, folder, way === 'plain', (settings) => ({
    ...settings,
    udpEncapsulation: way === 'udp' || way === 'routedUdp' ? 'always' : 'auto',
    ...(isRouted ? { interface: TUN, lanPort: way === 'routedLan' } : {}),
  }));
  if (isRouted) routeIntoTunnel(topology);
  if (way === 'routedLan') joinSegments(topology);
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

function joinSegments({ a, b }: Topology): void {
  for (const { gatewayNamespace } of [a, b])
    execute(inNamespace(gatewayNamespace, ['ethtool', '-K', LAN, 'gro', 'on']));
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
    const round = eachOf(FLOWS, () => eachOf(ORDER, () => 0));
    for (const flow of FLOWS) {
      // Each way is first, second and last as often as the others.
      for (const way of ORDER.map((_, n) => ORDER[(n + i) % ORDER.length]!))
        round[flow][way] = await measure(scenes[way], flow);
    }
    rounds.push(round);
  }
  return rounds;
}

function eachOf<Key extends string, Value>(
  keys: readonly Key[],
  value: (key: Key) => Value,
): Record<Key, Value> {
  return Object.fromEntries(keys.map((key) => [key, value(key)])) as Record<Key, Value>;
}

/** A column of rates for each way, and beside all but the first their ratio to it. */
const COLUMNS: readonly BenchColumn[] = [
  { key: 'tcp', title: 'TCP over' },
  ...ORDER.flatMap((way) => [
    { key: way, title: WAYS[way], unit: 'Mbit/s', digits: 0 },
    ...(way === 'plain' ? [] : [{ key: `${way}Ratio`, title: 'ratio', digits: 2 }]),
  ]),
];

function rowOf(flow: Flow, rounds: readonly Round[]): BenchRow {
  const middle = (value: (of: Record<Way, number>) => number) =>
    median(rounds.map((round) => value(round[flow])));
  return {
    tcp: flow.replace('send', 'a -> b').replace('receive', 'b -> a'),
    ...eachOf(ORDER, (way) => middle((of) => of[way] / 1e6)),
    ...Object.fromEntries(ORDER.map((way) => [`${way}Ratio`, middle((of) => of[way] / of.plain)])),
  };
}

export async function benchUntouched(): Promise<BenchTable> {
  const scenes = {} as Record<Way, Scene>;
  for (const way of ORDER) scenes[way] = await build(way);
  const rounds = await measureRounds(scenes).finally(() =>
    Promise.all(Object.values(scenes).map(remove)),
  );
  return {
    name: 'untouched',
    title: 'TCP between hosts with an MTU of 1500 and every offload, two gateways over AF_XDP',
    notes: [
      `One connection; ${ROUNDS} rounds of ${SECONDS} s each, medians, also of the ratios.`,
      'Hosts, gateways and the wire share the cores: the ratio says more than the rates.',
      'By interface: the LAN is no port; LAN port: it is one, with GRO on.',
    ],
    machine: describeMachine(),
    columns: COLUMNS,
    rows: FLOWS.map((flow) => rowOf(flow, rounds)),
  };
}

await printIfMain(import.meta.url, benchUntouched);
