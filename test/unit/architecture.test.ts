/**
 * The directions between the layers, read from the imports of src/ and the includes of native/.
 * A layer may use those in its row, and itself; a row's `never` are words that its text must not
 * hold. What is not in the table may not exist.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

interface Layer {
  readonly uses: readonly string[];
  readonly never?: RegExp;
}

const clockOrChance = /\b(Date\.now|new Date|performance\.now|Math\.random|getRandomValues)\b/;
const impure = new RegExp(
  `${clockOrChance.source}|\\b(setTimeout|setInterval|setImmediate|randomBytes|randomFillSync)\\b|'node:`,
);

const below = [
  'wire',
  'crypto',
  'policy',
  'sad',
  'ike',
  'dataplane',
  'net',
  'pki',
  'workers',
  'version',
  'log',
  'churn-map',
];
const outside = [...below, 'config', 'watch', 'api', 'metrics'];

// The folders (and the files directly) below src/. Only main, cli and lab start things.
const typescript: Record<string, Layer> = {
  wire: { uses: [], never: impure },
  addon: { uses: [] },
  crypto: { uses: ['wire', 'addon'] },
  policy: { uses: ['wire', 'crypto'], never: impure },
  sad: { uses: ['wire', 'crypto'] },
  'churn-map': { uses: [], never: impure },
  ike: { uses: ['wire', 'crypto', 'policy', 'sad', 'churn-map'], never: impure },
  dataplane: { uses: ['wire', 'crypto', 'sad', 'addon'] },
  net: { uses: ['wire', 'crypto', 'sad', 'ike', 'dataplane', 'churn-map'] },
  pki: { uses: ['wire', 'crypto', 'policy', 'dataplane'] },
  workers: { uses: below },
  version: { uses: [] },
  log: { uses: ['ike'] },
  config: { uses: below },
  watch: { uses: ['wire', 'policy', 'ike', 'dataplane', 'version'] },
  api: { uses: [...below, 'config', 'watch'] },
  metrics: { uses: outside },
  doctor: { uses: ['dataplane'] },
  gateway: { uses: [...outside, 'doctor'] },
  main: { uses: [...outside, 'doctor', 'gateway'] },
  report: { uses: [], never: impure },
  bench: { uses: ['report', 'dataplane'] },
  index: { uses: ['wire', 'crypto', 'sad', 'dataplane'] },
  lab: { uses: [...outside, 'bench', 'gateway', 'main', 'cli'] },
  cli: { uses: [...outside, 'doctor', 'report', 'bench', 'gateway', 'main', 'lab'] },
};

const dataPath = ['base', 'packet', 'crypto', 'replay', 'sad', 'spd', 'esp', 'ah', 'port', 'net'];

// The folders below native/. `crypto` knows no packets, `esp` neither ports nor rings.
const native: Record<string, Layer> = {
  base: { uses: [] },
  packet: { uses: ['base'] },
  crypto: { uses: ['base'] },
  replay: { uses: ['base'] },
  sad: { uses: ['base', 'crypto', 'replay', 'packet'] },
  spd: { uses: ['base', 'packet'] },
  ah: { uses: ['base', 'packet', 'sad'] },
  esp: { uses: ['base', 'packet', 'crypto', 'replay', 'sad', 'ah'] },
  port: { uses: ['base', 'packet'] },
  net: { uses: ['base', 'packet'] },
  ike: { uses: ['base', 'packet'] },
  pipeline: { uses: dataPath },
  pki: { uses: ['base'] },
  addon: { uses: [...dataPath, 'pipeline', 'pki', 'ike'] },
  test: { uses: [...dataPath, 'pipeline', 'ike'] },
  fuzz: { uses: [...dataPath, 'pipeline', 'test'] },
};

interface Source {
  /** Path below the tree's root, such as `ike/child.ts`. */
  readonly path: string;
  readonly text: string;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

function sources(tree: string, name: RegExp): Source[] {
  const paths = readdirSync(join(root, tree), { recursive: true, encoding: 'utf8' });
  return paths
    .filter((path) => name.test(path) && !path.startsWith('build/'))
    .map((path) => ({ path, text: readFileSync(join(root, tree, path), 'utf8') }));
}

const layerOf = (path: string): string => path.split('/')[0]!.replace(/\.\w+$/, '');

/** Modules that a TypeScript file imports: relative ones as paths below src/. */
function imports({ path, text }: Source): string[] {
  const names = [...text.matchAll(/\b(?:from|import|require)\s*\(?\s*['"]([^'"]+)['"]/g)];
  return names.map(([, name]) => (name!.startsWith('.') ? join(path, '..', name!) : name!));
}

/** Files that a TypeScript file needs at run time, and not for their types alone, as paths below src/. */
function needs({ path, text }: Source): string[] {
  const names = text.matchAll(/^(?:import|export)\s+(?!type\b)[^;]*?\bfrom\s+'(\.[^']+)\.js';/gm);
  return [...names].map(([, name]) => `${join(path, '..', name!)}.ts`);
}

/** The first circle of files that need each other; undefined: there is none. */
function circle(files: readonly Source[]): string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const follow = (path: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    const file = done.has(path) ? undefined : byPath.get(path);
    if (file === undefined) return undefined;
    for (const next of needs(file)) {
      const found = follow(next, [...way, path]);
      if (found !== undefined) return found;
    }
    done.add(path);
    return undefined;
  };
  for (const { path } of files) {
    const found = follow(path, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Files of ours that a C++ file includes, as paths below native/. */
function includes({ path, text }: Source): string[] {
  const names = [...text.matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)].map(([, name]) => name!);
  return names.map((name) => (name.includes('/') ? join(name) : join(path, '..', name)));
}

/** What breaks the table, one line each. */
function violations(
  tree: Record<string, Layer>,
  files: readonly Source[],
  used: (file: Source) => readonly string[],
): string[] {
  return files.flatMap((file) => {
    const own = layerOf(file.path);
    const layer = tree[own];
    if (layer === undefined) return [`${file.path}: no such layer`];
    const wrong = used(file).filter((name) => {
      const target = layerOf(name);
      return target in tree && target !== own && !layer.uses.includes(target);
    });
    const word = layer.never?.exec(file.text)?.[0];
    return [
      ...wrong.map((name) => `${file.path} uses ${name}`),
      ...(word === undefined ? [] : [`${file.path} holds ${word}`]),
    ];
  });
}

const ours = (file: Source): string[] => imports(file).filter((name) => name.endsWith('.js'));

describe('the directions between the layers', () => {
  const src = sources('src', /\.ts$/);
  const cpp = sources('native', /\.(h|cc|S)$/);

  it('hold in TypeScript', () => {
    expect(src.length).toBeGreaterThan(10);
    expect(violations(typescript, src, ours)).toEqual([]);
  });

  it('hold in C++', () => {
    expect(cpp.length).toBeGreaterThan(10);
    expect(violations(native, cpp, includes)).toEqual([]);
  });

  it('let no files need each other in a circle', () => {
    expect(circle(src)).toBeUndefined();
    const x = { path: 'ike/x.ts', text: "import {\n  type A,\n  y,\n} from './y.js';" };
    const y = { path: 'ike/y.ts', text: "import { z } from '../wire/z.js';" };
    const z = { path: 'wire/z.ts', text: "import type { X } from '../ike/x.js';" };
    expect(circle([x, y, z])).toBeUndefined();
    const back = { path: 'wire/z.ts', text: "export { x } from '../ike/x.js';" };
    expect(circle([x, y, back])).toEqual(['ike/x.ts', 'ike/y.ts', 'wire/z.ts', 'ike/x.ts']);
  });

  it('are seen when broken', () => {
    const ike = { path: 'ike/x.ts', text: "import type { A } from '../net/udp.js';\nDate.now();" };
    expect(violations(typescript, [ike], ours)).toEqual([
      'ike/x.ts uses net/udp.js',
      'ike/x.ts holds Date.now',
    ]);
    const socket = { path: 'ike/y.ts', text: "import dgram from 'node:dgram';" };
    expect(violations(typescript, [socket], ours)).toEqual(["ike/y.ts holds 'node:"]);
    const esp = { path: 'esp/x.cc', text: '#include "esp/y.h"\n#include "port/port.h"' };
    expect(violations(native, [esp], includes)).toEqual(['esp/x.cc uses port/port.h']);
  });

  it('let only addon/load.ts load the addon', () => {
    const loads = /createRequire|\.node['"`]|process\.dlopen/;
    expect(src.filter(({ text }) => loads.test(text)).map(({ path }) => path)).toEqual([
      'addon/load.ts',
    ]);
  });

  it('let only native/addon know Node', () => {
    const node = /#\s*include\s*[<"](napi|node_api|js_native_api|node|uv|v8)\.h/;
    const knowing = cpp.filter(({ text }) => node.test(text)).map(({ path }) => path);
    expect(knowing.length).toBeGreaterThan(0);
    expect(knowing.filter((path) => !path.startsWith('addon/'))).toEqual([]);
  });

  it('let nothing of ours import bench or test', () => {
    const outward = src.flatMap((file) =>
      ours(file)
        .filter((name) => name.startsWith('..'))
        .map((name) => `${file.path} uses ${name}`),
    );
    expect(outward).toEqual([]);
  });
});
