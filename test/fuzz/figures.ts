/** What the fuzzers have in common: their options, and how they tell what came out. */
import { parseArgs } from 'node:util';

export interface Figures {
  readonly seed: number;
  readonly cases: number;
  readonly perSecond: number;
  /** Octets more than after the first cases, garbage collected. */
  readonly heapGrowth: number;
  readonly rssGrowth: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly [more: string]: unknown;
}

export interface Failure {
  readonly failed: string;
  readonly [more: string]: unknown;
}

export function fuzzOptions(defaultSeconds: number) {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '1000000' },
      seconds: { type: 'string', default: `${defaultSeconds}` },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  });
  const { json } = values;
  return {
    count: Number(values.count),
    seconds: Number(values.seconds),
    seed: Number(values.seed),
    json,
  };
}

/** Octets of JavaScript heap and buffers in use after a collection; run with --expose-gc. */
export function heapUsed(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed: heap, external } = process.memoryUsage();
  return heap + external;
}

export function printFigures(result: Figures | Failure, json: boolean): void {
  if ('failed' in result) process.exitCode = 1;
  if (json) console.log(JSON.stringify(result));
  else if ('failed' in result) printFailure(result as Failure);
  else printTable(result as Figures);
}

function printFailure({ failed, ...rest }: Failure): void {
  console.log(`${failed}\n${JSON.stringify(rest)}`);
}

function printTable(figures: Figures): void {
  const { seed, cases, perSecond, heapGrowth, rssGrowth, outcomes, ...more } = figures;
  const mebibytes = (octets: number) => `${(octets / 2 ** 20).toFixed(2)} MiB`;
  console.log(
    `${cases} cases with seed ${seed}, ${perSecond} a second; heap ${mebibytes(heapGrowth)} and ` +
      `RSS ${mebibytes(rssGrowth)} more than after the first`,
  );
  for (const [name, value] of Object.entries(more)) console.log(`${name}: ${value}`);
  const sorted = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  for (const [outcome, n] of sorted) console.log(`${String(n).padStart(9)}  ${outcome}`);
}
