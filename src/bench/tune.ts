/**
 * What `esplane tune` measures on this machine: algorithms and the pipeline over memory ports for
 * each core, by burst and by worker; and ports that it is given, alone.
 */
import { availableParallelism } from 'node:os';
import { addon } from '../dataplane/addon.js';
import type { Cost, PortBenchResult, TunnelBenchResult } from '../dataplane/bindings/bench.js';
import { type BenchFigure, measureSuite } from './crypto.js';

/** Sizes of inner IP packets, in bytes: the smallest, the middle of a mix, and a full one. */
export const SIZES = [64, 512, 1420] as const;
const CRYPTO_SIZES = [64, 128, 256, 512, 1024, 1420] as const;
const BURSTS = [1, 2, 4, 8, 16, 32, 64] as const;
/** One of each kind that people use. */
const SUITES = [
  'AES-GCM-16-128',
  'AES-GCM-16-256',
  'ChaCha20-Poly1305',
  'AES-CBC-128/HMAC-SHA2-256-128',
];
const RINGS = [256, 512, 1024, 2048] as const;
const BUSY_POLLS = [0, 20, 50] as const;
const PORT_BURSTS = [1, 8, 32, 64] as const;
/** Of packets on ports: a small one shows what a packet costs. */
const PORT_BYTES = 64;

export interface TuneOptions {
  readonly keyBits: 128 | 256;
  /** For each point of the pipeline and of the ports. */
  readonly seconds: number;
  /** Interfaces; with two, which a cable joins, the first sends and the second receives. */
  readonly ports: readonly string[];
}

/** Packets a second that one point of a curve carries, by the size of inner packets. */
export interface PipelinePoint {
  readonly bytes: number;
  readonly outboundNanoseconds: number;
  readonly inboundNanoseconds: number;
}

export interface BurstPoint extends PipelinePoint {
  readonly burst: number;
}

export interface WorkersPoint extends PipelinePoint {
  readonly workers: number;
  /** Of each port; as many as there are workers, or one that all share. */
  readonly queues: number;
}

export interface PortPoint {
  /** What was varied here; the other settings are those of the first point. */
  readonly varied: 'workers' | 'burst' | 'ringEntries' | 'busyPollMicroseconds';
  readonly workers: number;
  readonly burst: number;
  readonly ringEntries: number;
  readonly busyPollMicroseconds: number;
  readonly sentPerSecond: number;
  /** Undefined where nothing receives. */
  readonly receivedPerSecond: number | undefined;
  readonly droppedPerSecond: number | undefined;
}

/** A port that could not be measured, and why. */
export interface PortMeasurements {
  readonly sender: string;
  readonly receiver: string | undefined;
  readonly modes: readonly string[];
  readonly queues: number;
  readonly points: readonly PortPoint[];
}

export interface TuneMeasurements {
  readonly keyBits: number;
  readonly crypto: readonly BenchFigure[];
  readonly bursts: readonly BurstPoint[];
  readonly workers: readonly WorkersPoint[];
  readonly ports: PortMeasurements | undefined;
}

/** Called before each step, of `total` steps in all. */
export type OnStep = (doing: string, step: number, total: number) => void;

/** Throws where a port cannot be had. */
export function measureMachine(options: TuneOptions, onStep: OnStep): TuneMeasurements {
  const counts = workerCounts(availableParallelism());
  const settings = options.ports.length > 0 ? portSettings(options, counts) : [];
  const total = SUITES.length + BURSTS.length + SIZES.length + settings.length;
  let step = 0;
  const next = (doing: string) => onStep(doing, ++step, total);
  const crypto = SUITES.flatMap((name) => {
    next(`algorithms: ${name}`);
    return measureChosen(name, options.seconds / 10);
  });
  const bursts = BURSTS.flatMap((burst) => {
    next(`pipeline: bursts of ${burst}`);
    return SIZES.map((bytes) => measureBurst(burst, bytes, options));
  });
  const workers = SIZES.flatMap((bytes) => {
    next(`pipeline: 1 to ${counts.at(-1)} workers, ${bytes} bytes`);
    return measureWorkers(counts, bytes, options);
  });
  const points = settings.map((setting) => {
    next(`port ${options.ports[0]}: ${describeSetting(setting)}`);
    return measurePort(setting, options);
  });
  return { keyBits: options.keyBits, crypto, bursts, workers, ports: portsOf(options, points) };
}

/** 1 to as many as there are CPUs; of many, powers of two and the last two. */
export function workerCounts(cpus: number): number[] {
  const all = Array.from({ length: Math.min(cpus, 64) }, (_, i) => i + 1);
  return all.filter((n) => n <= 4 || n >= all.length - 1 || (n & (n - 1)) === 0);
}

function measureChosen(name: string, seconds: number): BenchFigure[] {
  const suite = addon.cryptoSuites().find((one) => one.name === name)!;
  const { engine } = addon.chooseEngine({ suite: name });
  const only = { ...suite, engines: [engine] };
  return measureSuite(only, { sizes: CRYPTO_SIZES, batch: 64, seconds });
}

function measureBurst(burst: number, bytes: number, options: TuneOptions): BurstPoint {
  const result = addon.benchPipeline({ ...benchOptions(bytes, options), batch: burst });
  return { burst, ...pipelinePoint(bytes, result) };
}

/** The arrangements take turns in one run, so that a disturbance of the machine meets all. */
function measureWorkers(
  counts: readonly number[],
  bytes: number,
  options: TuneOptions,
): WorkersPoint[] {
  const arrangements = [
    ...counts.map((workers) => ({ workers, queues: workers })),
    ...counts.filter((workers) => workers > 1).map((workers) => ({ workers, queues: 1 })),
  ];
  const { milliseconds, ...rest } = benchOptions(bytes, options);
  const results = addon.benchWorkers({
    ...rest,
    milliseconds: Math.min(60_000, milliseconds * arrangements.length),
    arrangements,
  });
  return arrangements.map((one, i) => ({ ...one, ...pipelinePoint(bytes, results[i]!) }));
}

function benchOptions(bytes: number, { keyBits, seconds }: TuneOptions) {
  const milliseconds = Math.max(1, Math.round(seconds * 1000));
  return {
    suite: `AES-GCM-16-${keyBits}`,
    innerBytes: bytes,
    batch: 64,
    tunnels: 1,
    milliseconds,
  } as const;
}

function pipelinePoint(bytes: number, { outbound, inbound }: TunnelBenchResult): PipelinePoint {
  // The fastest repetition of many: whatever else the machine does makes others slower only.
  const time = ({ bestNanosecondsPerPacket: best }: Cost) => best;
  return { bytes, outboundNanoseconds: time(outbound), inboundNanoseconds: time(inbound) };
}

/** Packets a second where as many go out as come in. */
export function packetsPerSecond(point: PipelinePoint): number {
  return 2e9 / (point.outboundNanoseconds + point.inboundNanoseconds);
}

// --- ports --------------------------------------------------------------------------------------

type PortSetting = Omit<PortPoint, 'sentPerSecond' | 'receivedPerSecond' | 'droppedPerSecond'>;

const BASE = { workers: 1, burst: 64, ringEntries: 1024, busyPollMicroseconds: 0 };

/** Each setting by itself, the others as they are by default. */
function portSettings({ ports }: TuneOptions, counts: readonly number[]): PortSetting[] {
  const most = ports.length > 1 ? Math.max(1, counts.at(-1)! >> 1) : counts.at(-1)!;
  return [
    ...counts.filter((n) => n <= most).map((workers) => ({ ...BASE, varied: 'workers', workers })),
    ...PORT_BURSTS.map((burst) => ({ ...BASE, varied: 'burst', burst })),
    ...RINGS.map((ringEntries) => ({ ...BASE, varied: 'ringEntries', ringEntries })),
    ...BUSY_POLLS.map((us) => ({
      ...BASE,
      varied: 'busyPollMicroseconds',
      busyPollMicroseconds: us,
    })),
  ] as PortSetting[];
}

function describeSetting(setting: PortSetting): string {
  const names = {
    workers: 'workers',
    burst: 'bursts',
    ringEntries: 'ring entries',
    busyPollMicroseconds: 'µs of busy polling',
  };
  return `${names[setting.varied]} ${setting[setting.varied]}`;
}

interface MeasuredPort {
  readonly point: PortPoint;
  readonly result: PortBenchResult;
}

function measurePort(setting: PortSetting, { ports, seconds }: TuneOptions): MeasuredPort {
  const { varied, ...settings } = setting;
  const [sender, receiver] = ports;
  const result = addon.benchPorts({
    ...settings,
    sender: sender!,
    ...(receiver === undefined ? {} : { receiver }),
    bytes: PORT_BYTES,
    milliseconds: Math.max(1, Math.round(seconds * 1000)),
  });
  const rate = (packets: number) => packets / result.seconds;
  const received = (packets: number) => (receiver === undefined ? undefined : rate(packets));
  const point = {
    ...setting,
    sentPerSecond: rate(result.sent),
    receivedPerSecond: received(result.received),
    droppedPerSecond: received(result.dropped),
  };
  return { point, result };
}

function portsOf(
  { ports }: TuneOptions,
  measured: readonly MeasuredPort[],
): PortMeasurements | undefined {
  const first = measured[0];
  if (first === undefined) return undefined;
  const { senderMode, receiverMode, senderQueues, receiverQueues } = first.result;
  return {
    sender: ports[0]!,
    receiver: ports[1],
    modes: [senderMode, receiverMode].filter((mode) => mode !== ''),
    queues: ports[1] === undefined ? senderQueues : Math.min(senderQueues, receiverQueues),
    points: measured.map(({ point }) => point),
  };
}
