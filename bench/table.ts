/**
 * What every benchmark returns and how it is shown: rows for tools (`--json`), a table for people,
 * and the machine that it ran on, without which a number says nothing.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface BenchTable {
  /** Short, for tools: `crypto`, `esp`, `pipeline`, `lab`. */
  readonly name: string;
  readonly title: string;
  /** The conditions: sizes, batch, cores, what was compared with what. One line each. */
  readonly notes: readonly string[];
  readonly machine: Machine;
  readonly columns: readonly BenchColumn[];
  /** A value for each column's key; missing where it was not measured. */
  readonly rows: readonly BenchRow[];
}

export interface BenchColumn {
  readonly key: string;
  readonly title: string;
  /** Such as `ns/packet`; shown below the title. */
  readonly unit?: string;
  /** Digits after the point. */
  readonly digits?: number;
}

export type BenchRow = Readonly<Record<string, string | number | undefined>>;

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly openssl: string;
  /** True where the CPU says that it is a guest: expect noise. */
  readonly virtual: boolean;
}

export function describeMachine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    kernel: `Linux ${release()}`,
    node: process.version,
    openssl: process.versions.openssl ?? 'unknown',
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(readIfThere('/proc/cpuinfo')),
  };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The table as text, with a final newline. */
export function formatTable(table: BenchTable): string {
  const cells = [
    table.columns.map((column) => column.title),
    table.columns.map((column) => column.unit ?? ''),
    ...table.rows.map((row) => table.columns.map((column) => formatCell(row[column.key], column))),
  ];
  const widths = table.columns.map((_, c) => Math.max(...cells.map((line) => line[c]!.length)));
  const numeric = table.columns.map((column) => column.digits !== undefined);
  const lines = cells.map((line) =>
    line
      .map((cell, c) => (numeric[c] ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
      .join('  ')
      .trimEnd(),
  );
  return [table.title, machineLine(table.machine), ...table.notes, '', ...lines, ''].join('\n');
}

function formatCell(value: string | number | undefined, column: BenchColumn): string {
  if (value === undefined) return '-';
  return typeof value === 'number' ? value.toFixed(column.digits ?? 0) : value;
}

function machineLine(machine: Machine): string {
  const memory = `${Math.round(machine.memoryBytes / 2 ** 30)} GiB`;
  const guest = machine.virtual ? ' (virtual machine)' : '';
  return `${machine.cpu}, ${machine.cores} cores${guest}, ${memory}; ${machine.kernel}; Node ${machine.node}, OpenSSL ${machine.openssl}`;
}

/** The middle value; of an even number of values the upper one of the two. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('median of nothing');
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

/** Runs a benchmark and prints it, if its module is what Node was started with. */
export async function printIfMain(
  moduleUrl: string,
  run: () => Promise<BenchTable>,
): Promise<void> {
  const started = process.argv[1];
  if (started === undefined || realpathSync(started) !== fileURLToPath(moduleUrl)) return;
  const table = await run();
  const json = process.argv.includes('--json');
  process.stdout.write(json ? `${JSON.stringify(table)}\n` : formatTable(table));
}
