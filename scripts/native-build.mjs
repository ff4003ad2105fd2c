// Builds of native/CMakeLists.txt by cmake-js: the native tests, and the fuzz targets beside them.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { root, run, timed } from './run.mjs';

// Clang, so that the tests and libFuzzer's targets share one library: what takes the longest is
// compiled once for both.
const clang = {
  env: { CC: 'clang', CXX: 'clang++' },
  hint: 'cmake, clang, libclang-rt-14-dev, doctest-dev and libssl-dev are needed',
};
const gcc = { env: {}, hint: 'cmake, g++, doctest-dev and libssl-dev are needed' };

/** What a build is for, and how: its compiler and the options of native/CMakeLists.txt. */
export const kinds = {
  asan: { ...clang, options: { FUZZ: 'ON', SANITIZE: 'address,undefined' } },
  // What several threads do to one SA or to ports; the other tests have nothing to show here.
  tsan: { ...gcc, options: { SANITIZE: 'thread', SUITE: 'concurrency' } },
  plain: { ...gcc, options: {} },
};

/** The folder of a build, in which its programs are. */
export const built = (kind) => join('native/build', kind);

export async function nativeBuild(kind) {
  const { env, hint, options } = kinds[kind];
  const cmake = [process.execPath, join(root, 'node_modules/cmake-js/bin/cmake-js'), 'compile'];
  const where = ['-d', 'native', '-O', built(kind), '-p', String(availableParallelism())];
  const defines = Object.entries(options).map(([name, value]) => `--CDESPLANE_${name}=${value}`);
  // Precompiled headers keep ccache, where it is, from knowing a compilation again.
  const ccache = { CCACHE_SLOPPINESS: 'pch_defines,time_macros' };
  await timed(`native tests, ${kind} build (cmake-js)`, () =>
    run([...cmake, ...where, ...defines], { hint, env: { ...ccache, ...env } }),
  );
}
