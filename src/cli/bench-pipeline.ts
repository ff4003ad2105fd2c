/** `esplane bench pipeline`: what a packet costs from rx to tx, over memory ports, on this machine. */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { addon } from '../dataplane/addon.js';
import type { Cost } from '../dataplane/bindings/bench.js';

interface PipelineOptions {
  readonly seconds: number;
  readonly json?: boolean;
}

/** Rates of one size and direction; packets and bits are those of inner packets, a second. */
export interface PipelineFigure {
  readonly direction: 'outbound' | 'inbound';
  readonly bytes: number;
  /** Two workers: with a queue each, or sharing the packets of one queue. */
  readonly workers: 'one' | 'two, a queue each' | 'two on one queue';
  readonly nanosecondsPerPacket: number;
  readonly packetsPerSecond: number;
  readonly bitsPerSecond: number;
}

const SIZES = [64, 512, 1420];

export function addPipelineBench(bench: Command): void {
  bench
    .command('pipeline')
    .description(
      'tunnel mode with AES-128-GCM over memory ports, from rx to tx: one worker, and two where ' +
        'there are two CPUs',
    )
    .option('--seconds <n>', 'for each size', positive, 0.5)
    .option('--json', 'print one JSON array')
    .action(({ seconds, json }: PipelineOptions) => {
      const figures = SIZES.flatMap((bytes) => measure(bytes, seconds * 1000));
      if (json === true) process.stdout.write(`${JSON.stringify(figures)}\n`);
      else process.stdout.write(`${renderPipeline(figures, describeCpu())}${busyNote()}`);
    });
}

function describeCpu(): string {
  return cpus()[0]?.model ?? 'an unknown CPU';
}

/** Workers that wait for a CPU measure the scheduler. */
function busyNote(): string {
  const [load] = loadavg();
  if (load! < 0.5) return '';
  return `this machine does other work (load ${load!.toFixed(1)}): an idle one shows more\n`;
}

function measure(innerBytes: number, milliseconds: number): PipelineFigure[] {
  const options = {
    suite: 'AES-GCM-16-128',
    innerBytes,
    batch: 64,
    tunnels: 1,
    milliseconds,
  } as const;
  const figure = (
    direction: PipelineFigure['direction'],
    workers: PipelineFigure['workers'],
    { nanosecondsPerPacket }: Cost,
  ): PipelineFigure => ({
    ...{ direction, bytes: innerBytes, workers, nanosecondsPerPacket },
    packetsPerSecond: 1e9 / nanosecondsPerPacket,
    bitsPerSecond: (innerBytes * 8e9) / nanosecondsPerPacket,
  });
  const directions = ['outbound', 'inbound'] as const;
  if (availableParallelism() < 2) {
    const one = addon.benchPipeline(options);
    return directions.map((direction) => figure(direction, 'one', one[direction]));
  }
  const arrangements = [
    { workers: 1, queues: 1 },
    { workers: 2, queues: 2 },
    { workers: 2, queues: 1 },
  ];
  const [one, split, shared] = addon.benchWorkers({ ...options, arrangements });
  return directions.flatMap((direction) => [
    figure(direction, 'one', one![direction]),
    figure(direction, 'two, a queue each', split![direction]),
    figure(direction, 'two on one queue', shared![direction]),
  ]);
}

const BAR = 30;

/** A table whose bars are to scale within a size. */
export function renderPipeline(figures: readonly PipelineFigure[], machine: string): string {
  const lines = figures.map((one) => {
    const most = Math.max(
      ...figures.filter(({ bytes }) => bytes === one.bytes).map((f) => f.packetsPerSecond),
    );
    const bar = '█'.repeat(Math.max(1, Math.round((one.packetsPerSecond / most) * BAR)));
    return [
      `${one.bytes} B`.padStart(6),
      one.direction.padEnd(8),
      one.workers.padEnd(17),
      `${(one.packetsPerSecond / 1e6).toFixed(2)} Mpps`.padStart(10),
      `${(one.bitsPerSecond / 1e9).toFixed(2)} Gbit/s`.padStart(13),
      bar,
    ].join('  ');
  });
  const head = `Pipeline over memory ports, AES-128-GCM, one tunnel, on ${machine}; sizes of inner packets`;
  return `${head}\n${lines.join('\n')}\n`;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 60)) throw new InvalidArgumentError('above 0, at most 60.');
  return value;
}
