/** What the ESP and the pipeline benchmark have in common: sizes, columns and interleaving. */
import type { Cost, TunnelBenchOptions, TunnelBenchResult } from '../src/dataplane/addon.js';
import { type BenchColumn, type BenchRow, median } from './table.js';

export const INNER_BYTES = [64, 256, 512, 1024, 1420];
export const BATCH = 32;
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

/** Rows for both directions of every size; sizes take turns, so that noise meets all of them. */
export function measure(bench: Bench, tunnels: number): BenchRow[] {
  const results = INNER_BYTES.map(() => [] as TunnelBenchResult[]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, innerBytes] of INNER_BYTES.entries()) {
      const options = { keyBits: 128, innerBytes, batch: BATCH, tunnels } as const;
      results[i]!.push(bench({ ...options, milliseconds: MILLISECONDS }));
    }
  }
  return (['outbound', 'inbound'] as const).flatMap((direction) =>
    INNER_BYTES.map((bytes, i) => {
      const costs = results[i]!.map((result) => result[direction]);
      return row(direction, tunnels, bytes, costs);
    }),
  );
}

function row(direction: string, tunnels: number, bytes: number, costs: readonly Cost[]): BenchRow {
  const nanoseconds = median(costs.map((c) => c.nanosecondsPerPacket));
  return {
    direction,
    tunnels,
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
