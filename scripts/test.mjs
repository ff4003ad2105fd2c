// npm test: the set-up, then lint, types and all tests; sections can be named as arguments.
// The last line is `N passed, N failed, N skipped`.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fuzz, fuzzTargets } from './fuzz.mjs';
import { nativeBuild } from './native-build.mjs';
import { nativeTests, runNativeTests } from './native-tests.mjs';
import { missingPackages, unpackLibreswan } from './packages.mjs';
import { isMain, main, root, run, secondsSince } from './run.mjs';
import { debianPackages, setUp } from './setup.mjs';

const bin = (name) => join(root, 'node_modules/.bin', name);
const one = (code) => (code === 0 ? tally(1, 0, 0) : tally(0, 1, 0));
/** What a section counted; `failures` names what failed, as far as it is known. */
const tally = (passed, failed, skipped, failures = []) => ({ passed, failed, skipped, failures });
const isCi = Boolean(process.env.CI) && process.env.CI !== 'false';

// In order: the quick ones first. Each resolves to a tally.
const sections = {
  lint: () => check([bin('biome'), 'ci', '.']),
  types: () => check([bin('tsc'), '-p', 'test/tsconfig.json']),
  unit: () => vitest('unit', 600),
  exchange: () => vitest('exchange', 900),
  native,
  fuzz: fuzzAll,
  interop: () => vitest('interop', 1800),
  lab: () => vitest('lab', 1200),
};

async function check(command) {
  const { code } = await run(command, { show: true, check: false, timeoutSeconds: 300 });
  return one(code);
}

async function native() {
  const missing = missingPackages('native');
  if (missing.length > 0) {
    console.log(`skipped: ${missing.join(' ')} not installed`);
    return tally(0, 0, 1);
  }
  await nativeBuild('asan');
  const runs = await Promise.all([
    // The tests of ciphers take as long as all others.
    runNativeTests('asan', ['-sf=*/crypto/*']),
    runNativeTests('asan', ['-sfe=*/crypto/*']),
    // What several threads do to one SA, where a missing order between two of them is a failure.
    nativeTests('tsan', ['-ts=concurrency']),
  ]);
  const lab = process.getuid() === 0;
  if (lab) runs.push(await runNativeTests('asan', ['--lab']));
  else console.log('skipped: the suite "lab" of the native tests needs root');
  const sum = (key) => runs.reduce((total, counts) => total + counts[key], 0);
  return tally(
    sum('passed'),
    sum('failed'),
    lab ? 0 : 1,
    runs.flatMap(({ failures }) => failures),
  );
}

/** Every fuzz target from its corpus: a minute each in CI, else as long as one waits for. */
async function fuzzAll() {
  const missing = missingPackages('native');
  if (missing.length > 0) {
    console.log(`skipped: ${missing.join(' ')} not installed`);
    return tally(0, 0, 1);
  }
  return fuzz(fuzzTargets(), isCi ? 60 : 10);
}

/** One vitest project; the counts are from its JSON report. */
async function vitest(project, timeoutSeconds) {
  const report = join(root, `build/test-report/${project}.json`);
  mkdirSync(join(report, '..'), { recursive: true });
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const args = ['run', '--project', project, ...reporters];
  const command = [process.execPath, join(root, 'node_modules/vitest/vitest.mjs'), ...args];
  const { code, timedOut } = await run(command, { show: true, check: false, timeoutSeconds });
  if (timedOut) console.log(`ended: ${project} took more than ${timeoutSeconds} s`);
  if (!existsSync(report)) return one(code);
  const found = JSON.parse(readFileSync(report, 'utf8'));
  // A file that does not load, or a hook that throws, fails without a failed test.
  const failed = code === 0 ? 0 : Math.max(1, found.numFailedTests);
  const skipped = found.numPendingTests + found.numTodoTests;
  return tally(found.numPassedTests, failed, skipped, vitestFailures(found));
}

/** What failed in vitest's JSON report, each as `file: test`, or the message of a whole file. */
function vitestFailures({ testResults }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (failed.length > 0) return failed.map((test) => `${file}: ${test.fullName}`);
    return status === 'failed' ? [`${file}: ${message.split('\n')[0]}`] : [];
  });
}

function chosenSections(args) {
  const unknown = args.filter((name) => !(name in sections));
  if (unknown.length === 0) return args.length > 0 ? args : Object.keys(sections);
  console.error(
    `unknown section ${unknown.join(', ')}; there are: ${Object.keys(sections).join(', ')}`,
  );
  process.exit(2);
}

/** Runs the sections and prints the summary; resolves to whether all is well. */
async function testAll(names) {
  const rows = [];
  for (const name of names) {
    console.log(`\n=== ${name}`);
    const started = performance.now();
    const result = await sections[name]().catch((error) => {
      console.error(error.message);
      return tally(0, 1, 0, [error.message.split('\n')[0]]);
    });
    rows.push({ name, ...result, time: secondsSince(started) });
  }
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  console.log('');
  for (const { name, passed, failed, skipped, time } of rows) {
    const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`;
    console.log(`${name.padEnd(10)}${counts.padEnd(40)}${time.padStart(8)}`);
  }
  for (const { name, failures } of rows) {
    for (const failure of failures) console.log(`failed in ${name}: ${failure}`);
  }
  // The tests skip for want of a privilege or a package only; in CI that hides what was not run.
  const skipsFail = sum('skipped') > 0 && isCi;
  if (skipsFail) console.log('with CI set, a skipped test is a failure');
  console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);
  return sum('failed') === 0 && !skipsFail;
}

if (isMain(import.meta.url)) {
  await main(async () => {
    const names = chosenSections(process.argv.slice(2));
    await setUp();
    const parts = { unit: 'unit', native: 'native', fuzz: 'native', interop: 'interop' };
    await debianPackages(...new Set(names.flatMap((name) => parts[name] ?? [])));
    if (names.includes('interop')) await unpackLibreswan();
    if (!(await testAll(names))) process.exitCode = 1;
    // Namespaces of test processes that were ended before they could clean up.
    const { sweepStaleNamespaces } = await import('../dist/lab/namespaces.js');
    sweepStaleNamespaces();
  });
}
