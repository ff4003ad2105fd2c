/**
 * AES-GCM for ESP-sized packets: every kernel of the addon on batches, libcrypto with a context
 * that keeps its key, and what a Node program has without an addon, createCipheriv per packet.
 *
 * The contenders take turns for `ROUNDS` rounds, so that a disturbance of the machine meets all of
 * them; a figure is the median over the rounds, a ratio the median of the rounds' ratios. The
 * native ones time themselves inside one call (native/addon/gcm_bench.cc); the JavaScript one is
 * timed by the package benchmark.
 */
import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto';
import Benchmark from 'benchmark';
import { addon } from '../../src/dataplane/addon.js';
import { type BenchRow, type BenchTable, describeMachine, median, printIfMain } from '../table.js';

const SIZES = [64, 256, 512, 1024, 1420];
const BATCH = 32;
const KEY_BITS = 128 as const;
const AAD_BYTES = 8;
const ROUNDS = 5;
const NATIVE_SECONDS = 0.03;
/** What the package benchmark may take for one round; it adds some for its calibration. */
const NODE_SECONDS = 0.1;

/** Nanoseconds a packet. */
type Contender = (bytes: number, decrypt: boolean) => number;

function native(kernel: string): Contender {
  const common = {
    kernel,
    keyBits: KEY_BITS,
    batch: BATCH,
    seconds: NATIVE_SECONDS,
    hot: true,
  } as const;
  return (textBytes, decrypt) =>
    addon.benchGcm({ ...common, textBytes, decrypt }).nanosecondsPerPacket;
}

const key = createSecretKey(Buffer.alloc(KEY_BITS / 8, 1));
const nonce = Buffer.alloc(12, 2);
const aad = Buffer.alloc(AAD_BYTES, 3);

function seal(text: Uint8Array): { text: Uint8Array; icv: Uint8Array } {
  const cipher = createCipheriv('aes-128-gcm', key, nonce, { authTagLength: 16 });
  cipher.setAAD(aad);
  const sealed = cipher.update(text);
  cipher.final();
  return { text: sealed, icv: cipher.getAuthTag() };
}

function open(text: Uint8Array, icv: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('aes-128-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(icv);
  const clear = decipher.update(text);
  decipher.final();
  return clear;
}

function node(bytes: number, decrypt: boolean): number {
  const clear = Buffer.alloc(bytes, 4);
  const sealed = seal(clear);
  const call = decrypt ? () => open(sealed.text, sealed.icv) : () => seal(clear);
  const bench = new Benchmark(call, { maxTime: NODE_SECONDS, minTime: 0.02, minSamples: 3 });
  bench.run();
  if (bench.error) throw bench.error;
  return median(bench.stats.sample) * 1e9;
}

function measure(contenders: Map<string, Contender>, bytes: number, decrypt: boolean): BenchRow {
  const samples = new Map([...contenders.keys()].map((name) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, run] of contenders) samples.get(name)!.push(run(bytes, decrypt));
  }
  const own = samples.get(addon.gcmKernels().inUse)!;
  const timesFaster = (name: string) => median(samples.get(name)!.map((ns, i) => ns / own[i]!));
  return {
    operation: decrypt ? 'open' : 'seal',
    bytes,
    ...Object.fromEntries([...samples].map(([name, values]) => [name, median(values)])),
    gigabits: (bytes * 8) / median(own),
    overLibcrypto: timesFaster('libcrypto'),
    overNode: timesFaster('node'),
  };
}

export async function benchGcmKernels(): Promise<BenchTable> {
  const { inUse, available } = addon.gcmKernels();
  const contenders = new Map<string, Contender>(available.map((name) => [name, native(name)]));
  contenders.set('libcrypto', native('libcrypto'));
  contenders.set('node', node);
  const rows = [false, true].flatMap((decrypt) =>
    SIZES.map((bytes) => measure(contenders, bytes, decrypt)),
  );
  const figure = (name: string) => ({ key: name, title: name, unit: 'ns/packet', digits: 1 });
  return {
    name: 'crypto',
    title: `AES-${KEY_BITS}-GCM, one core, one key; in use: ${inUse}`,
    notes: [
      `Kernels: batches of ${BATCH}, ${AAD_BYTES} bytes of AAD, buffers hot. Medians of ${ROUNDS} interleaved rounds.`,
      'libcrypto: EVP context that keeps its key. openssl: the same as a kernel, key set per batch.',
      'node: createCipheriv or createDecipheriv for each packet, with a KeyObject.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'operation', title: 'operation' },
      { key: 'bytes', title: 'text', unit: 'bytes', digits: 0 },
      ...available.map(figure),
      figure('libcrypto'),
      figure('node'),
      { key: 'gigabits', title: inUse, unit: 'Gbit/s', digits: 1 },
      { key: 'overLibcrypto', title: 'libcrypto', unit: `x ${inUse}`, digits: 1 },
      { key: 'overNode', title: 'node', unit: `x ${inUse}`, digits: 1 },
    ],
    rows,
  };
}

await printIfMain(import.meta.url, benchGcmKernels);
