/**
 * IKE messages through the codec: header, whole messages, and the payloads inside an encrypted
 * one, as strongSwan sent them. What a Node program would do without a codec is no contender; the
 * measure is a peer's whole set-up, of which decoding must be a small part.
 *
 * Timed by the package benchmark, `ROUNDS` times in turns; a figure is the median over the rounds.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Benchmark from 'benchmark';
import {
  decodeMessage,
  decodePayloads,
  encodeMessage,
  encodePayloads,
  peekHeader,
  printMessage,
} from '../../src/wire/index.js';
import { type BenchRow, type BenchTable, describeMachine, median, printIfMain } from '../table.js';

const ROUNDS = 5;
const SECONDS = 0.1;

interface TsharkPayload {
  readonly type: number;
  readonly octets: string;
  readonly inner?: readonly TsharkPayload[];
}

interface Capture {
  readonly messages: readonly {
    readonly data: string;
    readonly payloads: readonly TsharkPayload[];
  }[];
}

/** A capture of test/vectors/ike; npm runs scripts in the project's root. */
function capture(name: string): Capture {
  return JSON.parse(readFileSync(join(process.cwd(), 'test/vectors/ike', name), 'utf8')) as Capture;
}

const octets = (digits: string) => new Uint8Array(Buffer.from(digits, 'hex'));

function message(name: string, index: number): Uint8Array {
  return octets(capture(name).messages[index]!.data);
}

function inside(name: string, index: number) {
  const inner = capture(name).messages[index]!.payloads.at(-1)!.inner!;
  return {
    firstType: inner[0]!.type,
    data: octets(inner.map((payload) => payload.octets).join('')),
  };
}

/** Operations of one message; each is a figure of its row. */
type Operations = Readonly<Record<string, () => unknown>>;

function wholeMessage(data: Uint8Array): Operations {
  const decoded = decodeMessage(data);
  return {
    peek: () => peekHeader(data),
    decode: () => decodeMessage(data),
    encode: () => encodeMessage(decoded),
    print: () => printMessage(decoded),
  };
}

function chain({ firstType, data }: { firstType: number; data: Uint8Array }): Operations {
  const decoded = decodePayloads(firstType, data);
  return {
    decode: () => decodePayloads(firstType, data),
    encode: () => encodePayloads(decoded),
  };
}

function measureOnce(operation: () => unknown): number {
  const bench = new Benchmark(operation, { maxTime: SECONDS, minSamples: 5 });
  bench.run();
  return bench.stats.mean * 1e6;
}

function measure(name: string, bytes: number, operations: Operations): BenchRow {
  const samples = new Map(Object.keys(operations).map((key) => [key, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [key, run] of Object.entries(operations)) samples.get(key)!.push(measureOnce(run));
  }
  const medians = Object.fromEntries([...samples].map(([key, values]) => [key, median(values)]));
  return { message: name, bytes, ...medians };
}

export async function benchWire(): Promise<BenchTable> {
  const init = message('strongswan-psk-pfs-x25519.json', 0);
  const auth = message('strongswan-psk-pfs-x25519.json', 2);
  const authInside = inside('strongswan-psk-pfs-x25519.json', 2);
  const certificates = inside('strongswan-cert-ecdsa.json', 2);
  const rekey = inside('strongswan-rekey.json', 4);
  const figure = (key: string) => ({ key, title: key, unit: 'µs', digits: 2 });
  return {
    name: 'wire',
    title: 'IKE messages through the codec, one core',
    notes: [
      `Messages that strongSwan 5.9.8 sent. Medians of ${ROUNDS} interleaved rounds of the package benchmark.`,
      'Encrypted payloads stay closed in whole messages; "inside" is their plaintext.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'message', title: 'message' },
      { key: 'bytes', title: 'size', unit: 'bytes', digits: 0 },
      figure('peek'),
      figure('decode'),
      figure('encode'),
      figure('print'),
    ],
    rows: [
      measure('IKE_SA_INIT request', init.length, wholeMessage(init)),
      measure('IKE_AUTH request, closed', auth.length, wholeMessage(auth)),
      measure('IKE_AUTH request, inside', authInside.data.length, chain(authInside)),
      measure('with a certificate, inside', certificates.data.length, chain(certificates)),
      measure('CREATE_CHILD_SA, inside', rekey.data.length, chain(rekey)),
    ],
  };
}

await printIfMain(import.meta.url, benchWire);
