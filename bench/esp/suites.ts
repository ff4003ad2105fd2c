/**
 * AES-CBC with HMAC-SHA2-256, and ChaCha20-Poly1305: the engine in use alone, and the whole ESP
 * transform, beside ipsec-mb's bare jobs, which are its cipher and hash bursts (faster than its
 * chained jobs) and its AEAD jobs. `esplane bench crypto` compares all suites and engines.
 */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchRow, type BenchTable, describeMachine, median, printIfMain } from '../table.js';
import { BATCH, INNER_BYTES } from '../tunnel.js';

const SUITES = ['AES-CBC-128/HMAC-SHA2-256-128', 'ChaCha20-Poly1305'];
const ROUNDS = 9;
const SECONDS = 0.02;

const DIRECTIONS = ['outbound', 'inbound'] as const;
type Direction = (typeof DIRECTIONS)[number];
type Samples = Record<Direction, number[]>;

export async function benchEspSuites(): Promise<BenchTable> {
  return {
    name: 'esp-suites',
    title: 'ESP with AES-CBC and HMAC-SHA2-256, and ChaCha20-Poly1305',
    notes: [
      `IPv4 in IPv4, one SA, batches of ${BATCH}, one core; medians of ${ROUNDS} rounds that take turns.`,
      'ESP walks through two megabytes of frames; engine and job have one key and hot buffers.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'suite', title: 'suite' },
      { key: 'name', title: 'engine' },
      { key: 'direction', title: 'direction' },
      { key: 'bytes', title: 'inner packet', unit: 'bytes', digits: 0 },
      { key: 'engine', title: 'engine', unit: 'ticks/packet', digits: 0 },
      { key: 'esp', title: 'ESP', unit: 'ticks/packet', digits: 0 },
      { key: 'job', title: 'ipsec-mb’s job', unit: 'ticks/packet', digits: 0 },
      { key: 'ratio', title: 'ESP', unit: 'of the job', digits: 2 },
    ],
    rows: SUITES.flatMap((suite) => INNER_BYTES.flatMap((bytes) => rowsOf(suite, bytes))),
  };
}

function rowsOf(suite: string, innerBytes: number): BenchRow[] {
  const { blockBytes, engines } = addon.cryptoSuites().find(({ name }) => name === suite)!;
  const name = addon.chooseEngine({ suite }).engine;
  const peer = engines.find((each) => each === 'ipsec-mb');
  const textBytes = Math.ceil((innerBytes + 2) / blockBytes) * blockBytes;
  const [esp, engine, job] = [samples(), samples(), samples()];
  const bare = (by: string, direction: Direction) => {
    const options = { suite, engine: by, textBytes, batch: BATCH, seconds: SECONDS };
    return addon.benchSuite({ ...options, open: direction === 'inbound' }).ticksPerPacket;
  };
  for (let round = 0; round < ROUNDS; round++) {
    const options = { suite, innerBytes, batch: BATCH, tunnels: 1 };
    const whole = addon.benchEsp({ ...options, milliseconds: 1000 * SECONDS });
    for (const direction of DIRECTIONS) {
      esp[direction].push(whole[direction].ticksPerPacket);
      engine[direction].push(bare(name, direction));
      if (peer !== undefined) job[direction].push(bare(peer, direction));
    }
  }
  return DIRECTIONS.map((direction) => {
    const beside = peer === undefined ? undefined : median(job[direction]);
    const ticks = median(esp[direction]);
    return {
      ...{ suite, name, direction, bytes: innerBytes, engine: median(engine[direction]) },
      ...{ esp: ticks, job: beside, ratio: beside === undefined ? undefined : ticks / beside },
    };
  });
}

const samples = (): Samples => ({ outbound: [], inbound: [] });

await printIfMain(import.meta.url, benchEspSuites);
