/**
 * A report of measurements: sections, each with what the reader should conclude, a chart and a
 * table. Pure data; `render-report.ts` writes it for a terminal, `html-report.ts` as one page.
 */

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A line of a chart, its points in the order of x. */
export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Axis {
  /** What is counted, such as `packets in a burst`. */
  readonly label: string;
  readonly unit?: string;
}

export interface Chart {
  readonly title: string;
  /** Every x that was measured has a tick; they stand equally far apart. */
  readonly x: Axis;
  /** From 0. */
  readonly y: Axis;
  readonly series: readonly Series[];
  /** The x to take note of, and in a few words why. */
  readonly mark?: { readonly x: number; readonly label: string };
}

export interface Column {
  readonly title: string;
  /** Digits behind the point; undefined: text, to the left. */
  readonly digits?: number;
}

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (string | number | undefined)[])[];
}

export interface Section {
  readonly title: string;
  /** The conclusion, in a sentence or two. */
  readonly says: string;
  readonly chart?: Chart;
  readonly table?: Table;
  /** The conditions: what was measured and how. */
  readonly notes?: readonly string[];
}

export interface Report {
  readonly title: string;
  readonly says: string;
  /** The machine and the run, by name. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly sections: readonly Section[];
  /** Text as a file holds it, such as a configuration; by its heading. */
  readonly listing?: { readonly title: string; readonly lines: readonly string[] };
  /** What could not be measured, and what that takes. */
  readonly missing: readonly string[];
}

/** The values of x over all series, in their order. */
export function ticksOf({ series }: Chart): number[] {
  const all = series.flatMap(({ points }) => points.map(({ x }) => x));
  return [...new Set(all)].sort((a, b) => a - b);
}

/** A step of 1, 2 or 5 times a power of ten, so that `most` takes at most `count` of them. */
export function niceStep(most: number, count: number): number {
  if (!(most > 0)) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(most / count));
  return [1, 2, 5, 10].map((factor) => factor * magnitude).find((step) => step * count >= most)!;
}

/** As many digits as tell the steps of an axis apart. */
export function formatTick(value: number, step: number): string {
  return value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

/** `packets a second, Mpps` */
export function axisTitle({ label, unit }: Axis): string {
  return unit === undefined ? label : `${label}, ${unit}`;
}
