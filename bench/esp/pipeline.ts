/** A whole gateway from rx to tx over memory ports, on one core. */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchTable, describeMachine, printIfMain } from '../table.js';
import { COLUMNS, measure, NOTES } from '../tunnel.js';

export async function benchPipeline(): Promise<BenchTable> {
  return {
    name: 'pipeline',
    title: `The pipeline over memory ports, kernel ${addon.gcmKernels().inUse}`,
    notes: [
      ...NOTES,
      'From rx to tx: headers, SPD or SAD, ESP, next hop, counters, and the copy that a memory port makes.',
    ],
    machine: describeMachine(),
    columns: COLUMNS,
    rows: measure(addon.benchPipeline, [{ tunnels: 1 }, { tunnels: 128 }]),
  };
}

await printIfMain(import.meta.url, benchPipeline);
