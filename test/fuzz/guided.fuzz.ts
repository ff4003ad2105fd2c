/**
 * Guided fuzzing of the IKE decoder (`wire`), and of what the core does with what a peer has sealed
 * (`sealed`), from the corpus of earlier runs:
 *
 *   npm run fuzz:guided -- [--target sealed] [--seconds 300] [--seed 1] [--save]
 *
 * A failure prints the case and exits with 1. `--save` keeps the least cases of what was reached.
 */
import { parseArgs } from 'node:util';
import { Coverage } from './coverage.js';
import { Guided } from './guided.js';
import { Random } from './random.js';
import { readCorpus, seedsOf, TARGETS, writeCorpus } from './seeds.js';

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'sealed' },
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    save: { type: 'boolean', default: false },
  },
});

const target = TARGETS[values.target];
if (target === undefined) {
  console.error(`--target is one of ${Object.keys(TARGETS).join(', ')}`);
  process.exit(2);
}

const began = performance.now();
const elapsed = () => (performance.now() - began) / 1000;
const coverage = new Coverage((url) => url.includes('/src/'));
const seeds = [...readCorpus(values.target), ...seedsOf(values.target)];
try {
  const fuzzer = new Guided(target, coverage, new Random(Number(values.seed)), seeds);
  const [kept, blocks] = [fuzzer.corpus.length, coverage.size];
  while (elapsed() < Number(values.seconds)) fuzzer.runBatch();
  const perSecond = Math.round(fuzzer.cases / elapsed());
  console.log(
    `${fuzzer.cases} cases, ${perSecond} a second: ${coverage.size} blocks, ${blocks} of them by the ` +
      `corpus; ${fuzzer.corpus.length} cases kept, ${kept} at first`,
  );
  const outcomes = [...fuzzer.outcomes].sort(([, a], [, b]) => b - a);
  for (const [outcome, n] of outcomes.slice(0, 25))
    console.log(`${String(n).padStart(9)}  ${outcome}`);
  if (values.save) writeCorpus(values.target, fuzzer.corpus);
} catch (error) {
  console.log((error as Error).stack, (error as Error).cause);
  process.exitCode = 1;
}
