/**
 * One tunnel on two workers, as a ratio to one: what sharing the packets of a queue brings, and what
 * an SA for each of two queues does beside one for both (RFC 9611).
 */
import { addon, type Cost, type TunnelBenchResult } from '../../src/dataplane/addon.js';
import { type BenchRow, type BenchTable, describeMachine, median, printIfMain } from '../table.js';
import { INNER_BYTES } from '../tunnel.js';

const ROUNDS = 5;
const MILLISECONDS = 100;
const ARRANGEMENTS = [
  { workers: 1, queues: 1 },
  { workers: 2, queues: 1 },
  { workers: 2, queues: 2 },
  { workers: 2, queues: 2, ownSas: true },
] as const;

/** Two workers: on one queue, on two that share an SA, on two with an SA each. */
const WAYS = ['split', 'own', 'shared'] as const;
type Way = (typeof WAYS)[number];

type WorkersBenchResult = Record<'one' | Way, TunnelBenchResult>;

function measure(innerBytes: number): WorkersBenchResult {
  const options = { keyBits: 128, innerBytes, batch: 64, tunnels: 1 } as const;
  const [one, shared, split, own] = addon.benchWorkers({
    ...options,
    milliseconds: MILLISECONDS,
    arrangements: ARRANGEMENTS,
  });
  return { one: one!, shared: shared!, split: split!, own: own! };
}

export async function benchWorkers(): Promise<BenchTable> {
  const results = INNER_BYTES.map(() => [] as WorkersBenchResult[]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, innerBytes] of INNER_BYTES.entries()) {
      results[i]!.push(measure(innerBytes));
    }
  }
  return {
    name: 'workers',
    title: 'One tunnel on two workers, over memory ports',
    notes: [
      `AES-128-GCM, IPv4 in IPv4, bursts of 64; medians of ${ROUNDS} rounds that alternate with one worker.`,
      'The cost is the time that passes for a packet. On one queue its owner receives, keeps the order and sends.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'direction', title: 'direction' },
      { key: 'queues', title: 'queues', digits: 0 },
      { key: 'sas', title: 'SAs', digits: 0 },
      { key: 'bytes', title: 'inner packet', unit: 'bytes', digits: 0 },
      { key: 'one', title: 'one worker', unit: 'ns/packet', digits: 1 },
      { key: 'two', title: 'two workers', unit: 'ns/packet', digits: 1 },
      { key: 'ratio', title: 'ratio', digits: 2 },
      { key: 'best', title: 'ratio of best', digits: 2 },
    ],
    rows: (['outbound', 'inbound'] as const).flatMap((direction) =>
      WAYS.flatMap((way) => INNER_BYTES.map((bytes, i) => row(direction, way, bytes, results[i]!))),
    ),
  };
}

function row(
  direction: 'outbound' | 'inbound',
  way: Way,
  bytes: number,
  results: readonly WorkersBenchResult[],
): BenchRow {
  const [one, two] = [results.map((r) => r.one[direction]), results.map((r) => r[way][direction])];
  const typical = (costs: readonly Cost[]) => median(costs.map((c) => c.nanosecondsPerPacket));
  const best = (costs: readonly Cost[]) =>
    Math.min(...costs.map((c) => c.bestNanosecondsPerPacket));
  return {
    direction,
    queues: way === 'shared' ? 1 : 2,
    sas: way === 'own' ? 2 : 1,
    bytes,
    one: typical(one),
    two: typical(two),
    ratio: typical(one) / typical(two),
    best: best(one) / best(two),
  };
}

await printIfMain(import.meta.url, benchWorkers);
