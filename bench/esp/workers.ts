/**
 * One tunnel on two workers, as a ratio to one: what sharing the packets of a queue brings, and what
 * an SA for each of two queues does beside one for both (RFC 9611). Beside it, what a second core
 * brings at most on this machine, whose cores may be halves of one: ESP alone in two threads.
 */
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { addon } from '../../src/dataplane/addon.js';
import type { Cost, TunnelBenchResult } from '../../src/dataplane/bindings/bench.js';
import { type BenchRow, type BenchTable, describeMachine, median, printIfMain } from '../table.js';
import { BATCH, INNER_BYTES, SUITE } from '../tunnel.js';

const ROUNDS = 5;
const MILLISECONDS = 100;
const ARRANGEMENTS = [
  { workers: 1, queues: 1 },
  { workers: 2, queues: 1 },
  { workers: 2, queues: 2 },
  { workers: 2, queues: 2, ownSas: true },
] as const;

/** Two workers: on one queue, on two that share an SA, on two with an SA each; two threads of ESP. */
const WAYS = {
  split: { alone: 'one', queues: 2, sas: 1 },
  own: { alone: 'one', queues: 2, sas: 2 },
  shared: { alone: 'one', queues: 1, sas: 1 },
  apart: { alone: 'esp', queues: undefined, sas: 2 },
} as const;
type Way = keyof typeof WAYS;
const THREAD = join(dirname(fileURLToPath(import.meta.url)), '../esp-thread.js');

type WorkersBenchResult = Record<'one' | 'esp' | Way, TunnelBenchResult>;

async function measure(innerBytes: number, thread: Worker): Promise<WorkersBenchResult> {
  const options = { suite: SUITE, innerBytes, batch: 64, tunnels: 1 } as const;
  const [one, shared, split, own] = addon.benchWorkers({
    ...options,
    milliseconds: MILLISECONDS,
    arrangements: ARRANGEMENTS,
  });
  const espOptions = { ...options, batch: BATCH, milliseconds: MILLISECONDS };
  const esp = addon.benchEsp(espOptions);
  const other = once(thread, 'message');
  thread.postMessage(espOptions);
  const apart = together(addon.benchEsp(espOptions), (await other)[0]);
  return { one: one!, shared: shared!, split: split!, own: own!, esp, apart };
}

/** What a packet costs where two threads work at the same time. */
function together(a: TunnelBenchResult, b: TunnelBenchResult): TunnelBenchResult {
  const both = (x: number, y: number) => 1 / (1 / x + 1 / y);
  const cost = (direction: 'outbound' | 'inbound'): Cost => ({
    nanosecondsPerPacket: both(
      a[direction].nanosecondsPerPacket,
      b[direction].nanosecondsPerPacket,
    ),
    ticksPerPacket: both(a[direction].ticksPerPacket, b[direction].ticksPerPacket),
    bestNanosecondsPerPacket: both(
      a[direction].bestNanosecondsPerPacket,
      b[direction].bestNanosecondsPerPacket,
    ),
  });
  return { outbound: cost('outbound'), inbound: cost('inbound'), repetitions: a.repetitions };
}

export async function benchWorkers(): Promise<BenchTable> {
  const results = INNER_BYTES.map(() => [] as WorkersBenchResult[]);
  const thread = new Worker(THREAD);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, innerBytes] of INNER_BYTES.entries()) {
      results[i]!.push(await measure(innerBytes, thread));
    }
  }
  await thread.terminate();
  return {
    name: 'workers',
    title: 'One tunnel on two workers, over memory ports',
    notes: [
      `AES-128-GCM, IPv4 in IPv4, bursts of 64; medians of ${ROUNDS} rounds that alternate with one worker.`,
      'The cost is the time that passes for a packet. On one queue its owner receives, keeps the order and sends.',
      `Without queues: ESP alone on batches of ${BATCH}, in two threads that share nothing. No more is to be had.`,
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
      (Object.keys(WAYS) as Way[]).flatMap((way) =>
        INNER_BYTES.map((bytes, i) => row(direction, way, bytes, results[i]!)),
      ),
    ),
  };
}

function row(
  direction: 'outbound' | 'inbound',
  way: Way,
  bytes: number,
  results: readonly WorkersBenchResult[],
): BenchRow {
  const { alone, queues, sas } = WAYS[way];
  const [one, two] = [
    results.map((r) => r[alone][direction]),
    results.map((r) => r[way][direction]),
  ];
  const typical = (costs: readonly Cost[]) => median(costs.map((c) => c.nanosecondsPerPacket));
  const best = (costs: readonly Cost[]) =>
    Math.min(...costs.map((c) => c.bestNanosecondsPerPacket));
  return {
    direction,
    queues,
    sas,
    bytes,
    one: typical(one),
    two: typical(two),
    ratio: typical(one) / typical(two),
    best: best(one) / best(two),
  };
}

await printIfMain(import.meta.url, benchWorkers);
