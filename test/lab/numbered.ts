/** Numbered packets through a lab (numbered.py): how many were lost, and which, and when. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Status } from '../../src/api/status.js';
import { Program, sleep, waitFor } from '../../src/lab/program.js';

const script = fileURLToPath(new URL('./numbered.py', import.meta.url));
/** For packets still on their way when the last one has been sent. */
const SETTLE_MILLISECONDS = 500;

export interface Flow {
  /** Namespaces of the hosts. One receiver for each namespace. */
  readonly from: string;
  readonly to: string;
  readonly address: string;
}

export interface NumberedSettings {
  /** Of each flow, at most. */
  readonly packets: number;
  /** Stop when the work is done, not when all packets are sent. */
  readonly untilWorkEnds?: boolean;
  readonly perSecond: number;
  /** Sockets of each sender, so that hosts spread their packets over queues. */
  readonly sockets?: number;
}

export interface Outcome {
  readonly sent: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly seconds: number;
}

/** One of a flow, with what was lost and when. */
export interface FlowOutcome extends Outcome {
  /** Runs of numbers that did not arrive, first and last. */
  readonly lostRuns: readonly (readonly [number, number])[];
  /** When a number was sent, in seconds of CLOCK_MONOTONIC. */
  readonly sentAt: (number: number) => number;
}

/** Packets through every flow, until all are sent; and meanwhile whatever `work` does. */
export async function sendNumbered(
  folder: string,
  flows: readonly Flow[],
  { packets, perSecond, sockets = 1, untilWorkEnds = false }: NumberedSettings,
  work: () => Promise<void>,
): Promise<FlowOutcome[]> {
  const python = (namespace: string, ...args: readonly (string | number)[]) =>
    new Program({
      namespace,
      command: ['python3', script, ...args.map(String)],
      logFile: join(folder, `numbered-${Math.random()}`),
    });
  const receivers = flows.map(({ to }) => python(to, 'receive', packets));
  const begun = async (programs: readonly Program[]) => {
    for (const one of programs) await waitFor('numbered.py', 20, () => one.log() !== '');
  };
  await begun(receivers);
  const senders = flows.map(({ from, address }) =>
    python(from, 'send', address, packets, perSecond, sockets),
  );
  try {
    await begun(senders);
    await work();
    await Promise.all(senders.map((one) => (untilWorkEnds ? one.stop(30) : one.exited)));
    await sleep(SETTLE_MILLISECONDS);
  } finally {
    await Promise.all([...senders, ...receivers].map((one) => one.stop(30)));
  }
  return flows.map((_, i) => outcomeOf(lastLine(senders[i]!), lastLine(receivers[i]!)));
}

interface Sent {
  readonly sent: number;
  readonly seconds: number;
  readonly times: readonly (readonly [number, number])[];
}

interface Received {
  readonly received: number;
  readonly duplicates: number;
  readonly lost: readonly (readonly [number, number])[];
}

function lastLine<T extends Sent | Received>(program: Program): T {
  return JSON.parse(program.lastLines(1)) as T;
}

function outcomeOf({ sent, seconds, times }: Sent, received: Received): FlowOutcome {
  const { duplicates } = received;
  const lostRuns = received.lost
    .filter(([first]) => first < sent)
    .map(([first, last]) => [first, Math.min(last, sent - 1)] as const);
  /** Between the first packets of two tenths of a second, whose times are known. */
  const sentAt = (number: number): number => {
    let [low, high] = [0, times.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle]![0] <= number) low = middle;
      else high = middle;
    }
    return times[low]![1];
  };
  return { sent, lost: sent - received.received, duplicates, seconds, lostRuns, sentAt };
}

export function inAll(outcomes: readonly Outcome[]): Outcome {
  const sum = (key: 'sent' | 'lost' | 'duplicates') =>
    outcomes.reduce((all, outcome) => all + outcome[key], 0);
  return {
    sent: sum('sent'),
    lost: sum('lost'),
    duplicates: sum('duplicates'),
    seconds: Math.max(...outcomes.map(({ seconds }) => seconds)),
  };
}

/** By counter. */
export type Drops = Readonly<Record<string, number>>;

/** Drops that a rekeying, or an SA that is missing, might cause. */
export const OF_SAS = [
  ...['no_sa', 'unknown_spi', 'wrong_protocol', 'replay_old', 'replay_duplicate', 'icv_bad'],
  ...['selector_mismatch', 'clear_text_inbound', 'sequence_exhausted', 'lifetime_expired'],
];

/** Of several gateways together. What IKE drops is none of the packets that hosts have sent. */
export function dropsOf(statuses: readonly Status[]): Drops {
  const all: Record<string, number> = {};
  for (const [name, count] of statuses.flatMap((status) => Object.entries(status.drops)))
    if (!name.startsWith('ike-')) all[name] = (all[name] ?? 0) + count;
  return all;
}

export function difference(after: Drops, before: Drops): Drops {
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
      .filter(([, count]) => count !== 0),
  );
}

export function total(drops: Drops): number {
  return Object.values(drops).reduce((all, count) => all + count, 0);
}
