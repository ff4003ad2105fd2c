/** ESP on batches: headers, sequence numbers, AES-GCM, replay window and selectors; no ports. */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchTable, describeMachine, printIfMain } from '../table.js';
import { COLUMNS, measure, NOTES } from '../tunnel.js';

export async function benchEsp(): Promise<BenchTable> {
  return {
    name: 'esp',
    title: `ESP on batches, kernel ${addon.gcmKernels().inUse}`,
    notes: [...NOTES, 'Frames walk through two megabytes.'],
    machine: describeMachine(),
    columns: COLUMNS,
    rows: [...measure(addon.benchEsp, 1), ...measure(addon.benchEsp, 128)],
  };
}

await printIfMain(import.meta.url, benchEsp);
