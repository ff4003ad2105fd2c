/** From measurements to settings of `[gateway]`, each with its evidence. Pure. */
import {
  type PortPoint,
  packetsPerSecond,
  SIZES,
  type TuneMeasurements,
  type WorkersPoint,
} from './tune.js';

export interface Setting {
  /** Of the table [gateway]. */
  readonly key: 'workers' | 'frames' | 'busy_poll_microseconds';
  readonly value: number;
  /** What was measured that speaks for it. */
  readonly evidence: string;
}

/** What is this much slower than the best is as good, where it takes less. */
const AS_GOOD = 0.95;
/** Polling takes a core from all else, so it has to bring more than that. */
const AS_GOOD_WITHOUT_POLLING = 0.9;
/** Frames of a worker for each ring entry: two ports, receiving and sending, and some in flight. */
const FRAMES_PER_ENTRY = 5;
/** The default: a stream as even as the one measured shows no need for what bursts need. */
const LEAST_FRAMES = 4096;

/**
 * @param cpus  of this machine
 */
export function recommend(measured: TuneMeasurements, cpus: number): Setting[] {
  return [recommendWorkers(measured.workers, cpus), ...recommendForPorts(measured)];
}

/** How much faster than one worker, over all sizes (geometric mean). */
export function speedUp(points: readonly WorkersPoint[], workers: number, queues: number): number {
  const ratios = SIZES.map((bytes) => {
    const rate = (n: number, q: number) =>
      packetsPerSecond(points.find((p) => p.bytes === bytes && p.workers === n && p.queues === q)!);
    return rate(workers, queues) / rate(1, 1);
  });
  return ratios.reduce((product, ratio) => product * ratio, 1) ** (1 / ratios.length);
}

function recommendWorkers(points: readonly WorkersPoint[], cpus: number): Setting {
  const counts = [...new Set(points.map(({ workers }) => workers))].sort((a, b) => a - b);
  // IKE, the kernel and the tool itself want a core where there are more than two.
  const most = cpus > 2 ? cpus - 1 : cpus;
  const allowed = counts.filter((n) => n <= most);
  const scores = allowed.map((n) => ({ n, score: speedUp(points, n, n) }));
  const best = Math.max(...scores.map(({ score }) => score));
  const { n: value, score } = scores.find((one) => one.score >= AS_GOOD * best)!;
  const spared = most < cpus ? '; one core is left to IKE and the kernel' : '';
  const evidence =
    value === 1
      ? `more workers carry no more than one (${ratio(best)} at best)${spared}`
      : `${value} workers with a queue each carry ${ratio(score)} times what one does${spared}`;
  return { key: 'workers', value, evidence };
}

function recommendForPorts({ ports }: TuneMeasurements): Setting[] {
  if (ports === undefined) return [];
  const varied = (name: PortPoint['varied']) => ports.points.filter((p) => p.varied === name);
  const ring = leastAsGood(varied('ringEntries'), 'ringEntries', AS_GOOD);
  const polls = varied('busyPollMicroseconds');
  const poll = leastAsGood(polls, 'busyPollMicroseconds', AS_GOOD_WITHOUT_POLLING);
  return [
    {
      key: 'frames',
      value: Math.max(LEAST_FRAMES, ring.value * FRAMES_PER_ENTRY),
      evidence: `rings of ${ring.value} entries pass ${millions(ring.rate)} Mpps, the best of all ${millions(ring.best)}`,
    },
    {
      key: 'busy_poll_microseconds',
      value: poll.value,
      evidence:
        poll.value === 0
          ? `interrupts pass ${millions(poll.rate)} Mpps, busy polling ${millions(poll.other)} at best`
          : `busy polling passes ${millions(poll.rate)} Mpps, interrupts ${millions(poll.other)}`,
    },
  ];
}

type Varied = 'ringEntries' | 'busyPollMicroseconds';

/** What got through: received where something receives, else sent. */
export function portRate({ sentPerSecond, receivedPerSecond }: PortPoint): number {
  return receivedPerSecond ?? sentPerSecond;
}

function leastAsGood(points: readonly PortPoint[], key: Varied, part: number) {
  const best = Math.max(...points.map(portRate));
  const chosen = points.find((point) => portRate(point) >= part * best)!;
  const others = points.filter((p) => (p[key] === 0) !== (chosen[key] === 0)).map(portRate);
  return {
    value: chosen[key],
    rate: portRate(chosen),
    best,
    other: Math.max(0, ...others),
  };
}

function ratio(value: number): string {
  return value.toFixed(2);
}

function millions(perSecond: number): string {
  return (perSecond / 1e6).toFixed(2);
}
