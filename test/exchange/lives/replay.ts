/**
 * Plays one session of the simulation again and draws it: `npm run replay -- life 4711 [--full]
 * [--log]`, or without `life` one of those that only set up. `--full` prints every message as it is
 * on the wire, `--log` what both sides log in between.
 */
import { decodeMessage, describeMessage } from '../../../src/wire/index.js';
import { chartLine, type Network } from '../harness/network.js';
import { playLife } from './lifecycle.js';
import { playSession } from './session.js';

const flags = process.argv.slice(2).filter((word) => word.startsWith('--'));
const [first, second] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const seed = Number(first === 'life' ? second : first);
if (!Number.isInteger(seed)) {
  console.error('usage: npm run replay -- [life] <seed> [--full] [--log]');
  process.exit(2);
}

/** A line of the drawing, and when it happened. */
interface Line {
  readonly at: number;
  readonly text: string;
}

function chart(network: Network): Line[] {
  return network.chart.map((entry) => {
    const full = flags.includes('--full') && entry.fate !== 'arrives';
    const inside = full ? `\n${describeMessage(decodeMessage(entry.data))}` : '';
    return {
      at: entry.at,
      text: chartLine(entry) + inside.replace(/\n/g, '\n             '),
    };
  });
}

function logs({ peers }: Network): Line[] {
  if (!flags.includes('--log')) return [];
  return peers.flatMap(({ name, log, logTimes }) =>
    log.map((line, i) => ({ at: logTimes[i]!, text: `             ${name}: ${line}` })),
  );
}

let story: Line[];
let network: Network;
let problem: string | undefined;
if (first === 'life') {
  const life = playLife(seed);
  ({ network, problem } = life);
  console.log(`seed ${seed}, with ${life.faults.join(', ')}\n`);
  story = life.story.map((text) => ({
    at: Number.parseFloat(text) * 1000,
    text: `=========  ${text}`,
  }));
} else {
  const outcome = playSession(seed);
  ({ network, problem } = outcome);
  console.log(`seed ${seed}: ${outcome.story}, ends ${outcome.end}\n`);
  story = [];
}
const lines = [...story, ...chart(network), ...logs(network)];
for (const { text } of lines.sort((x, y) => x.at - y.at)) console.log(text);
console.log(problem === undefined ? '\nall as it should be' : `\nwrong: ${problem}`);
process.exitCode = problem === undefined ? 0 : 1;
