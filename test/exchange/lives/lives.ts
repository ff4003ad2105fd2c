/**
 * Many lives of a tunnel, in processes side by side. Seeds that fail are played again, and drawn, by
 * `npm run replay -- life SEED`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Lives that have these seeds. */
export interface Seeds {
  readonly first: number;
  readonly count: number;
}

export interface Summary {
  readonly lives: number;
  /** Lives that were set up, rekeyed twice at least and deleted; all others came to nothing, as meant. */
  readonly sessions: number;
  readonly rekeyings: number;
  readonly datagrams: number;
  /** Lives of so many gateways, and with each fault. */
  readonly gateways: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  /** Lives in which something is wrong. */
  readonly failures: number;
  /** Seed and what is wrong; of each part the first hundred. */
  readonly problems: readonly (readonly [number, string])[];
  readonly cpuSeconds: number;
}

const NOTHING: Summary = {
  lives: 0,
  sessions: 0,
  rekeyings: 0,
  datagrams: 0,
  gateways: {},
  faults: {},
  failures: 0,
  problems: [],
  cpuSeconds: 0,
};

/** As many processes as there are cores, up to eight. */
export const PROCESSES = Math.min(availableParallelism(), 8);

/**
 * Plays the lives with these seeds, in parts of at most `each`.
 * @param program  `simulate.js`, compiled
 * @param seconds  after which no part is begun any more, but where fewer than `least` lives are
 * @param told  hears of each part that is over: its first seed, and what came of its lives
 */
export async function playLives(
  program: string,
  first: number,
  count: number,
  {
    processes = PROCESSES,
    each = Math.ceil(count / processes),
    seconds = Number.POSITIVE_INFINITY,
    least = count,
    told = (_first: number, _summary: Summary) => {},
  } = {},
): Promise<Summary> {
  let next = first;
  let total = NOTHING;
  const end = performance.now() + 1000 * seconds;
  const goesOn = () => next < first + least || (next < first + count && performance.now() < end);
  const work = async () => {
    const child = start(program);
    while (goesOn()) {
      const from = next;
      next = Math.min(from + each, first + count);
      const summary = await playIn(child, { first: from, count: next - from });
      total = add(total, summary);
      told(from, summary);
    }
    child.disconnect();
  };
  await Promise.all(Array.from({ length: processes }, work));
  return total;
}

function start(program: string): ChildProcess {
  // A larger nursery: what a life leaves behind is garbage when it ends.
  return fork(program, { execArgv: ['--max-semi-space-size=32'] });
}

function playIn(child: ChildProcess, seeds: Seeds): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const died = () =>
      reject(new Error(`the process that plays from seed ${seeds.first} on has died`));
    child.once('exit', died);
    child.once('message', (summary) => {
      child.off('exit', died);
      resolve(summary as Summary);
    });
    child.send(seeds);
  });
}

function add(one: Summary, other: Summary): Summary {
  return {
    lives: one.lives + other.lives,
    sessions: one.sessions + other.sessions,
    rekeyings: one.rekeyings + other.rekeyings,
    datagrams: one.datagrams + other.datagrams,
    gateways: addCounts(one.gateways, other.gateways),
    faults: addCounts(one.faults, other.faults),
    failures: one.failures + other.failures,
    problems: [...one.problems, ...other.problems],
    cpuSeconds: one.cpuSeconds + other.cpuSeconds,
  };
}

function addCounts(one: Summary['faults'], other: Summary['faults']): Summary['faults'] {
  const sum: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(other)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
