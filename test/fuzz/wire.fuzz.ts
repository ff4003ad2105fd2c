/**
 * Mutates captured IKE messages and decodes what comes out, a million times over. Every case has
 * to end in a message or in a WireError, in bounded time and memory; a message has to encode, to
 * the same octets however often, and to print within bounds.
 *
 *   npm run fuzz:wire -- [--count 1000000] [--seconds 600] [--seed 1] [--json]
 *
 * A failure prints the seed, the case and its octets, and exits with 1.
 */
import { parseArgs } from 'node:util';
import { digitsOf } from '../unit/wire/fixtures.js';
import { captured, withRightLength } from './captured.js';
import { mutate } from './mutation.js';
import { Random } from './random.js';
import { checkWire } from './targets.js';

/** No case of 64 KiB needs a fifth of it on any machine; a loop without progress would. */
const SLOWEST_MILLISECONDS = 50;
/** What a million cases may leave behind once garbage is collected. */
const MOST_HEAP_GROWTH = 8 * 2 ** 20;

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});

/** One case: a changed message, mostly with the header's length put right. */
function makeCase(random: Random): Uint8Array {
  const data = mutate(random.pick(captured), random, captured);
  return random.oneIn(5) ? data : withRightLength(data);
}

function secondLook(data: Uint8Array): number {
  const before = performance.now();
  checkWire(data);
  return performance.now() - before;
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function heapUsed(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function run(seed: number, count: number, seconds: number) {
  const random = new Random(seed);
  const outcomes = new Map<string, number>();
  const started = performance.now();
  let slowest = 0;
  let heapBefore = 0;
  let done = 0;
  for (; done < count && performance.now() - started < seconds * 1000; done++) {
    // What the engine compiles and caches in its first cases is no leak.
    if (done === Math.min(20_000, count >> 1)) heapBefore = heapUsed();
    const data = makeCase(random);
    let took = 0;
    try {
      const before = performance.now();
      const outcome = checkWire(data);
      took = performance.now() - before;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    } catch (error) {
      return { failed: `${error}`, seed, case: done, data: digitsOf(data) };
    }
    // A busy machine can stop us at any moment; a slow case is slow again.
    if (took > SLOWEST_MILLISECONDS) took = Math.min(...times(3, () => secondLook(data)));
    slowest = Math.max(slowest, took);
    if (took > SLOWEST_MILLISECONDS) {
      return { failed: `takes ${took} ms`, seed, case: done, data: digitsOf(data) };
    }
  }
  const heapGrowth = heapUsed() - heapBefore;
  const measured = { seed, cases: done, slowestMilliseconds: slowest, heapGrowth };
  if (heapGrowth > MOST_HEAP_GROWTH) return { failed: 'memory grows', ...measured };
  const perSecond = Math.round(done / ((performance.now() - started) / 1000));
  return { ...measured, perSecond, outcomes: Object.fromEntries(outcomes) };
}

const result = run(Number(values.seed), Number(values.count), Number(values.seconds));
if ('failed' in result) process.exitCode = 1;
if (values.json || 'failed' in result) {
  console.log(JSON.stringify(result));
} else {
  const { outcomes, ...measured } = result;
  console.log(
    `${measured.cases} cases with seed ${measured.seed}, ${measured.perSecond} a second; ` +
      `slowest ${measured.slowestMilliseconds.toFixed(1)} ms, ` +
      `heap ${(measured.heapGrowth / 2 ** 20).toFixed(1)} MiB more than after the first`,
  );
  const sorted = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  for (const [outcome, n] of sorted.slice(0, 25))
    console.log(`${String(n).padStart(9)}  ${outcome}`);
  const rest = sorted.slice(25).reduce((sum, [, n]) => sum + n, 0);
  if (rest > 0) console.log(`${String(rest).padStart(9)}  ${sorted.length - 25} other outcomes`);
}
