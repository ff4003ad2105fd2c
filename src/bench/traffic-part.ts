/**
 * A generator or a sink as a program of its own, such as in a namespace: commands in, answers out,
 * a line of JSON each.
 *
 *   source {"device", "sourceMac", "destinationMac", "source", "destination", "flows"}
 *     {"size": 64 | "imix", "rate": 10000, "seconds": 2}  ->  {"sent", "seconds"}
 *   sink {"device", "networks"}
 *     {"take": true}                                      ->  ReceivedTraffic
 *
 * It says "ready" first, and ends with its standard input.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { addon } from '../dataplane/addon.js';
import type { NativeTrafficSource } from '../dataplane/bindings/bench.js';
import { makeFrames, type PacketSize } from './frames.js';

export interface SourceOptions {
  readonly device: string;
  /** As text, such as `02:00:00:00:00:01`. */
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly source: string;
  readonly destination: string;
  readonly flows: number;
}

export interface SinkOptions {
  readonly device: string;
  readonly networks: readonly string[];
}

export interface SendCommand {
  readonly size: PacketSize;
  readonly rate: number;
  readonly seconds: number;
}

/** A generator on an interface: opened anew for another size only. */
export class Generator {
  readonly #options: SourceOptions;
  #size: PacketSize | undefined;
  #source: NativeTrafficSource | undefined;

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  async send({ size, rate, seconds }: SendCommand): Promise<{ sent: number; seconds: number }> {
    const source = this.#sourceOf(size);
    const before = source.sent();
    const began = performance.now();
    source.setRate(rate);
    await sleep(seconds * 1000);
    source.setRate(0);
    const took = (performance.now() - began) / 1000;
    await sleep(SETTLE_MS);
    return { sent: source.sent() - before, seconds: took };
  }

  stop(): void {
    this.#source?.stop();
    this.#source = undefined;
  }

  #sourceOf(size: PacketSize): NativeTrafficSource {
    if (this.#source !== undefined && this.#size === size) return this.#source;
    this.stop();
    const { device, source, destination, flows, ...macs } = this.#options;
    const ends = {
      ...{ source, destination },
      sourceMac: macBytes(macs.sourceMac),
      destinationMac: macBytes(macs.destinationMac),
    };
    const frames = makeFrames(ends, size, flows);
    this.#size = size;
    this.#source = new addon.TrafficSource({ device, frames, packetsPerSecond: 0, stamped: true });
    return this.#source;
  }
}

const SETTLE_MS = 20;

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':').map((part) => Number.parseInt(part, 16)));
}

async function runSource(options: SourceOptions): Promise<void> {
  const generator = new Generator(options);
  await answerLines((command) => generator.send(command as SendCommand));
  generator.stop();
}

async function runSink(options: SinkOptions): Promise<void> {
  const sink = new addon.TrafficSink(options);
  await answerLines(async () => sink.take());
  sink.stop();
}

async function answerLines(answer: (command: unknown) => Promise<object>): Promise<void> {
  process.stdout.write('ready\n');
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
  }
}

const [, file, role, json] = process.argv;
if (file?.endsWith('/traffic-part.js') && json !== undefined) {
  if (role === 'source') await runSource(JSON.parse(json) as SourceOptions);
  if (role === 'sink') await runSink(JSON.parse(json) as SinkOptions);
}
