import { defineConfig } from 'vitest/config';

// unit and exchange run anywhere; interop and lab make namespaces, so one file at a time.
const alone = {
  fileParallelism: false,
  sequence: { groupOrder: 1 },
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

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
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...patient } },
      { test: { name: 'exchange', include: ['test/exchange/**/*.test.ts'], ...patient } },
      { test: { name: 'interop', include: ['test/interop/**/*.test.ts'], ...alone } },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          ...alone,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
