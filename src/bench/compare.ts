/** Two results of one benchmark, figure by figure. */
import type { Section } from '../report/report.js';

/** As `--json` prints them: a flat object for each thing measured. */
export type Figure = Readonly<Record<string, string | number | boolean | null>>;

export interface Comparison {
  /** What was measured, such as `outbound, 64 bytes`. */
  readonly what: string;
  readonly metric: string;
  readonly before: number;
  readonly after: number;
  /** After by before. */
  readonly ratio: number;
  readonly better: boolean;
}

/** Numbers that say what was measured, not how much. */
const CONDITIONS = ['bytes', 'tunnels', 'workers', 'queues', 'batch'];
const LESS_IS_BETTER = /nanoseconds|ticks|lost|latency|reordered/i;

/** Throws where a text is no result of a benchmark. */
export function readFigures(text: string): Figure[] {
  const document: unknown = JSON.parse(text);
  if (!Array.isArray(document) || document.some((one) => typeof one !== 'object' || one === null)) {
    throw new Error('not what a benchmark prints with --json');
  }
  return document as Figure[];
}

/** What is in one of them only is left out. */
export function compareFigures(before: readonly Figure[], after: readonly Figure[]): Comparison[] {
  const earlier = new Map(before.map((figure) => [nameOf(figure), figure]));
  return after.flatMap((figure) => {
    const what = nameOf(figure);
    const old = earlier.get(what);
    if (old === undefined) return [];
    return metricsOf(figure).flatMap(([metric, value]) => {
      const was = old[metric];
      if (typeof was !== 'number' || was === 0) return [];
      const ratio = value / was;
      const better = LESS_IS_BETTER.test(metric) ? ratio < 1 : ratio > 1;
      return [{ what, metric, before: was, after: value, ratio, better }];
    });
  });
}

function nameOf(figure: Figure): string {
  return Object.entries(figure)
    .filter(([name, value]) => CONDITIONS.includes(name) || typeof value === 'string')
    .map(([name, value]) => (typeof value === 'string' ? value : `${value} ${name}`))
    .join(', ');
}

function metricsOf(figure: Figure): [string, number][] {
  return Object.entries(figure).filter(
    (entry): entry is [string, number] =>
      typeof entry[1] === 'number' && !CONDITIONS.includes(entry[0]),
  );
}

/** What differs by less is not told apart from chance. */
const NOISE = 0.05;

export function comparisonSection(comparisons: readonly Comparison[]): Section {
  const told = comparisons.filter(({ ratio }) => Math.abs(Math.log(ratio)) > Math.log1p(NOISE));
  const better = told.filter((one) => one.better).length;
  const same = comparisons.length - told.length;
  return {
    title: 'Compared',
    says:
      comparisons.length === 0
        ? 'The two results have nothing in common.'
        : `Of ${comparisons.length} figures ${better} are better, ${told.length - better} worse, and ${same} within ${NOISE * 100} % of each other.`,
    table: {
      columns: [
        { title: '' },
        { title: 'before', digits: 1 },
        { title: 'after', digits: 1 },
        { title: 'ratio', digits: 2 },
        { title: 'metric' },
        { title: 'of' },
      ],
      rows: comparisons.map(({ what, metric, before, after, ratio, better }) => [
        told.some((one) => one.what === what && one.metric === metric) ? (better ? '+' : '-') : '',
        before,
        after,
        ratio,
        metric,
        what,
      ]),
    },
  };
}
