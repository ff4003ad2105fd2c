// The libFuzzer targets of native/fuzz, built with clang from the addon's own sources.
//   node scripts/fuzz.mjs [target...] [seconds]      every target, 60 seconds each, if left out
// Each begins with its corpus in native/fuzz/corpus; what it finds new stays in build/fuzz. An input
// that ends a target is kept there too, and is run again by `node scripts/fuzz.mjs target FILE`.

import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { built, nativeBuild } from './native-build.mjs';
import { isMain, main, root, run } from './run.mjs';
import { debianPackages, npmPackages } from './setup.mjs';

const found = join(root, 'build/fuzz');
/** Two to a core: each has its minute, at half the speed. */
const atOnce = 2 * availableParallelism();

export function fuzzTargets() {
  return readdirSync(join(root, 'native/fuzz'))
    .filter((file) => file.endsWith('.cc'))
    .map((file) => file.replace(/\.cc$/, ''))
    .sort();
}

/** Fuzzes targets for so many seconds each; resolves to how many held and how many did not. */
export async function fuzz(targets, seconds) {
  await nativeBuild('asan');
  const waiting = [...targets];
  const failed = [];
  const worker = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      if (!(await fuzzOne(target, seconds))) failed.push(target);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return {
    passed: targets.length - failed.length,
    failed: failed.length,
    skipped: 0,
    failures: failed,
  };
}

async function fuzzOne(target, seconds) {
  const own = join(found, target);
  mkdirSync(own, { recursive: true });
  const corpora = [own, join(root, 'native/fuzz/corpus', target)].filter(existsSync);
  const options = [
    `-max_total_time=${seconds}`,
    `-artifact_prefix=${found}/${target}-`,
    '-timeout=10',
    '-rss_limit_mb=1024',
    '-print_final_stats=1',
    '-verbosity=1',
  ];
  const { code, lines } = await runTarget(target, [...options, ...corpora], seconds + 120);
  const figure = (pattern) => pattern.exec(lines.join('\n'))?.[1] ?? '?';
  const runs = figure(/number_of_executed_units: (\d+)/);
  const edges = figure(/.*cov: (\d+) /s);
  const outcome = code === 0 ? 'held' : `ended with ${code}`;
  console.log(`fuzz ${target.padEnd(12)} ${outcome}: ${runs} inputs, ${edges} edges, ${seconds} s`);
  if (code !== 0) console.log(lines.slice(-60).join('\n'));
  return code === 0;
}

function runTarget(target, args, timeoutSeconds) {
  return run([join(root, built('asan'), `fuzz_${target}`), ...args], {
    check: false,
    timeoutSeconds,
    env: { UBSAN_OPTIONS: 'print_stacktrace=1', ASAN_OPTIONS: 'detect_leaks=1' },
  });
}

/** One input, shown as it goes. */
async function replay(target, file) {
  await nativeBuild('asan');
  const { code, lines } = await runTarget(target, [file], 60);
  console.log(lines.join('\n'));
  process.exitCode = code;
}

if (isMain(import.meta.url)) {
  await main(async () => {
    const args = process.argv.slice(2);
    const all = fuzzTargets();
    const names = args.filter((word) => all.includes(word));
    const file = args.find((word) => existsSync(word) && !all.includes(word));
    const seconds = args.find((word) => /^\d+$/.test(word));
    const unknown = args.filter((word) => ![...names, file, seconds].includes(word));
    if (unknown.length > 0) {
      console.error(`no such target: ${unknown.join(' ')}; there are: ${all.join(' ')}`);
      process.exitCode = 2;
      return;
    }
    await debianPackages('build', 'native');
    await npmPackages();
    if (file !== undefined && names.length === 1) return replay(names[0], file);
    const { failed } = await fuzz(names.length > 0 ? names : all, Number(seconds ?? 60));
    if (failed > 0) process.exitCode = 1;
  });
}
