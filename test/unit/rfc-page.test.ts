import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

it('the page of RFC coverage names only files and tests that are there', () => {
  const page = readFileSync(join(root, 'src/RFC.md'), 'utf8');
  const named = [...page.matchAll(/`([\w./-]+)`/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(100);
  const places = (name: string) => [
    name,
    `src/${name}`,
    `test/exchange/${name}.test.ts`,
    `test/exchange/lives/${name}.test.ts`,
  ];
  const missing = named.filter(
    (name) => !places(name).some((place) => existsSync(join(root, place))),
  );
  expect(missing).toEqual([]);
});
