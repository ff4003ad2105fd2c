/** `esplane bench compare a.json b.json` */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { compareFigures, comparisonSection, type Figure, readFigures } from '../bench/compare.js';
import { hasOutput, type OutputOptions, output } from './bench-output.js';
import { EXIT_CODES, ExitError } from './exit.js';

export function addCompareBench(bench: Command): void {
  hasOutput(
    bench
      .command('compare')
      .description('compare two results of one benchmark, as --json printed them')
      .argument('<before>', 'file')
      .argument('<after>', 'file'),
  ).action(compare);
}

function compare(before: string, after: string, options: OutputOptions): void {
  const comparisons = compareFigures(read(before), read(after));
  const section = comparisonSection(comparisons);
  const report = {
    title: 'esplane bench compare',
    says: section.says,
    facts: [
      ['before', before],
      ['after', after],
    ] as const,
    sections: [{ ...section, says: 'Ratios are after by before.' }],
    missing: [],
  };
  output(options, report, comparisons as unknown as Figure[]);
}

function read(file: string): Figure[] {
  try {
    return readFigures(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ExitError(EXIT_CODES.usage, `${file}: ${(error as Error).message}`);
  }
}
