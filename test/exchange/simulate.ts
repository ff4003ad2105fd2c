/**
 * Plays many lives of a tunnel: `node build/exchange/test/exchange/simulate.js FIRST COUNT`. Prints
 * a line of JSON (`Summary`) when all are over. Seeds that fail are played again, and drawn, by
 * `npm run replay -- life SEED`.
 */
import { playLife } from './lifecycle.js';

export interface Summary {
  readonly sessions: number;
  readonly rekeyings: number;
  readonly datagrams: number;
  /** Sessions of so many gateways, and with each fault. */
  readonly gateways: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  /** Seed and what is wrong; the first hundred. */
  readonly problems: readonly (readonly [number, string])[];
  readonly cpuSeconds: number;
}

const [first = 0, count = 100] = process.argv.slice(2).map(Number);
const faults: Record<string, number> = {};
const gateways: Record<string, number> = {};
const problems: [number, string][] = [];
let rekeyings = 0;
let datagrams = 0;
for (let seed = first; seed < first + count; seed++) {
  const life = playLife(seed);
  rekeyings += life.rekeyings;
  datagrams += life.network.chart.length;
  gateways[life.gateways] = (gateways[life.gateways] ?? 0) + 1;
  for (const fault of life.faults) faults[fault] = (faults[fault] ?? 0) + 1;
  if (life.problem !== undefined && problems.length < 100) problems.push([seed, life.problem]);
}
const { user, system } = process.cpuUsage();
const summary: Summary = {
  sessions: count,
  rekeyings,
  datagrams,
  gateways,
  faults,
  problems,
  cpuSeconds: (user + system) / 1e6,
};
process.stdout.write(`${JSON.stringify(summary)}\n`);
