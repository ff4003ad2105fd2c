import { defineConfig } from 'vitest/config';

// vitest leaves one CPU free for itself, which needs none while the tests run.
const everywhere = { maxWorkers: '100%' };

// Peers in namespaces and machines, which one waits for more than they work.
const inNamespaces = { testTimeout: 120_000, hookTimeout: 120_000 };

// Gateways in threads, and the making of RSA keys, take their time on a machine that is busy.
const patient = {
  testTimeout: 120_000,
  hookTimeout: 60_000,
  expect: { poll: { timeout: 10_000 } },
};

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      {
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...patient, ...everywhere },
      },
      {
        test: {
          name: 'exchange',
          include: ['test/exchange/**/*.test.ts'],
          ...patient,
          ...everywhere,
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          ...inNamespaces,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          ...inNamespaces,
          fileParallelism: false, // they measure
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
