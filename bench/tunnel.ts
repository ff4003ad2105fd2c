/** What the ESP and the pipeline benchmark have in common: sizes, columns and interleaving. */
import type {
  Cost,
  TunnelBenchOptions,
  TunnelBenchResult,
} from '../src/dataplane/bindings/bench.js';
import { type BenchColumn, type BenchRow, median } from './table.js';

export const INNER_BYTES = [64, 256, 512, 1024, 1420];
export const BATCH = 32;
export const SUITE = 'AES-GCM-16-128';
const ROUNDS = 5;
const MILLISECONDS = 30;

export const COLUMNS: readonly BenchColumn[] = [
  { key: 'direction', title: 'direction' },
  { key: 'tunnels', title: 'tunnels', digits: 0 },
  { key: 'bytes', title: 'inner packet', unit: 'bytes', digits: 0 },
  { key: 'ticks', title: 'cost', unit: 'ticks/packet', digits: 0 },
  { key: 'nanoseconds', title: 'cost', unit: 'ns/packet', digits: 1 },
  { key: 'best', title: 'best', unit: 'ns/packet', digits: 1 },
  { key: 'megapackets', title: 'rate', unit: 'Mpps', digits: 2 },
  { key: 'gigabits', title: 'rate', unit: 'Gbit/s', digits: 2 },
];

type Bench = (options: TunnelBenchOptions) => TunnelBenchResult;

/** What the packets of a row are protected with, and how many tunnels they take turns with. */
export interface Kind {
  readonly suite?: string;
  readonly engine?: string;
  readonly tunnels: number;
}

/** Rows for both directions of every size; all take turns, so that noise meets all of them. */
export function measure(bench: Bench, kinds: readonly Kind[]): BenchRow[] {
  const series = kinds.flatMap((kind) =>
    INNER_BYTES.map((innerBytes) => ({ kind, innerBytes, results: [] as TunnelBenchResult[] })),
  );
  for (let round = 0; round < ROUNDS; round++) {
    for (const { kind, innerBytes, results } of series) {
      const options = { suite: SUITE, ...kind, innerBytes, batch: BATCH };
      results.push(bench({ ...options, milliseconds: MILLISECONDS }));
    }
  }
  const rowsOf = (direction: 'outbound' | 'inbound') =>
    series.map(({ kind, innerBytes, results }) => ({
      ...kind,
      ...row(
        direction,
        innerBytes,
        results.map((result) => result[direction]),
      ),
    }));
  return [...rowsOf('outbound'), ...rowsOf('inbound')];
}

function row(direction: string, bytes: number, costs: readonly Cost[]): BenchRow {
  const nanoseconds = median(costs.map((c) => c.nanosecondsPerPacket));
  return {
    direction,
    bytes,
    ticks: median(costs.map((c) => c.ticksPerPacket)),
    nanoseconds,
    best: Math.min(...costs.map((c) => c.bestNanosecondsPerPacket)),
    megapackets: 1e3 / nanoseconds,
    gigabits: (bytes * 8) / nanoseconds,
  };
}

export const NOTES = [
  `AES-128-GCM, IPv4 in IPv4, batches of ${BATCH}, one core; medians of ${ROUNDS} interleaved rounds.`,
  'Ticks are those of the time stamp counter. Bits are those of inner packets.',
];
