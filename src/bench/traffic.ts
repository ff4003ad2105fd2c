/** Trials with a generator and a sink, wherever they run; and what they show. */
import type { ReceivedTraffic } from '../dataplane/bindings/bench.js';
import type { Report, Section } from '../report/report.js';
import type { Figure } from './compare.js';
import { meanBytes, type PacketSize } from './frames.js';
import { type SearchOptions, type SearchResult, searchRate, type Trial } from './rate-search.js';

/** A generator and a sink between which something forwards. */
export interface TrafficPair {
  /** Sends at a rate for a while, and waits for what is on its way. */
  run(size: PacketSize, packetsPerSecond: number, seconds: number): Promise<TrafficTrial>;
}

export interface TrafficTrial extends Trial {
  readonly seconds: number;
  readonly traffic: ReceivedTraffic;
}

export interface TrafficFigure {
  readonly size: PacketSize;
  readonly search: SearchResult<TrafficTrial>;
}

/** One search a size. @param onTrial  called before each trial */
export async function measureSizes(
  pair: TrafficPair,
  sizes: readonly PacketSize[],
  seconds: number,
  options: SearchOptions,
  onTrial: (size: PacketSize, rate: number) => void,
): Promise<TrafficFigure[]> {
  const figures: TrafficFigure[] = [];
  for (const size of sizes) {
    const run = (rate: number) => {
      onTrial(size, rate);
      return pair.run(size, rate, seconds);
    };
    figures.push({ size, search: await searchRate(options, run) });
  }
  return figures;
}

/** For `--json`, and for `bench compare`: flat. */
export function trafficFigures(figures: readonly TrafficFigure[]): Figure[] {
  return figures.map(({ size, search: { best, trials } }) => {
    const rate = best === undefined ? 0 : best.received / best.seconds;
    const latency = best?.traffic.latencyNanoseconds;
    return {
      size: describeSize(size),
      packetsPerSecond: rate,
      bitsPerSecond: rate * meanBytes(size) * 8,
      trials: trials.length,
      ...(latency == null
        ? {}
        : {
            latencyP50Nanoseconds: latency.p50,
            latencyP99Nanoseconds: latency.p99,
            latencyP999Nanoseconds: latency.p999,
            latencyMostNanoseconds: latency.most,
          }),
      reordered: best?.traffic.reordered ?? 0,
    };
  });
}

function describeSize(size: PacketSize): string {
  return size === 'imix' ? 'IMIX' : `${size} B`;
}

export function trafficReport(
  title: string,
  path: string,
  figures: readonly TrafficFigure[],
  facts: Report['facts'],
  { loss }: SearchOptions,
): Report {
  return {
    title,
    says: conclusion(figures, loss),
    facts,
    sections: [ratesSection(path, figures, loss), ...trialsSections(figures)],
    missing: [],
  };
}

function lossText(loss: number): string {
  return loss === 0 ? 'without loss' : `with at most ${loss * 100} % lost`;
}

function conclusion(figures: readonly TrafficFigure[], loss: number): string {
  const found = figures.filter(({ search }) => search.best !== undefined);
  if (found.length === 0) return `No rate was found ${lossText(loss)}.`;
  const parts = found.map(({ size, search }, i) => {
    const rate = search.best!.received / search.best!.seconds;
    const unit = i === 0 ? ' thousand packets a second' : '';
    return `${(rate / 1e3).toFixed(0)}${unit} of ${describeSize(size)}`;
  });
  const last = parts.pop();
  const all = parts.length === 0 ? last : `${parts.join(', ')} and ${last}`;
  return `It carries ${all} ${lossText(loss)}.`;
}

function ratesSection(path: string, figures: readonly TrafficFigure[], loss: number): Section {
  const microseconds = (value: number | undefined) =>
    value === undefined ? undefined : value / 1e3;
  return {
    title: 'Rates and latencies',
    says: `The highest rate ${lossText(loss)} by RFC 2544 §26.1, and how long packets take at that rate.`,
    table: {
      columns: [
        { title: 'IP packets' },
        { title: 'kpps', digits: 1 },
        { title: 'Gbit/s', digits: 3 },
        { title: 'p50, µs', digits: 0 },
        { title: 'p99, µs', digits: 0 },
        { title: 'p99.9, µs', digits: 0 },
        { title: 'most, µs', digits: 0 },
      ],
      rows: figures.map(({ size, search: { best } }) => {
        const rate = best === undefined ? undefined : best.received / best.seconds;
        const latency = best?.traffic.latencyNanoseconds ?? undefined;
        return [
          describeSize(size),
          rate === undefined ? undefined : rate / 1e3,
          rate === undefined ? undefined : (rate * meanBytes(size) * 8) / 1e9,
          microseconds(latency?.p50),
          microseconds(latency?.p99),
          microseconds(latency?.p999),
          microseconds(latency?.most),
        ];
      }),
    },
    notes: [path],
  };
}

/** What each trial lost, by its rate: where the curve leaves the floor, the path is full. */
function trialsSections(figures: readonly TrafficFigure[]): Section[] {
  return figures.map(({ size, search: { best, trials } }) => {
    const points = [...trials]
      .sort((a, b) => a.rate - b.rate)
      .map(({ rate, sent, received }) => ({
        x: Math.round(rate / 1e3),
        y: sent === 0 ? 0 : (Math.max(0, sent - received) / sent) * 100,
      }));
    return {
      title: `Loss, ${describeSize(size)}`,
      says:
        best === undefined
          ? 'Every trial lost packets.'
          : `Beyond ${(best.rate / 1e3).toFixed(0)} thousand packets a second it loses some.`,
      chart: {
        title: `Packets lost, ${describeSize(size)}`,
        x: { label: 'packets a second offered', unit: 'thousands' },
        y: { label: 'lost', unit: '%' },
        series: [{ name: 'lost', points }],
        ...(best === undefined
          ? {}
          : { mark: { x: Math.round(best.rate / 1e3), label: 'the most' } }),
      },
    };
  });
}
