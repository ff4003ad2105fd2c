/**
 * Plays lives of a tunnel in one process: `node build/exchange/test/exchange/simulate.js FIRST
 * COUNT [stop]`, with `stop` up to the first that fails. Prints a line of JSON (`Summary`) when all are
 * over; `lives.ts` runs it on all cores.
 */
import { playLife } from './lifecycle.js';
import type { Summary } from './lives.js';

const [first = 0, count = 100] = process.argv.slice(2, 4).map(Number);
const most = process.argv[4] === 'stop' ? 1 : 100;
const faults: Record<string, number> = {};
const gateways: Record<string, number> = {};
const problems: [number, string][] = [];
let failures = 0;
let sessions = 0;
let rekeyings = 0;
let datagrams = 0;
let seed = first;
for (; seed < first + count && (most > 1 || failures === 0); seed++) {
  const life = playLife(seed, false);
  if (life.rekeyings >= 2) sessions++;
  rekeyings += life.rekeyings;
  datagrams += life.network.chart.length;
  gateways[life.gateways] = (gateways[life.gateways] ?? 0) + 1;
  for (const fault of life.faults) faults[fault] = (faults[fault] ?? 0) + 1;
  if (life.problem === undefined) continue;
  failures++;
  if (problems.length < most) problems.push([seed, life.problem]);
}
const { user, system } = process.cpuUsage();
const summary: Summary = {
  lives: seed - first,
  sessions,
  rekeyings,
  datagrams,
  gateways,
  faults,
  failures,
  problems,
  cpuSeconds: (user + system) / 1e6,
};
process.stdout.write(`${JSON.stringify(summary)}\n`);
