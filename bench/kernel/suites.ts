/**
 * AES-CBC with HMAC-SHA2-256 and ChaCha20-Poly1305, the suites that are not our own kernels alone,
 * beside ipsec-mb's bare jobs: its cipher and hash bursts, which are faster than its chained jobs,
 * and its AEAD jobs. `esplane bench crypto` compares all suites.
 *
 * The engines take turns for `ROUNDS` rounds; a figure is the median over the rounds.
 */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchRow, type BenchTable, describeMachine, median, printIfMain } from '../table.js';

const SUITES = ['AES-CBC-128/HMAC-SHA2-256-128', 'ChaCha20-Poly1305'];
const SIZES = [64, 256, 512, 1024, 1424];
const BATCH = 32;
const ROUNDS = 9;
const SECONDS = 0.01;

interface Figure {
  readonly ticks: number;
  readonly nanoseconds: number;
}

export async function benchSuites(): Promise<BenchTable> {
  const rows: BenchRow[] = SUITES.flatMap((suite) =>
    SIZES.flatMap((bytes) => [false, true].map((open) => row(suite, bytes, open))),
  );
  return {
    name: 'suites',
    title: 'AES-CBC with HMAC-SHA2-256, and ChaCha20-Poly1305, beside ipsec-mb’s bare jobs',
    notes: [`one core, one key, batches of ${BATCH}, hot buffers; medians of ${ROUNDS} rounds`],
    machine: describeMachine(),
    columns: [
      { key: 'suite', title: 'suite' },
      { key: 'operation', title: 'operation' },
      { key: 'bytes', title: 'text', unit: 'bytes', digits: 0 },
      { key: 'inUse', title: 'in use' },
      { key: 'nanoseconds', title: 'in use', unit: 'ns/packet', digits: 0 },
      { key: 'ticks', title: 'in use', unit: 'ticks/packet', digits: 0 },
      { key: 'ipsecMb', title: 'ipsec-mb', unit: 'ticks/packet', digits: 0 },
      { key: 'openssl', title: 'libcrypto', unit: 'ticks/packet', digits: 0 },
      { key: 'ofIpsecMb', title: 'in use', unit: 'of ipsec-mb', digits: 2 },
    ],
    rows,
  };
}

function row(suite: string, bytes: number, open: boolean): BenchRow {
  const inUse = addon.chooseEngine({ suite }).engine;
  const available = addon.cryptoSuites().find(({ name }) => name === suite)!.engines;
  const engines = new Set([inUse, ...available.filter((name) => name !== 'reference')]);
  const samples = new Map<string, Figure[]>([...engines].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [engine, list] of samples) {
      const options = { suite, engine, textBytes: bytes, batch: BATCH, open, seconds: SECONDS };
      const { ticksPerPacket, nanosecondsPerPacket } = addon.benchSuite(options);
      list.push({ ticks: ticksPerPacket, nanoseconds: nanosecondsPerPacket });
    }
  }
  const ticks = (name: string) => {
    const list = samples.get(name);
    return list === undefined ? undefined : median(list.map((figure) => figure.ticks));
  };
  const ipsecMb = ticks('ipsec-mb');
  return {
    suite,
    operation: open ? 'open' : 'seal',
    bytes,
    inUse,
    nanoseconds: median(samples.get(inUse)!.map((figure) => figure.nanoseconds)),
    ticks: ticks(inUse),
    ipsecMb,
    openssl: ticks('openssl'),
    ofIpsecMb: ipsecMb === undefined ? undefined : ticks(inUse)! / ipsecMb,
  };
}

await printIfMain(import.meta.url, benchSuites);
