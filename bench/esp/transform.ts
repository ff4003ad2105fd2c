/** ESP on batches: headers, sequence numbers, AES-GCM, replay window and selectors; no ports. */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchTable, describeMachine, printIfMain } from '../table.js';
import { COLUMNS, measure, NOTES, SUITE } from '../tunnel.js';

/** Beside the engine in use, what CPUs without VAES have. */
const AESNI = ['aesni-avx', 'aesni'];

export async function benchEsp(): Promise<BenchTable> {
  const { engines } = addon.cryptoSuites().find(({ name }) => name === SUITE)!;
  const { engine } = addon.chooseEngine({ suite: SUITE });
  const aesni = engines.find((name) => AESNI.includes(name) && name !== engine);
  return {
    name: 'esp',
    title: 'ESP on batches',
    notes: [...NOTES, 'Frames walk through two megabytes.'],
    machine: describeMachine(),
    columns: [{ key: 'engine', title: 'engine' }, ...COLUMNS],
    rows: measure(addon.benchEsp, [
      { engine, tunnels: 1 },
      ...(aesni === undefined ? [] : [{ engine: aesni, tunnels: 1 }]),
      { engine, tunnels: 128 },
    ]),
  };
}

await printIfMain(import.meta.url, benchEsp);
