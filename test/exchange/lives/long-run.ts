/**
 * `npm run lives -- [--first 1] [--count 100000] [--processes 2]`: a long run of lives, told part
 * by part; the seeds of a failure are told at once, and it ends with an error.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PROCESSES, playLives, type Summary } from './lives.js';

/** Lives that are told of together: some minutes. */
const PART = 10_000;

const { values } = parseArgs({
  options: {
    first: { type: 'string', default: '1' },
    count: { type: 'string', default: '100000' },
    processes: { type: 'string', default: `${PROCESSES}` },
  },
});
const [first, count, processes] = [values.first, values.count, values.processes].map(Number);

function tell(from: number, summary: Summary): void {
  tellCounts(from, summary);
  for (const [seed, problem] of summary.problems) console.log(`  seed ${seed}: ${problem}`);
}

function tellCounts(from: number, summary: Summary): void {
  const { lives, sessions, rekeyings, datagrams, cpuSeconds, failures } = summary;
  console.log(
    `seeds ${from} to ${from + lives - 1}: ${sessions} sessions, ${rekeyings} rekeyings, ` +
      `${datagrams} datagrams, ${((1000 * cpuSeconds) / lives).toFixed(2)} ms of CPU each, ${failures} failures`,
  );
}

const program = fileURLToPath(new URL('simulate.js', import.meta.url));
const began = performance.now();
const each = Math.min(PART, Math.ceil(count! / processes!));
const total = await playLives(program, first!, count!, { processes: processes!, each, told: tell });
const seconds = (performance.now() - began) / 1000;
console.log(`${(total.lives / seconds).toFixed(0)} lives a second; all of them:`);
tellCounts(first!, total);
for (const [fault, lives] of Object.entries(total.faults)) console.log(`  ${fault}: ${lives}`);
if (total.failures > 0) process.exitCode = 1;
