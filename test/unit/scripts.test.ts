import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);

describe('the scripts of package.json', () => {
  it('are each described by npm run help', async () => {
    const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
    const { descriptions } = await import(new URL('scripts/help.mjs', root).href);
    expect(Object.keys(descriptions)).toEqual(Object.keys(scripts));
    for (const line of Object.values<string>(descriptions)) expect(line).toMatch(/^\S.{5,110}$/);
  });

  it('install from a lock file that names no registry host', () => {
    const { packages } = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8'));
    const entries = Object.entries<{ resolved?: string; integrity?: string }>(packages);
    const installed = entries.filter(([path]) => path !== '');
    expect(installed.length).toBeGreaterThan(100);
    expect(installed.filter(([, entry]) => entry.resolved !== undefined)).toEqual([]);
    expect(installed.filter(([, entry]) => entry.integrity === undefined)).toEqual([]);
  });
});
