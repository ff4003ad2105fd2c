// The native tests (native/test, doctest), built by cmake-js from the addon's own sources.
//   node scripts/native-tests.mjs [asan|tsan|plain] [doctest's arguments]
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isMain, main, root, run, timed } from './run.mjs';
import { debianPackages, npmPackages } from './setup.mjs';

const sanitizers = { asan: 'address,undefined', tsan: 'thread', plain: '' };

/** Builds and runs the native tests; resolves to what doctest counted. */
export async function nativeTests(kind = 'asan', args = []) {
  const folder = join('native/build', kind);
  const cmake = [process.execPath, join(root, 'node_modules/cmake-js/bin/cmake-js')];
  const where = ['-d', 'native', '-O', folder, '-p', String(availableParallelism())];
  const hint = 'cmake, g++, doctest-dev and libssl-dev are needed';
  await timed(`native tests, ${kind} build (cmake-js)`, () =>
    run([...cmake, 'compile', ...where, `--CDESPLANE_SANITIZE=${sanitizers[kind]}`], { hint }),
  );
  const { code, lines } = await run([join(root, folder, 'esplane_tests'), ...args], {
    show: true,
    check: false,
    timeoutSeconds: 900,
    env: { UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
  const cases = lines.findLast((line) => line.includes('[doctest] test cases:')) ?? '';
  const count = (what) => Number(new RegExp(`(\\d+) ${what}`).exec(cases)?.[1] ?? 0);
  const failed = count('failed');
  // A crash, a leak or undefined behaviour leaves no count.
  return { passed: count('passed'), failed: code !== 0 ? Math.max(1, failed) : failed, skipped: 0 };
}

if (isMain(import.meta.url)) {
  await main(async () => {
    await debianPackages('build', 'native');
    await npmPackages();
    const [kind, ...args] = process.argv.slice(2);
    const known = kind !== undefined && kind in sanitizers;
    const { failed } = await nativeTests(
      known ? kind : 'asan',
      known ? args : process.argv.slice(2),
    );
    if (failed > 0) process.exitCode = 1;
  });
}
