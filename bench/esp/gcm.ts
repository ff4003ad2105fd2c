/**
 * AES-GCM and GMAC for ESP-sized packets: every kernel of the addon (but the plain reference, which
 * is there to be read) on batches beside what one
 * would use instead: ipsec-mb, each of its interfaces, libcrypto with a context that keeps its key,
 * and what a Node program has without an addon, createCipheriv per packet.
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
const AAD_BYTES = 8;
const ROUNDS = 9;
const NATIVE_SECONDS = 0.015;
/** What the package benchmark may take for one round; it adds some for its calibration. */
const NODE_SECONDS = 0.05;

type Operation = 'seal' | 'open' | 'gmac';

interface Workload {
  readonly operation: Operation;
  readonly keyBits: 128 | 256;
  readonly bytes: number;
}

/** Nanoseconds a packet; undefined where it cannot do this. */
type Contender = (workload: Workload) => number | undefined;

function native(kernel: string): Contender {
  return ({ operation, keyBits, bytes }) => {
    // A job without a text is a mistake to ipsec-mb.
    if (operation === 'gmac' && kernel === 'ipsec-mb jobs') return undefined;
    const result = addon.benchGcm({
      kernel,
      keyBits,
      textBytes: bytes,
      gmac: operation === 'gmac',
      decrypt: operation === 'open',
      batch: BATCH,
      seconds: NATIVE_SECONDS,
      hot: true,
    });
    return result.nanosecondsPerPacket;
  };
}

const nonce = Buffer.alloc(12, 2);
const aad = Buffer.alloc(AAD_BYTES, 3);

/** One packet through createCipheriv, and one through createDecipheriv. */
function nodeCalls(keyBits: 128 | 256, bytes: number): { seal: () => void; open: () => void } {
  const algorithm = `aes-${keyBits}-gcm` as const;
  const key = createSecretKey(Buffer.alloc(keyBits / 8, 1));
  const clear = Buffer.alloc(bytes, 4);
  const seal = () => {
    const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: 16 });
    cipher.setAAD(aad);
    const text = cipher.update(clear);
    cipher.final();
    return { text, icv: cipher.getAuthTag() };
  };
  const sealed = seal();
  const open = () => {
    const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: 16 });
    decipher.setAAD(aad);
    decipher.setAuthTag(sealed.icv);
    decipher.update(sealed.text);
    decipher.final();
  };
  return { seal, open };
}

function node({ operation, keyBits, bytes }: Workload): number | undefined {
  if (operation === 'gmac') return undefined;
  const call = nodeCalls(keyBits, bytes)[operation];
  const bench = new Benchmark(call, { maxTime: NODE_SECONDS, minTime: 0.02, minSamples: 3 });
  bench.run();
  if (bench.error) throw bench.error;
  return median(bench.stats.sample) * 1e9;
}

type Samples = Map<string, (number | undefined)[]>;

/** The median of the rounds, or undefined where a contender took no part. */
function middle(samples: readonly (number | undefined)[]): number | undefined {
  const values = samples.filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values);
}

/** What `own` takes of the time of the fastest of `names`, round by round. */
function shareOf(samples: Samples, own: string, names: readonly string[]): number | undefined {
  return middle(
    samples.get(own)!.map((ns, round) => {
      const others = names
        .map((name) => samples.get(name)![round])
        .filter((other) => other !== undefined);
      return others.length === 0 ? undefined : ns! / Math.min(...others);
    }),
  );
}

function measure(contenders: Map<string, Contender>, workload: Workload): BenchRow {
  const samples: Samples = new Map([...contenders.keys()].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, run] of contenders) samples.get(name)!.push(run(workload));
  }
  const { inUse, available, peers } = addon.gcmKernels();
  const ipsecMb = peers.filter((name) => name.startsWith('ipsec-mb'));
  const aesni = available.find((name) => name.startsWith('aesni'));
  return {
    ...workload,
    ...Object.fromEntries([...samples].map(([name, values]) => [name, middle(values)])),
    gigabits: (workload.bytes * 8) / middle(samples.get(inUse)!)!,
    ofIpsecMb: shareOf(samples, inUse, ipsecMb),
    aesniOfIpsecMb: aesni === undefined ? undefined : shareOf(samples, aesni, ipsecMb),
    ofLibcrypto: shareOf(samples, inUse, ['libcrypto']),
  };
}

export async function benchGcmKernels(): Promise<BenchTable> {
  const { inUse, peers } = addon.gcmKernels();
  const available = addon
    .gcmKernels()
    .available.filter((name) => name !== 'reference' && !peers.includes(name));
  const contenders = new Map<string, Contender>(
    [...available, ...peers].map((name) => [name, native(name)]),
  );
  contenders.set('node', node);
  const rows: BenchRow[] = [];
  for (const keyBits of [128, 256] as const) {
    for (const operation of ['seal', 'open', 'gmac'] as const) {
      for (const bytes of SIZES) rows.push(measure(contenders, { operation, keyBits, bytes }));
    }
  }
  const figure = (name: string) => ({ key: name, title: name, unit: 'ns/packet', digits: 1 });
  const share = (key: string, title: string, of: string) => ({
    key,
    title,
    unit: `of ${of}`,
    digits: 2,
  });
  const hasIpsecMb = peers.includes('ipsec-mb direct');
  return {
    name: 'crypto',
    title: `AES-GCM and GMAC, one core, one key; in use: ${inUse}`,
    notes: [
      `Kernels: batches of ${BATCH}, ${AAD_BYTES} bytes of AAD (GMAC: all), buffers hot, ICVs compared. Medians of ${ROUNDS} interleaved rounds.`,
      hasIpsecMb
        ? 'ipsec-mb direct: one call a packet; avx: its AVX code; jobs: one burst of jobs a batch. Shares are of the fastest of the three.'
        : 'ipsec-mb was not there when the addon was built (libipsec-mb-dev).',
      'libcrypto: EVP context that keeps its key. openssl: the same as a kernel, key set per batch.',
      'node: createCipheriv or createDecipheriv for each packet, with a KeyObject.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'operation', title: 'operation' },
      { key: 'keyBits', title: 'key', unit: 'bits', digits: 0 },
      { key: 'bytes', title: 'text', unit: 'bytes', digits: 0 },
      ...[...available, ...peers].map(figure),
      figure('node'),
      { key: 'gigabits', title: inUse, unit: 'Gbit/s', digits: 1 },
      share('ofIpsecMb', inUse, 'ipsec-mb'),
      share('aesniOfIpsecMb', 'AES-NI', 'ipsec-mb'),
      share('ofLibcrypto', inUse, 'libcrypto'),
    ],
    rows,
  };
}

await printIfMain(import.meta.url, benchGcmKernels);
