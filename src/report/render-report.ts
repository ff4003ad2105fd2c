/** A report for a terminal of 80 columns. */
import type { Report, Section, Table } from './report.js';
import { renderChart } from './terminal-chart.js';

export function renderReport(report: Report, width = 80): string {
  const blocks = [
    [...wrap(report.says, width), '', ...facts(report.facts)],
    ...report.sections.map((section) => renderSection(section, width)),
    ...(report.listing === undefined
      ? []
      : [[`${report.listing.title}:`, ...report.listing.lines.map((line) => `  ${line}`)]]),
    ...(report.missing.length === 0
      ? []
      : [['Not measured:', ...report.missing.flatMap((text) => item(text, width))]]),
  ];
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function renderSection({ title, says, chart, table, notes }: Section, width: number): string[] {
  const rule = `── ${title} `;
  return [
    rule.padEnd(width, '─'),
    ...wrap(says, width),
    ...(chart === undefined ? [] : ['', ...renderChart(chart, width)]),
    ...(table === undefined ? [] : ['', ...renderTable(table, width)]),
    ...(notes === undefined ? [] : ['', ...notes.flatMap((note) => wrap(note, width))]),
  ];
}

function facts(all: Report['facts']): string[] {
  const name = Math.max(0, ...all.map(([text]) => text.length));
  return all.map(([text, value]) => `${text.padEnd(name)}  ${value}`);
}

function item(text: string, width: number): string[] {
  return wrap(text, width - 4).map((line, i) => `${i === 0 ? '  - ' : '    '}${line}`);
}

/** Numbers to the right, text to the left; a last column of text is broken at the edge. */
export function renderTable({ columns, rows }: Table, width = 80): string[] {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ digits }, i) => formatCell(row[i], digits))),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const last = columns.length - 1;
  const left = widths.slice(0, last).reduce((sum, one) => sum + one + 2, 0);
  return cells.flatMap((row) => {
    const padded = row.map((cell, i) =>
      columns[i]!.digits === undefined ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!),
    );
    if (columns[last]!.digits !== undefined) return [padded.join('  ').trimEnd()];
    const before = padded
      .slice(0, last)
      .map((cell) => `${cell}  `)
      .join('');
    return wrap(row[last]!, Math.max(20, width - left)).map((text, i) =>
      `${i === 0 ? before : ' '.repeat(left)}${text}`.trimEnd(),
    );
  });
}

export function formatCell(value: string | number | undefined, digits: number | undefined): string {
  if (value === undefined) return '-';
  if (typeof value === 'string' || digits === undefined) return String(value);
  return value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${line} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}
