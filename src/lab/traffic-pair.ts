/** A generator and a sink in the lab's hosts, with both gateways between them. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PacketSize } from '../bench/frames.js';
import type { TrafficPair, TrafficTrial } from '../bench/traffic.js';
import type { SendCommand, SinkOptions, SourceOptions } from '../bench/traffic-part.js';
import type { ReceivedTraffic } from '../dataplane/bindings/bench.js';
import { execute, inNamespace, ip } from './namespaces.js';
import { compiledProgram } from './program.js';
import { LAN, type Topology } from './topology.js';

const FLOWS = 16;
/** Packets on their way arrive meanwhile. */
const SETTLE_MS = 200;

export class LabTrafficPair implements TrafficPair {
  readonly #source: Part;
  readonly #sink: Part;

  private constructor(source: Part, sink: Part) {
    this.#source = source;
    this.#sink = sink;
  }

  /** From host a to host b. */
  static async start({ a, b }: Topology): Promise<LabTrafficPair> {
    const from: SourceOptions = {
      device: 'eth0',
      sourceMac: macOf(a.hostNamespace, 'eth0'),
      destinationMac: macOf(a.gatewayNamespace, LAN),
      source: a.host.ipv4,
      destination: b.host.ipv4,
      flows: FLOWS,
    };
    const to: SinkOptions = { device: 'eth0', networks: [b.networks.ipv4] };
    // Gateway b learns where host b is while the kernel still answers there.
    execute(inNamespace(a.hostNamespace, ['ping', '-c', '2', '-i', '0.2', '-W', '2', b.host.ipv4]));
    const source = await Part.start(a.hostNamespace, 'source', from);
    const sink = await Part.start(b.hostNamespace, 'sink', to);
    return new LabTrafficPair(source, sink);
  }

  async run(size: PacketSize, rate: number, seconds: number): Promise<TrafficTrial> {
    await this.#sink.ask<ReceivedTraffic>({ take: true });
    const command: SendCommand = { size, rate, seconds };
    const { sent, seconds: took } = await this.#source.ask<{ sent: number; seconds: number }>(
      command,
    );
    await sleep(SETTLE_MS);
    const traffic = await this.#sink.ask<ReceivedTraffic>({ take: true });
    return { rate, sent, received: traffic.packets, seconds: took, traffic };
  }

  async stop(): Promise<void> {
    await Promise.all([this.#source.stop(), this.#sink.stop()]);
  }
}

function macOf(namespace: string, device: string): string {
  const [link] = JSON.parse(ip(['-j', '-n', namespace, 'link', 'show', 'dev', device]));
  return (link as { address: string }).address;
}

/** `bench/traffic-part.ts` in a namespace. */
class Part {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: ChildProcessWithoutNullStreams) {
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  }

  static async start(namespace: string, role: string, options: object): Promise<Part> {
    const program = [process.execPath, compiledProgram('bench/traffic-part.js')];
    const command = ['setpriv', '--pdeathsig', 'TERM', ...program, role, JSON.stringify(options)];
    const [file, ...args] = inNamespace(namespace, command);
    const child = spawn(file!, args);
    child.stderr.pipe(process.stderr);
    const part = new Part(child);
    await part.#line();
    return part;
  }

  async ask<T>(command: object): Promise<T> {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    return JSON.parse(await this.#line()) as T;
  }

  async stop(): Promise<void> {
    this.#process.stdin.end();
    if (this.#process.exitCode === null) await once(this.#process, 'exit');
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the generator or the sink has ended early');
    return value;
  }
}
