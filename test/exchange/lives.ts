/**
 * Many lives of a tunnel, in processes side by side. Seeds that fail are played again, and drawn, by
 * `npm run replay -- life SEED`.
 */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';

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
  /** Seed and what is wrong; of each process the first hundred. */
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
 * Plays the lives with these seeds, in processes of at most `each` lives.
 * @param program  `simulate.js`, compiled
 * @param told  hears of each process that has ended: its first seed, and what came of its lives
 */
export async function playLives(
  program: string,
  first: number,
  count: number,
  {
    processes = PROCESSES,
    each = Math.ceil(count / processes),
    told = (_first: number, _summary: Summary) => {},
  } = {},
): Promise<Summary> {
  let next = first;
  let total = NOTHING;
  const work = async () => {
    while (next < first + count) {
      const from = next;
      next = Math.min(from + each, first + count);
      const summary = await playInProcess(program, from, next - from);
      total = add(total, summary);
      told(from, summary);
    }
  };
  await Promise.all(Array.from({ length: processes }, work));
  return total;
}

async function playInProcess(program: string, first: number, count: number): Promise<Summary> {
  // A larger nursery: what a life leaves behind is garbage when it ends.
  const args = ['--max-semi-space-size=32', program, `${first}`, `${count}`];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as Summary;
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
