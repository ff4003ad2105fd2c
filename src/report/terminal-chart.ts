/**
 * A chart in 80 columns of text. Lines are drawn in braille, four dots high and two wide in a
 * character; a measured point is a letter-sized mark, and each line ends in its name.
 *
 *      Mpps
 *       8 ┤                       ⣀⠤●  64 B
 *       4 ┤        ⣀⡠⠤⠒●⠒⠊⠉
 *       0 └──┬───────────┬──────────┬
 *            1           8         64
 */
import {
  axisTitle,
  type Chart,
  formatTick,
  niceStep,
  type Point,
  type Series,
  ticksOf,
} from './report.js';

const HEIGHT = 12;
const MOST_STEPS = 5;
const MARKS = ['●', '▲', '■', '◆', '○', '△', '□', '◇'];
const DOTS_WIDE = 2;
const DOTS_HIGH = 4;

export function renderChart(chart: Chart, width = 80): string[] {
  const ticks = ticksOf(chart);
  if (ticks.length === 0) return [chart.title, '  (nothing was measured)'];
  const most = Math.max(...chart.series.flatMap(({ points }) => points.map(({ y }) => y)));
  const step = niceStep(most, MOST_STEPS);
  const top = step * Math.max(1, Math.ceil(most / step - 1e-9));
  const labels = Array.from({ length: Math.round(top / step) + 1 }, (_, i) =>
    formatTick(i * step, step),
  );
  const left = Math.max(...labels.map((label) => label.length), 4) + 1;
  const right = Math.max(...chart.series.map(({ name }) => name.length)) + 3;
  const plot = new Plot(width - left - 2 - right, ticks, top);
  for (const [i, series] of chart.series.entries()) plot.draw(series, MARKS[i % MARKS.length]!);
  const names = placeNames(chart.series, (point) => plot.row(point.y));
  const lines = plot.rows().map((text, row) => {
    const i = labels.findIndex((_, n) => plot.row(n * step) === row);
    const edge = `${(labels[i] ?? '').padStart(left)} ${i < 0 ? '│' : '┤'}`;
    return `${edge}${text} ${names.get(row) ?? ''}`.trimEnd();
  });
  return [chart.title, ` ${axisTitle(chart.y)}`, ...lines, ...foot(chart, plot, left + 2)];
}

/** The dots and marks of the area between the axes. */
class Plot {
  readonly width: number;
  readonly #ticks: readonly number[];
  readonly #top: number;
  readonly #dots: Uint8Array;
  readonly #marks = new Map<number, string>();

  constructor(width: number, ticks: readonly number[], top: number) {
    this.width = width;
    this.#ticks = ticks;
    this.#top = top;
    this.#dots = new Uint8Array(width * HEIGHT);
  }

  /** The character column of a measured x; ticks stand equally far apart. */
  column(x: number): number {
    const i = this.#ticks.indexOf(x);
    const last = this.#ticks.length - 1;
    const margin = 2;
    if (last === 0) return this.width >> 1;
    return margin + Math.round((i / last) * (this.width - 1 - 2 * margin));
  }

  /** The character row of a value, 0 at the top. */
  row(y: number): number {
    return Math.round((1 - y / this.#top) * (HEIGHT - 1));
  }

  draw({ points }: Series, mark: string): void {
    for (const [i, point] of points.entries()) {
      const next = points[i + 1];
      if (next !== undefined) this.#line(point, next);
      this.#marks.set(this.row(point.y) * this.width + this.column(point.x), mark);
    }
  }

  rows(): string[] {
    return Array.from({ length: HEIGHT }, (_, row) =>
      Array.from({ length: this.width }, (_, column) => {
        const cell = row * this.width + column;
        const dots = this.#dots[cell]!;
        return this.#marks.get(cell) ?? (dots === 0 ? ' ' : String.fromCharCode(0x2800 + dots));
      }).join(''),
    );
  }

  #line(from: Point, to: Point): void {
    const x = (point: Point) => this.column(point.x) * DOTS_WIDE;
    const y = (point: Point) => (1 - point.y / this.#top) * (HEIGHT - 1) * DOTS_HIGH + 1.5;
    const steps = Math.max(1, Math.abs(x(to) - x(from)), Math.abs(Math.round(y(to) - y(from))));
    for (let n = 0; n <= steps; n++) {
      const part = n / steps;
      this.#dot(
        Math.round(x(from) + (x(to) - x(from)) * part),
        Math.round(y(from) + (y(to) - y(from)) * part),
      );
    }
  }

  /** Unicode numbers the dots of a braille character 1 to 3 and 7 down the left, then the right. */
  #dot(x: number, y: number): void {
    const [column, row] = [Math.floor(x / DOTS_WIDE), Math.floor(y / DOTS_HIGH)];
    if (row < 0 || row >= HEIGHT) return;
    const bits = [
      [0x01, 0x08],
      [0x02, 0x10],
      [0x04, 0x20],
      [0x40, 0x80],
    ];
    this.#dots[row * this.width + column]! |= bits[y % DOTS_HIGH]![x % DOTS_WIDE]!;
  }
}

/** A name at the row where its line ends, or the nearest that is free. */
function placeNames(
  series: readonly Series[],
  rowOf: (point: Point) => number,
): Map<number, string> {
  const names = new Map<number, string>();
  const ends = series
    .map(({ name, points }, i) => ({ name, mark: MARKS[i % MARKS.length]!, end: points.at(-1) }))
    .filter(({ end }) => end !== undefined)
    .sort((a, b) => b.end!.y - a.end!.y);
  for (const { name, mark, end } of ends) {
    const wanted = rowOf(end!);
    const free = Array.from({ length: HEIGHT }, (_, row) => row)
      .filter((row) => !names.has(row))
      .sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted) || b - a);
    names.set(free[0] ?? wanted, `${mark} ${name}`);
  }
  return names;
}

/** The axis of x: its ticks, their values, the mark, and what is counted. */
function foot(chart: Chart, plot: Plot, left: number): string[] {
  const ticks = ticksOf(chart);
  const axis = new Canvas();
  const values = new Canvas();
  for (const x of ticks) {
    const column = plot.column(x);
    axis.put(column, '┬');
    values.putCentred(column, String(x));
  }
  const indent = ' '.repeat(left);
  const line = axis.text().replaceAll(' ', '─').padEnd(plot.width, '─');
  const lines = [`${' '.repeat(left - 1)}└${line}`, `${indent}${values.text()}`];
  if (chart.mark !== undefined && ticks.includes(chart.mark.x)) {
    lines.push(`${indent}${pointer(plot.column(chart.mark.x), chart.mark.label)}`);
  }
  return [...lines, `${indent}${axisTitle(chart.x)}`];
}

/** `▲ label`, or `label ▲` where there is more room to the left. */
function pointer(column: number, label: string): string {
  const before = `${label} ▲`;
  return column + 1 >= before.length
    ? before.padStart(column + 1)
    : `${' '.repeat(column)}▲ ${label}`;
}

/** One line, written into from left to right. */
class Canvas {
  #text = '';

  text(): string {
    return this.#text;
  }

  put(column: number, text: string): void {
    this.#text = this.#text.padEnd(column) + text;
  }

  /** Left out where it would touch what is there. */
  putCentred(column: number, text: string): void {
    const start = Math.max(0, column - ((text.length - 1) >> 1));
    if (this.#text === '' || start > this.#text.length) this.put(start, text);
  }
}
