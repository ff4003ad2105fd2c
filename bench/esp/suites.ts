/**
 * The whole ESP transform with AES-CBC and HMAC-SHA2-256, and with ChaCha20-Poly1305, beside
 * ipsec-mb's bare jobs on hot buffers: no headers, no sequence numbers, no window.
 */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchRow, type BenchTable, describeMachine, median, printIfMain } from '../table.js';
import { BATCH, INNER_BYTES } from '../tunnel.js';

const SUITES = ['AES-CBC-128/HMAC-SHA2-256-128', 'ChaCha20-Poly1305'];
const ROUNDS = 9;
const SECONDS = 0.02;

export async function benchEspSuites(): Promise<BenchTable> {
  return {
    name: 'esp-suites',
    title: 'The ESP transform beside ipsec-mb’s bare jobs',
    notes: [
      `IPv4 in IPv4, one SA, batches of ${BATCH}, one core; medians of ${ROUNDS} rounds that take turns.`,
      'ESP walks through two megabytes of frames; the jobs have one key and hot buffers.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'suite', title: 'suite' },
      { key: 'engine', title: 'engine' },
      { key: 'direction', title: 'direction' },
      { key: 'bytes', title: 'inner packet', unit: 'bytes', digits: 0 },
      { key: 'esp', title: 'ESP', unit: 'ticks/packet', digits: 0 },
      { key: 'job', title: 'ipsec-mb’s job', unit: 'ticks/packet', digits: 0 },
      { key: 'ratio', title: 'ratio', digits: 2 },
    ],
    rows: SUITES.flatMap((suite) => INNER_BYTES.flatMap((bytes) => rowsOf(suite, bytes))),
  };
}

function rowsOf(suite: string, innerBytes: number): BenchRow[] {
  const { blockBytes, engines } = addon.cryptoSuites().find(({ name }) => name === suite)!;
  const { engine } = addon.chooseEngine({ suite });
  const peer = engines.includes('ipsec-mb');
  const textBytes = Math.ceil((innerBytes + 2) / blockBytes) * blockBytes;
  const esp = { outbound: [] as number[], inbound: [] as number[] };
  const job = { outbound: [] as number[], inbound: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    const options = { suite, innerBytes, batch: BATCH, tunnels: 1 };
    const result = addon.benchEsp({ ...options, milliseconds: 1000 * SECONDS });
    for (const direction of ['outbound', 'inbound'] as const) {
      esp[direction].push(result[direction].ticksPerPacket);
      if (!peer) continue;
      const bare = { suite, engine: 'ipsec-mb', textBytes, batch: BATCH, seconds: SECONDS };
      const { ticksPerPacket } = addon.benchSuite({ ...bare, open: direction === 'inbound' });
      job[direction].push(ticksPerPacket);
    }
  }
  return (['outbound', 'inbound'] as const).map((direction) => ({
    ...{ suite, engine, direction, bytes: innerBytes, esp: median(esp[direction]) },
    ...(peer && {
      job: median(job[direction]),
      ratio: median(esp[direction]) / median(job[direction]),
    }),
  }));
}

await printIfMain(import.meta.url, benchEspSuites);
