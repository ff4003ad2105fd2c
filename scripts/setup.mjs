// Makes a fresh clone ready to run: npm packages, Debian packages, the addon, the JavaScript.
// Every step is skipped where nothing changed, so that a second run starts at once.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  canInstall,
  compiledIn,
  headerFolders,
  installCommand,
  installPackages,
  missingPackages,
} from './packages.mjs';
import { CommandError, isMain, main, root, run, secondsSince, timed } from './run.mjs';

const at = (...path) => join(root, ...path);
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** All the set-up of `npm start`. */
export async function setUp() {
  const started = performance.now();
  checkNode();
  const done = [
    await debianPackages('build', 'headers', 'lab'),
    await ipsecMb(),
    await npmPackages(),
    await addon(),
    await javaScript(),
  ];
  if (!done.includes(true)) {
    process.stderr.write(`set-up: nothing to do (${secondsSince(started)})\n`);
  }
}

export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (process.platform !== 'linux') throw new CommandError('set-up', 'esplane needs Linux', []);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new CommandError('set-up', `Node ${process.version} is too old`, [], 'Node 20.19 or newer');
}

/** Installs what is missing when root, else names it. Throws only if the build cannot go on. */
export async function debianPackages(...parts) {
  const missing = missingPackages(...parts);
  if (missing.length === 0) return false;
  if (canInstall()) {
    await timed(`Debian packages: ${missing.join(' ')}`, () => installPackages(missing));
    return true;
  }
  const command = `sudo ${installCommand(missing)}`;
  const needed = missingPackages('build').filter((name) => missing.includes(name));
  if (needed.length > 0) {
    throw new CommandError('set-up', `not installed: ${needed.join(' ')}`, [], command);
  }
  process.stderr.write(`not installed, and we are not root: ${missing.join(' ')}\n  ${command}\n`);
  return false;
}

/**
 * Installs ipsec-mb for the addon to be built with, if root and x86-64. A system that has no such
 * package does without, and is not asked again before `build` is removed.
 */
export async function ipsecMb() {
  if (process.arch !== 'x64' || !canInstall()) return false;
  const missing = missingPackages('ipsecMb');
  const asked = at('build/no-ipsec-mb.stamp');
  if (missing.length === 0 || existsSync(asked)) return false;
  try {
    await timed(`Debian packages: ${missing.join(' ')}`, () => installPackages(missing));
  } catch (error) {
    mkdirSync(at('build'), { recursive: true });
    writeFileSync(asked, String(error));
    process.stderr.write(`built without ipsec-mb: ${missing.join(' ')} could not be installed\n`);
  }
  return true;
}

/**
 * Installs what package-lock.json says where node_modules is something else. Not by `npm ci`: it
 * refuses a lock file without the optional packages of platforms that a registry does not carry.
 */
export async function npmPackages() {
  if (installedAsLocked()) return false;
  // No install scripts: no dependency has one that we need, and ours is a step of its own.
  const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  const command = ['npm', 'install', '--include=dev', '--include=optional', ...options];
  const hint = 'npm needs its registry: look at the network, and `npm config get registry`';
  await timed('npm packages', () => run(command, { hint }));
  return true;
}

function installedAsLocked() {
  const installed = at('node_modules/.package-lock.json');
  if (!existsSync(installed)) return false;
  const have = readJson(installed).packages;
  const want = Object.entries(readJson(at('package-lock.json')).packages);
  return want.every(
    ([path, { version, optional }]) =>
      path === '' || (have[path] ? have[path].version === version : optional),
  );
}

/** Builds the addon where a source, a build file or Node changed. */
export async function addon() {
  const stamp = at('build/esplane.stamp');
  const node = `${process.version} ${process.arch}`;
  const sources = ['binding.gyp', ...filesBelow('native', /\.(gypi|cc|h|S)$/)];
  const wanted = `${node} ${compiledIn()} ${digest(sources)}`;
  const had = existsSync(stamp) ? readFileSync(stamp, 'utf8') : '';
  if (had === wanted && existsSync(at('build/Release/esplane.node'))) return false;
  // Without another Node, make knows best what to compile again.
  const verbs = had.startsWith(node) ? ['configure', 'build'] : ['rebuild'];
  const gyp = [process.execPath, at('node_modules/node-gyp/bin/node-gyp.js'), ...verbs];
  const hint = 'g++ 12 or newer, make, python3 and the headers of Node are needed';
  await timed(`the addon (node-gyp ${verbs.join(' ')})`, () =>
    run([...gyp, '-j', 'max', ...headers()], { hint }),
  );
  writeFileSync(stamp, wanted);
  return true;
}

/** The running Node's own headers where it has them, else Debian's, else those node-gyp fetches. */
function headers() {
  const folder = headerFolders.find((path) => existsSync(join(path, 'node_api.h')));
  return folder === undefined ? [] : [`--nodedir=${join(folder, '../..')}`];
}

/** Compiles src/ to dist/ where a source changed. */
export async function javaScript() {
  const stamp = at('dist/.stamp');
  const wanted = digest(['tsconfig.json', 'package.json', ...filesBelow('src', /\.ts$/)]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return false;
  await timed('JavaScript (tsc)', async () => {
    rmSync(at('dist'), { recursive: true, force: true });
    await run([at('node_modules/.bin/tsc'), '-p', 'tsconfig.json']);
  });
  mkdirSync(at('dist'), { recursive: true });
  writeFileSync(stamp, wanted);
  return true;
}

function filesBelow(folder, pattern) {
  return readdirSync(at(folder), { recursive: true })
    .filter((path) => pattern.test(path) && !path.startsWith('build/'))
    .map((path) => join(folder, path))
    .sort();
}

function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(`${path}\0`).update(readFileSync(at(path)));
  return hash.digest('hex');
}

if (isMain(import.meta.url)) await main(setUp);
