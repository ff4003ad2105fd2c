/**
 * Attacks the IKE core of two gateways that have a tunnel (`ike-attack.ts`), a million datagrams
 * long. The tunnel has to stay, the gateways have to go on talking, and memory has to be flat.
 *
 *   npm run fuzz:ike -- [--count 1000000] [--seconds 900] [--seed 1] [--json]
 *
 * A failure prints the seed, the case and its octets, and exits with 1.
 */
import { fuzzOptions, heapUsed, printFigures } from './figures.js';
import { IkeAttack } from './ike-attack.js';

/** Octets that a case may leave behind: the least leak, a number in an array, is eight. */
const MOST_OCTETS_A_CASE = 4;
/** What the engine compiles and collects at other times than asked. */
const SLACK_OCTETS = 2 ** 20;
const CHUNK = 10_000;

const { seed, count, seconds, json } = fuzzOptions(900);

function run() {
  const attack = new IkeAttack(seed);
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const warm = Math.min(50_000, count >> 2);
  let cases = 0;
  const go = (until: number) => {
    while (cases < until && elapsed() < seconds) {
      const step = Math.min(CHUNK, until - cases);
      attack.run(step);
      cases += step;
    }
  };
  try {
    go(warm);
    attack.calm();
    const [heapBefore, rssBefore] = [heapUsed(), process.memoryUsage().rss];
    const warmed = cases;
    go(count);
    attack.calm();
    const [heapGrowth, rssGrowth] = [
      heapUsed() - heapBefore,
      process.memoryUsage().rss - rssBefore,
    ];
    const perSecond = Math.round(cases / elapsed());
    attack.takeDown();
    const { tunnels, mostTimers } = attack;
    const outcomes = Object.fromEntries(attack.outcomes);
    const measured = { seed, cases, perSecond, heapGrowth, rssGrowth, tunnels, mostTimers };
    if (heapGrowth > SLACK_OCTETS + MOST_OCTETS_A_CASE * (cases - warmed)) {
      return { failed: 'memory grows', ...measured };
    }
    return { ...measured, outcomes };
  } catch (error) {
    const { stack, cause } = error as Error;
    return { failed: `${stack}\n${cause instanceof Error ? cause.stack : ''}`, seed };
  }
}

printFigures(run(), json);
