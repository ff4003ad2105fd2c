/** A chart as inline SVG. Colours are classes of the page (`html-report.ts`), light and dark. */
import { axisTitle, type Chart, formatTick, niceStep, type Series, ticksOf } from './report.js';

const WIDTH = 760;
const HEIGHT = 340;
const MARGIN = { top: 34, right: 150, bottom: 62, left: 64 };
const MOST_STEPS = 6;
const LINE_HEIGHT = 17;
/** Series beyond these take the colours in turn again. */
export const SERIES_COLOURS = 6;

interface Scales {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
}

export function svgChart(chart: Chart): string {
  const ticks = ticksOf(chart);
  const most = Math.max(0, ...chart.series.flatMap(({ points }) => points.map(({ y }) => y)));
  const step = niceStep(most, MOST_STEPS);
  const top = step * Math.max(1, Math.ceil(most / step - 1e-9));
  const inner = {
    width: WIDTH - MARGIN.left - MARGIN.right,
    height: HEIGHT - MARGIN.top - MARGIN.bottom,
  };
  const margin = 24;
  const x = (value: number) => {
    const part = ticks.length < 2 ? 0.5 : ticks.indexOf(value) / (ticks.length - 1);
    return MARGIN.left + margin + part * (inner.width - 2 * margin);
  };
  const y = (value: number) => MARGIN.top + (1 - value / top) * inner.height;
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(chart.title)}">`,
    ...yAxis(chart, { x, y }, top, step),
    ...xAxis(chart, { x, y }, ticks),
    ...chart.series.map((series, i) => lineOf(series, i, { x, y })),
    ...names(chart.series, y),
    ...markOf(chart, { x, y }),
    '</svg>',
  ].join('\n');
}

function yAxis(chart: Chart, { y }: Scales, top: number, step: number): string[] {
  const values = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  return [
    text(MARGIN.left - 48, 18, axisTitle(chart.y), 'axis'),
    ...values.flatMap((value) => [
      `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${n(y(value))}" y2="${n(y(value))}"/>`,
      text(MARGIN.left - 8, y(value) + 4, formatTick(value, step), 'tick end'),
    ]),
  ];
}

function xAxis(chart: Chart, { x, y }: Scales, ticks: readonly number[]): string[] {
  const middle = (MARGIN.left + WIDTH - MARGIN.right) / 2;
  return [
    ...ticks.map((value) => text(x(value), y(0) + 19, String(value), 'tick middle')),
    text(middle, HEIGHT - 8, axisTitle(chart.x), 'axis middle'),
  ];
}

function lineOf({ name, points }: Series, i: number, { x, y }: Scales): string {
  const path = points.map((p) => `${n(x(p.x))},${n(y(p.y))}`).join(' ');
  const dots = points.map(
    (p) =>
      `<circle cx="${n(x(p.x))}" cy="${n(y(p.y))}" r="4"><title>${escapeHtml(`${name}: ${p.x} → ${p.y.toPrecision(4)}`)}</title></circle>`,
  );
  return `<g class="series s${i % SERIES_COLOURS}"><polyline points="${path}"/>${dots.join('')}</g>`;
}

/** Each beside the end of its line, moved down where two would touch. */
function names(series: readonly Series[], y: (value: number) => number): string[] {
  const ends = series
    .map(({ name, points }, i) => ({ name, i, at: y(points.at(-1)?.y ?? 0) + 4 }))
    .sort((a, b) => a.at - b.at);
  for (let i = 1; i < ends.length; i++) {
    ends[i]!.at = Math.max(ends[i]!.at, ends[i - 1]!.at + LINE_HEIGHT);
  }
  // Pushed over the edge: all that touch move up again.
  let floor = HEIGHT - MARGIN.bottom + 4;
  for (const end of [...ends].reverse()) {
    end.at = Math.min(end.at, floor);
    floor = end.at - LINE_HEIGHT;
  }
  return ends.map(({ name, i, at }) =>
    text(WIDTH - MARGIN.right + 2, at, name, `name s${i % SERIES_COLOURS}`),
  );
}

function markOf({ mark, series }: Chart, { x, y }: Scales): string[] {
  if (mark === undefined) return [];
  const points = series.flatMap((s) => s.points.filter((p) => p.x === mark.x));
  if (points.length === 0) return [];
  const at = x(mark.x);
  return [
    `<line class="mark" x1="${n(at)}" x2="${n(at)}" y1="${MARGIN.top}" y2="${n(y(0))}"/>`,
    ...points.map((p) => `<circle class="mark" cx="${n(at)}" cy="${n(y(p.y))}" r="8"/>`),
    text(at, y(0) + 36, `▲ ${mark.label}`, 'mark middle'),
  ];
}

function text(x: number, y: number, content: string, classes: string): string {
  return `<text x="${n(x)}" y="${n(y)}" class="${classes}">${escapeHtml(content)}</text>`;
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

export function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll(/[&<>"]/g, (c) => names[c]!);
}
