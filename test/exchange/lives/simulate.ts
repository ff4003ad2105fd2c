/**
 * Plays lives of a tunnel in one process: `node build/exchange/test/exchange/lives/simulate.js FIRST
 * COUNT [stop]`, with `stop` up to the first that fails. Prints a line of JSON (`Summary`) when all are
 * over. `lives.ts` runs it on all cores: as its child it plays what it is sent, one part after the
 * other, because a process is slow before its code is optimized.
 */
import { playLife } from './lifecycle.js';
import type { Seeds, Summary } from './lives.js';

/** Problems that are told; all are counted. */
const MOST_PROBLEMS = 100;

let cpuBefore = 0;

/** What the process has used since it was asked last. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  const before = cpuBefore;
  cpuBefore = (user + system) / 1e6;
  return cpuBefore - before;
}

function play({ first, count }: Seeds, stop = false): Summary {
  const faults: Record<string, number> = {};
  const gateways: Record<string, number> = {};
  const problems: [number, string][] = [];
  let failures = 0;
  let sessions = 0;
  let rekeyings = 0;
  let datagrams = 0;
  let seed = first;
  for (; seed < first + count && !(stop && failures > 0); seed++) {
    const life = playLife(seed, false);
    if (life.rekeyings >= 2) sessions++;
    rekeyings += life.rekeyings;
    datagrams += life.network.chart.length;
    gateways[life.gateways] = (gateways[life.gateways] ?? 0) + 1;
    for (const fault of life.faults) faults[fault] = (faults[fault] ?? 0) + 1;
    if (life.problem === undefined) continue;
    failures++;
    if (problems.length < MOST_PROBLEMS) problems.push([seed, life.problem]);
  }
  const counts = { lives: seed - first, sessions, rekeyings, datagrams, failures };
  return { ...counts, gateways, faults, problems, cpuSeconds: cpuSeconds() };
}

if (process.send === undefined) {
  const [first = 0, count = 100] = process.argv.slice(2, 4).map(Number);
  const summary = play({ first, count }, process.argv[4] === 'stop');
  process.stdout.write(`${JSON.stringify(summary)}\n`);
} else process.on('message', (seeds: Seeds) => process.send!(play(seeds)));
