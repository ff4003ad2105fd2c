// npm run bench: the set-up, then every benchmark below bench/, or those whose path holds a name.
//   npm run bench -- [name...] [--json]       with --json, one JSON object a line and a benchmark
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { main, root, run, timed } from './run.mjs';
import { setUp } from './setup.mjs';

const compiled = join(root, 'build/bench/bench');

/** Every file in a folder below bench/ is a benchmark: `esp/gcm`. */
function benchmarks() {
  return readdirSync(join(root, 'bench'), { recursive: true })
    .filter((path) => path.includes('/') && path.endsWith('.ts'))
    .map((path) => path.replace(/\.ts$/, ''))
    .filter((path) => existsSync(join(compiled, `${path}.js`)))
    .sort();
}

await main(async () => {
  const args = process.argv.slice(2);
  const names = args.filter((word) => !word.startsWith('-'));
  const options = args.filter((word) => word.startsWith('-'));
  await setUp();
  await timed('benchmarks (tsc)', () =>
    run([join(root, 'node_modules/.bin/tsc'), '-p', 'bench/tsconfig.json']),
  );
  const chosen = benchmarks().filter(
    (path) => names.length === 0 || names.some((name) => path.includes(name)),
  );
  if (chosen.length === 0) {
    console.error(`no such benchmark; there are: ${benchmarks().join(', ')}`);
    process.exitCode = 2;
  }
  for (const path of chosen) {
    process.stderr.write(`--- ${path}\n`);
    await run([process.execPath, join(compiled, `${path}.js`), ...options], { show: true });
  }
});
