/**
 * The compiled program, for tests that start it as a process or as threads: dist/, brought up to
 * date where a source is newer.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Path of `esplane`, to be run by this Node. */
export const program = join(root, 'dist/cli/main.js');

export function compileIfStale(): void {
  const compiled = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  const newest = Math.max(...sources.map((path) => statSync(join(root, 'src', path)).mtimeMs));
  if (newest <= compiled) return;
  // Several test files may come here at once.
  const compiler = join(root, 'node_modules/.bin/tsc');
  execFileSync('flock', [join(root, 'tsconfig.json'), compiler, '-p', root], { stdio: 'inherit' });
}
