/** How every benchmark tells what it measured, and on what. */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { Figure } from '../bench/compare.js';
import type { PacketSize } from '../bench/frames.js';
import { loadFact } from '../bench/load.js';
import { htmlReport } from '../report/html-report.js';
import { renderReport } from '../report/render-report.js';
import type { Report } from '../report/report.js';
import { version } from '../version.js';

export interface OutputOptions {
  readonly json?: boolean;
  readonly html?: string;
}

export function hasOutput(command: Command): Command {
  return command
    .option('--json', 'print one JSON array, which bench compare takes')
    .option('--html <file>', 'write the report as one page, with plots');
}

export function output(
  { json, html }: OutputOptions,
  report: Report,
  figures: readonly Figure[],
): void {
  if (html !== undefined) writeFileSync(html, htmlReport(report));
  process.stdout.write(json === true ? `${JSON.stringify(figures)}\n` : renderReport(report));
}

/** The machine, and what else it does. */
export function machineFacts(): Report['facts'] {
  const count = availableParallelism();
  return [
    ['machine', `${cpus()[0]?.model.trim() ?? 'unknown'}, ${count} CPU${count === 1 ? '' : 's'}`],
    ['software', `esplane ${version}, Linux ${release()}`],
    loadFact(loadavg()[0]!),
  ];
}

/** Sizes of IP packets by commas; `imix` for the mix. */
export function parsePacketSizes(least: number, most: number) {
  return (text: string): PacketSize[] =>
    text.split(',').map((word) => {
      const bytes = Number(word);
      if (word === 'imix') return 'imix';
      if (Number.isInteger(bytes) && bytes >= least && bytes <= most) return bytes;
      throw new InvalidArgumentError(`bytes from ${least} to ${most}, or imix.`);
    });
}

export function parseNumber(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (text !== '' && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`from ${least} to ${most}.`);
  };
}
