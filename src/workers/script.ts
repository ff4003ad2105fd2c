/**
 * Where the compiled script of a thread stands. Threads do not go through a test runner's
 * transformation, so when this file runs as TypeScript they run what `npm run build:ts` made.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export function threadScript(name: 'ike-worker' | 'pool-job'): string {
  const here = fileURLToPath(import.meta.url);
  const compiled = here.endsWith('.ts')
    ? new URL(`../../dist/workers/${name}.js`, import.meta.url)
    : new URL(`./${name}.js`, import.meta.url);
  const path = fileURLToPath(compiled);
  if (!existsSync(path)) throw new Error(`${path} is missing: run "npm run build:ts"`);
  return path;
}
