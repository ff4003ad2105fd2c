import { readdirSync, readFileSync } from 'node:fs';
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

  // Nothing else checks it: the scripts run before there is a compiler, and the import only at the end.
  it('import from the compiled program only what it exports', async () => {
    const imports = readdirSync(new URL('scripts/', root))
      .filter((name) => name.endsWith('.mjs'))
      .flatMap((name) => importsFromDist(readFileSync(new URL(`scripts/${name}`, root), 'utf8')));
    expect(imports).not.toEqual([]);
    for (const { names, file } of imports) {
      const source = new URL(`src/${file}.ts`, root).href;
      expect(Object.keys(await import(source)), file).toEqual(expect.arrayContaining(names));
    }
  });
});

/** What `const { names } = await import('../dist/<file>.js')` takes. */
function importsFromDist(script: string): { names: string[]; file: string }[] {
  const pattern = /\{([^{}]+)\} = await import\('\.\.\/dist\/([^']+)\.js'\)/g;
  return [...script.matchAll(pattern)].map(([, names, file]) => ({
    names: names!.split(',').map((name) => name.trim()),
    file: file!,
  }));
}
