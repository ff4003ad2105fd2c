// The native tests (native/test, doctest), built from the addon's own sources.
//   node scripts/native-tests.mjs [asan|tsan|plain] [doctest's arguments]
import { join } from 'node:path';
import { built, kinds, nativeBuild } from './native-build.mjs';
import { isMain, main, root, run } from './run.mjs';
import { debianPackages, npmPackages } from './setup.mjs';

/** Builds the native tests and runs those that doctest's arguments choose. */
export async function nativeTests(kind = 'asan', args = []) {
  await nativeBuild(kind);
  return runNativeTests(kind, args);
}

/** Runs what is built; resolves to what doctest counted. */
export async function runNativeTests(kind, args) {
  const { code, lines } = await run([join(root, built(kind), 'esplane_tests'), ...args], {
    show: true,
    check: false,
    timeoutSeconds: 900,
    env: { UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
  const cases = lines.findLast((line) => line.includes('[doctest] test cases:')) ?? '';
  const count = (what) => Number(new RegExp(`(\\d+) ${what}`).exec(cases)?.[1] ?? 0);
  const failed = count('failed');
  // A crash, a leak or undefined behaviour leaves no count.
  return {
    passed: count('passed'),
    failed: code !== 0 ? Math.max(1, failed) : failed,
    skipped: 0,
    failures: failedCases(lines),
  };
}

/** doctest's test cases with an error, and the reports of sanitizers, which end a run. */
function failedCases(lines) {
  const failures = new Set();
  let testCase = '';
  for (const line of lines) {
    if (line.includes('TEST CASE:')) testCase = line.slice(line.indexOf(':') + 1).trim();
    if (/ (FATAL )?ERROR: /.test(line) && testCase !== '') failures.add(testCase);
    if (/^SUMMARY: .*Sanitizer/.test(line)) failures.add(line);
  }
  return [...failures];
}

if (isMain(import.meta.url)) {
  await main(async () => {
    await debianPackages('build', 'native');
    await npmPackages();
    const [kind, ...args] = process.argv.slice(2);
    const known = kind !== undefined && kind in kinds;
    const { failed } = await nativeTests(
      known ? kind : 'asan',
      known ? args : process.argv.slice(2),
    );
    if (failed > 0) process.exitCode = 1;
  });
}
