/**
 * Plays one session of the simulation again and draws it: `npm run replay -- 4711 [--full] [--log]`.
 * `--full` prints every message as it is on the wire, `--log` what both sides log.
 */
import { decodeMessage, describeMessage } from '../../src/wire/index.js';
import { chartLine } from './network.js';
import { playSession } from './session.js';

const [seedText = '', ...flags] = process.argv.slice(2);
if (!/^\d+$/.test(seedText)) {
  console.error('usage: npm run replay -- <seed> [--full] [--log]');
  process.exit(2);
}
const { story, end, problem, network } = playSession(Number(seedText));
console.log(`seed ${seedText}: ${story}\n`);
for (const entry of network.chart) {
  console.log(chartLine(entry));
  if (flags.includes('--full') && entry.fate !== 'arrives') {
    console.log(describeMessage(decodeMessage(entry.data)).replace(/^/gm, '             '));
  }
}
if (flags.includes('--log')) {
  for (const peer of [network.a, network.b]) {
    console.log(`\n${peer.name}:`);
    for (const line of peer.log) console.log(`  ${line}`);
  }
}
console.log(`\nends ${end}${problem === undefined ? '' : `, and that is wrong: ${problem}`}`);
process.exitCode = problem === undefined ? 0 : 1;
