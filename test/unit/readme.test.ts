/** The library's example in README.md, run as a program of its own against the compiled package. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

it('the example of the README does what it says', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, example] = /```js\n([\s\S]*?)```/.exec(readme) ?? [];
  expect(example).toContain("from 'esplane'");
  const library = pathToFileURL(join(root, 'dist/index.js')).href;
  const program = example!.replace("'esplane'", JSON.stringify(library));
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(stderr).toBe('');
  expect(stdout).toBe('64 sealed, 84 bytes each\n64 opened, as before\n');
});
