/** `esplane bench crypto`: every engine of the suites of ESP and AH on this machine, compared. */
import { cpus } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { type BenchFigure, type CryptoBenchOptions, measureSuite } from '../bench/crypto.js';
import { addon } from '../dataplane/addon.js';
import type { CryptoSuite } from '../dataplane/bindings/crypto.js';
import { addCompareBench } from './bench-compare.js';
import { addEspBench } from './bench-esp.js';
import { addPipelineBench } from './bench-pipeline.js';
import { addTrafficBenches } from './bench-traffic.js';
import { EXIT_CODES, ExitError } from './exit.js';

interface BenchOptions extends CryptoBenchOptions {
  readonly json?: boolean;
}

/** Without names, one of each kind that people use. */
const DEFAULT_SUITES = [
  'AES-GCM-16-128',
  'AES-GCM-16-256',
  'AES-GMAC-128',
  'ChaCha20-Poly1305',
  'AES-CCM-16-128',
  'AES-CBC-128/HMAC-SHA1-96',
  'AES-CBC-128/HMAC-SHA2-256-128',
  'AES-CBC-256/HMAC-SHA2-512-256',
  'AES-CTR-128/HMAC-SHA2-256-128',
  'HMAC-SHA2-256-128',
];

export function addBench(program: Command): void {
  const bench = program.command('bench').description('measure this machine');
  addEspBench(bench);
  addPipelineBench(bench);
  addTrafficBenches(bench);
  addCompareBench(bench);
  bench
    .command('crypto [suites...]')
    .description(
      'compare all engines of the suites whose name holds one of the words given, such as ' +
        'AES-GCM or CBC; * marks what the dataplane uses',
    )
    .option(
      '--sizes <bytes>',
      'text bytes a packet, by commas',
      parseSizes,
      [64, 256, 512, 1024, 1424],
    )
    .option('--batch <packets>', 'packets in one call, 1 to 64', parseBatch, 32)
    .option('--seconds <n>', 'for each figure', parseSeconds, 0.03)
    .option('--reference', 'the plain reference as well, which is slow')
    .option('--json', 'print one JSON array')
    .action((words: readonly string[], options: BenchOptions) => {
      const figures = selectSuites(words).flatMap((suite) => measureSuite(suite, options));
      if (options.json === true) process.stdout.write(`${JSON.stringify(figures)}\n`);
      else process.stdout.write(renderFigures(figures, options));
    });
}

function parseSizes(text: string): number[] {
  return text.split(',').map((word) => wholeNumber(word, 16, 65535));
}

function parseBatch(text: string): number {
  return wholeNumber(text, 1, 64);
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 60) return seconds;
  throw new InvalidArgumentError('seconds above 0 and up to 60 are allowed.');
}

function wholeNumber(text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`whole numbers from ${least} to ${most} are allowed.`);
}

/** Suites whose name holds one of the words, in any case; an exact name means that suite alone. */
export function selectSuites(words: readonly string[]): CryptoSuite[] {
  const all = addon.cryptoSuites();
  if (words.length === 0) return all.filter(({ name }) => DEFAULT_SUITES.includes(name));
  return words.flatMap((word) => {
    const wanted = word.toUpperCase();
    const exact = all.filter(({ name }) => name.toUpperCase() === wanted);
    const found =
      exact.length > 0 ? exact : all.filter(({ name }) => name.toUpperCase().includes(wanted));
    if (found.length > 0) return found;
    const names = all.map(({ name }) => name).join('\n  ');
    throw new ExitError(
      EXIT_CODES.usage,
      `no suite has ${word} in its name; there are\n  ${names}`,
    );
  });
}

/** A block for each suite: a line for each engine, a column for each size. */
export function renderFigures(
  figures: readonly BenchFigure[],
  { sizes, batch }: Pick<BenchOptions, 'sizes' | 'batch'>,
): string {
  const lines = [
    `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, one core, batches of ${batch}, hot buffers`,
    'ns a packet, sealing / opening; Gbit/s of sealing at the last size; * is what is used',
  ];
  for (const suite of new Set(figures.map((figure) => figure.suite))) {
    const mine = figures.filter((figure) => figure.suite === suite);
    const rows = [...new Set(mine.map(({ engine }) => engine))].map((engine) => {
      const cells = sizes.map(
        (bytes) => mine.find((f) => f.engine === engine && f.bytes === bytes)!,
      );
      const last = cells.at(-1)!;
      return [
        `${last.chosen ? '*' : ' '} ${engine}`,
        ...cells.map((f) => `${f.sealNanoseconds.toFixed(0)} / ${f.openNanoseconds.toFixed(0)}`),
        last.gigabitsPerSecond.toFixed(1),
      ];
    });
    lines.push('', ...align([[suite, ...sizes.map((b) => `${b} B`), 'Gbit/s'], ...rows]));
  }
  return `${lines.join('\n')}\n`;
}

/** The first column to the left, all others to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  return rows.map((row) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]! + 2)))
      .join(''),
  );
}
