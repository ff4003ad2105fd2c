/**
 * Attacks a dataplane over memory ports (`esp-attack.ts`), a million frames long. Every packet has
 * to have a verdict, nothing may leave that should not, the tunnels have to work, and memory has
 * to be flat.
 *
 *   npm run fuzz:esp -- [--count 1000000] [--seconds 900] [--seed 1] [--json]
 *
 * A failure prints the seed and the frames of the burst, and exits with 1.
 */
import { EspAttack } from './esp-attack.js';
import { fuzzOptions, heapUsed, printFigures } from './figures.js';

/** Octets that a case may leave behind. The process has its own noise besides. */
const MOST_OCTETS_A_CASE = 4;
const HEAP_SLACK_OCTETS = 2 ** 20;
const RSS_SLACK_OCTETS = 16 * 2 ** 20;
const CHUNK = 9_600;

const { seed, count, seconds, json } = fuzzOptions(900);

async function run() {
  const attack = new EspAttack(seed);
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  let cases = 0;
  const go = async (until: number) => {
    while (cases < until && elapsed() < seconds) cases += await attack.run(CHUNK);
  };
  try {
    await go(count >> 2);
    const [heapBefore, rssBefore] = [heapUsed(), process.memoryUsage().rss];
    const warmed = cases;
    await go(count);
    const heapGrowth = heapUsed() - heapBefore;
    const rssGrowth = process.memoryUsage().rss - rssBefore;
    const perSecond = Math.round(cases / elapsed());
    const { tunnels, probes, icmpErrors, verdicts: outcomes } = attack;
    const measured = { seed, cases, perSecond, heapGrowth, rssGrowth, tunnels, probes, icmpErrors };
    const most = MOST_OCTETS_A_CASE * (cases - warmed);
    if (heapGrowth > HEAP_SLACK_OCTETS + most || rssGrowth > RSS_SLACK_OCTETS + most) {
      return { failed: 'memory grows', ...measured };
    }
    const kinds = [...attack.kinds].map(([name, n]) => `${name} ${n}`).join(', ');
    return { ...measured, kinds, outcomes };
  } catch (error) {
    const { stack, cause } = error as Error;
    return { failed: `${stack}\n${cause instanceof Error ? cause.stack : ''}`, seed };
  } finally {
    attack.stop();
  }
}

printFigures(await run(), json);
