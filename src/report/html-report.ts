/** A report as one page that needs nothing else: inline SVG and style, no script, light and dark. */
import { formatCell } from './render-report.js';
import type { Report, Section, Table } from './report.js';
import { escapeHtml, SERIES_COLOURS, svgChart } from './svg-chart.js';

/** Told apart by people who see colours differently, too (Okabe and Ito); darker or lighter by mode. */
const LIGHT = ['#0063a6', '#c4500c', '#00805a', '#a03e7d', '#8a6d00', '#4d4d4d'];
const DARK = ['#56b4e9', '#ff9248', '#2fc79a', '#e08bc0', '#f0e442', '#bdbdbd'];

const colours = (palette: readonly string[]) =>
  palette
    .slice(0, SERIES_COLOURS)
    .map((colour, i) => `--s${i}: ${colour};`)
    .join(' ');

const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --paper: #ffffff;
  --card: #f6f8fa; --line: #d0d7de; --mark: #1b1f24; ${colours(LIGHT)} }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --soft: #9198a1; --paper: #0d1117;
  --card: #161b22; --line: #30363d; --mark: #e6edf3; ${colours(DARK)} } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 54rem; background: var(--paper);
  color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
.says { font-size: 1.1rem; margin: 0 0 1.25rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.25rem; margin: 0;
  font-size: .92rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; overflow-x: auto; } figcaption { font-weight: 600; margin-bottom: .35rem; }
svg { display: block; width: 100%; min-width: 34rem; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .tick, svg .axis { fill: var(--soft); }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; }
svg .grid { stroke: var(--line); }
svg .series polyline { fill: none; stroke: currentColor; stroke-width: 2; }
svg .series circle { fill: currentColor; } svg text.name { fill: currentColor; font-weight: 600; }
svg line.mark { stroke: var(--mark); stroke-dasharray: 3 4; }
svg circle.mark { fill: none; stroke: var(--mark); stroke-width: 2; }
svg text.mark { fill: var(--mark); font-weight: 600; }
${LIGHT.map((_, i) => `svg .s${i} { color: var(--s${i}); }`).join(' ')}
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } td:first-child { white-space: nowrap; } .number { text-align: right; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem 1rem; overflow-x: auto; font: 14px/1.5 ui-monospace, monospace; }
.note { color: var(--soft); font-size: .92rem; margin: .4rem 0; }
`;

export function htmlReport(report: Report): string {
  const { title, says, facts, sections, listing, missing } = report;
  const [first, ...rest] = sections;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p class="says">${escapeHtml(says)}</p>
<dl class="facts">
${facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`).join('\n')}
</dl>
${first === undefined ? '' : sectionHtml(first)}
${listing === undefined ? '' : `<h2>${escapeHtml(listing.title)}</h2>\n<pre>${listing.lines.map(escapeHtml).join('\n')}</pre>`}
${rest.map(sectionHtml).join('\n')}
${missing.length === 0 ? '' : `<h2>Not measured</h2>\n<ul>${missing.map((one) => `<li>${escapeHtml(one)}</li>`).join('')}</ul>`}
</body>
</html>
`;
}

function sectionHtml({ title, says, chart, table, notes = [] }: Section): string {
  const figure =
    chart === undefined
      ? ''
      : `<figure><figcaption>${escapeHtml(chart.title)}</figcaption>\n${svgChart(chart)}</figure>`;
  return [
    `<section><h2>${escapeHtml(title)}</h2>`,
    `<p>${escapeHtml(says)}</p>`,
    figure,
    table === undefined ? '' : tableHtml(table),
    ...notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`),
    '</section>',
  ].join('\n');
}

function tableHtml({ columns, rows }: Table): string {
  const cell = (tag: 'th' | 'td', content: string, digits: number | undefined) =>
    `<${tag}${digits === undefined ? '' : ' class="number"'}>${escapeHtml(content)}</${tag}>`;
  const head = columns.map(({ title, digits }) => cell('th', title, digits)).join('');
  const body = rows.map(
    (row) =>
      `<tr>${columns.map(({ digits }, i) => cell('td', formatCell(row[i], digits), digits)).join('')}</tr>`,
  );
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}
