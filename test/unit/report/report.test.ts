import { describe, expect, it } from 'vitest';
import { htmlReport } from '../../../src/report/html-report.js';
import { renderReport, renderTable, wrap } from '../../../src/report/render-report.js';
import { type Chart, formatTick, niceStep, type Report } from '../../../src/report/report.js';
import { median, percentile } from '../../../src/report/statistics.js';
import { renderChart } from '../../../src/report/terminal-chart.js';

const chart: Chart = {
  title: 'Packets, by burst',
  x: { label: 'packets in a burst' },
  y: { label: 'packets a second', unit: 'Mpps' },
  series: [
    {
      name: '64 B',
      points: [
        { x: 1, y: 2 },
        { x: 8, y: 6 },
        { x: 64, y: 8 },
      ],
    },
    {
      name: '1420 B',
      points: [
        { x: 1, y: 1 },
        { x: 8, y: 1.5 },
        { x: 64, y: 1.6 },
      ],
    },
  ],
  mark: { x: 8, label: 'recommended' },
};

describe('a chart in a terminal', () => {
  it('has ticks, units, lines with their names, and the mark', () => {
    expect(`\n${renderChart(chart, 60).join('\n')}\n`).toBe(`
Packets, by burst
 packets a second, Mpps
    8 ┤                                      ⣀⡠⠤●   ● 64 B
      │                               ⣀⡠⠤⠔⠒⠉⠉
      │                        ⣀⡠⠤⠔⠒⠉⠉
    6 ┤                   ⢀⡠⠔●⠉
      │                ⣀⠔⠊⠁
      │            ⢀⠤⠒⠉
    4 ┤        ⢀⡠⠔⠊⠁
      │     ⣀⠤⠊⠁
    2 ┤  ●⠒⠉
      │      ⣀⣀⣀⣀⣀⣀⣀⠤⠤⠤⠤⠤⠤⠤⠔⠒▲⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒▲   ▲ 1420 B
      │  ▲⠉⠉⠉
    0 ┤
      └──┬───────────────────┬──────────────────┬──
         1                   8                  64
                 recommended ▲
       packets in a burst
`);
  });

  it('is no wider than it may be, whatever the names and values', () => {
    const wide: Chart = {
      ...chart,
      series: chart.series.map((series) => ({
        name: `${series.name} of a long name`,
        points: series.points.map(({ x, y }) => ({ x: x * 1000, y: y * 12_345 })),
      })),
    };
    for (const line of renderChart(wide, 80)) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('takes one point, equal values, and none at all', () => {
    const one = { ...chart, series: [{ name: 'a', points: [{ x: 1, y: 0 }] }] };
    expect(renderChart(one).join('')).toContain('● a');
    expect(renderChart({ ...chart, series: [] })).toEqual([
      'Packets, by burst',
      '  (nothing was measured)',
    ]);
  });

  it('has steps that people count in', () => {
    expect([39, 6, 0.7, 1240].map((most) => niceStep(most, 5))).toEqual([10, 2, 0.2, 500]);
    expect([formatTick(0.4, 0.2), formatTick(1500, 500), formatTick(0, 0.05)]).toEqual([
      '0.4',
      '1500',
      '0.00',
    ]);
  });
});

const report: Report = {
  title: 'A <report>',
  says: 'It is fast.',
  facts: [
    ['machine', 'a CPU & more'],
    ['load', '0.1'],
  ],
  sections: [
    {
      title: 'Table',
      says: 'Two rows.',
      table: {
        columns: [{ title: 'what' }, { title: 'Mpps', digits: 2 }, { title: 'because' }],
        rows: [
          ['one', 1234.5, 'a reason of several words that is too long for the line'],
          ['two', undefined, 'short'],
        ],
      },
      notes: ['How it was measured.'],
    },
  ],
  listing: { title: 'The difference', lines: ['-a = 1', '+a = "2"'] },
  missing: ['network cards'],
};

describe('a report', () => {
  it('begins with what to conclude, and ends with what is missing', () => {
    expect(renderReport(report, 50)).toBe(`It is fast.

machine  a CPU & more
load     0.1

── Table ─────────────────────────────────────────
Two rows.

what      Mpps  because
one   1,234.50  a reason of several words that is
                too long for the line
two          -  short

How it was measured.

The difference:
  -a = 1
  +a = "2"

Not measured:
  - network cards
`);
  });

  it('is one page that needs nothing from elsewhere and lets no text become markup', () => {
    const page = htmlReport({ ...report, sections: [{ title: 'C', says: 's', chart }] });
    expect(page).toContain('<h1>A &lt;report&gt;</h1>');
    expect(page).toContain('+a = &quot;2&quot;');
    expect(page).not.toMatch(/<script|\bsrc=|\bhref=|https?:|url\(|@import/);
    expect(page).toContain('prefers-color-scheme: dark');
    expect(page.match(/<polyline/g)).toHaveLength(2);
    expect(page).toContain('▲ recommended');
    expect(page).not.toMatch(/NaN|undefined/);
  });

  it('breaks lines between words, and tables in their last column only', () => {
    expect(wrap('a bb ccc', 4)).toEqual(['a bb', 'ccc']);
    expect(renderTable({ columns: [{ title: 'n', digits: 1 }], rows: [[2]] })).toEqual([
      '  n',
      '2.0',
    ]);
  });
});

describe('statistics', () => {
  it('are of the nearest rank', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect([50, 99, 100].map((p) => percentile([1, 2, 3, 4], p))).toEqual([2, 4, 4]);
  });
});
