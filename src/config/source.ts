/**
 * The files that a configuration is made of: one file, or a folder with its `*.toml` files and
 * those of its `conf.d`, each in the order of their names.
 */
import { type Dirent, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from './problem.js';

export interface ConfigSource {
  /** Its path, as problems name it. */
  readonly file: string;
  readonly text: string;
}

const FRAGMENTS = 'conf.d';

/** Throws `ConfigError` where there is nothing to read. */
export function readSources(path: string): ConfigSource[] {
  const files = sourceFiles(path);
  if (files.length === 0) throw nothing(path, 'no file that ends in .toml in this folder');
  return files.map((file) => ({ file, text: attempt(file, () => readFileSync(file, 'utf8')) }));
}

/** The file itself, or those of the folder. Throws `ConfigError` where there is neither. */
export function sourceFiles(path: string): string[] {
  return attempt(path, () => (statSync(path).isDirectory() ? filesOf(path) : [path]));
}

function filesOf(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const fragments = entries.some((entry) => entry.name === FRAGMENTS && !entry.isFile())
    ? tomlFiles(join(folder, FRAGMENTS))
    : [];
  return [...tomlFiles(folder, entries), ...fragments];
}

/** Hidden files are those of editors. */
function tomlFiles(
  folder: string,
  entries: readonly Dirent[] = readdirSync(folder, { withFileTypes: true }),
): string[] {
  return entries
    .filter(({ name }) => name.endsWith('.toml') && !name.startsWith('.'))
    .map(({ name }) => join(folder, name))
    .sort();
}

function attempt<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw nothing(path, code === 'ENOENT' ? 'there is no such file' : `cannot read it (${code})`);
  }
}

function nothing(file: string, found: string): ConfigError {
  const allowed = 'a configuration file, or a folder of them (-c)';
  return new ConfigError([{ file, line: 0, column: 0, key: '', found, allowed }]);
}
