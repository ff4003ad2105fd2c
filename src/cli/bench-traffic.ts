/**
 * Benchmarks with traffic: `bench loopback` over two gateways of its own, `bench link` over
 * whatever stands between two interfaces of this machine, and `bench generate` and `bench sink`
 * for the two ends on machines of their own.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { PacketSize } from '../bench/frames.js';
import type { SearchOptions } from '../bench/rate-search.js';
import { measureSizes, type TrafficPair, trafficFigures, trafficReport } from '../bench/traffic.js';
import { Generator } from '../bench/traffic-part.js';
import { addon } from '../dataplane/addon.js';
import {
  hasOutput,
  machineFacts,
  type OutputOptions,
  output,
  parseNumber,
  parsePacketSizes,
} from './bench-output.js';
import { EXIT_CODES, ExitError } from './exit.js';
import { StepProgress } from './progress.js';

interface SearchCommandOptions extends OutputOptions {
  readonly sizes: readonly PacketSize[];
  readonly seconds: number;
  readonly most: number;
  readonly loss: number;
  readonly resolution: number;
}

interface EndOptions {
  readonly source: string;
  readonly destination: string;
  readonly mac: string;
  readonly flows: number;
}

/** A stamp has to fit (native/addon/traffic_stamp.h), and the packet an MTU of 1500. */
const BYTES = { least: 48, most: 1500 } as const;
const SETTLE_MS = 200;

export function addTrafficBenches(bench: Command): void {
  searches(
    bench
      .command('loopback')
      .description(
        'two gateways, a generator and a sink in namespaces of its own: the highest rate without loss, and latencies',
      )
      .option('--plain', 'without the transform: what ports and kernel cost by themselves'),
  ).action(loopback);
  searches(
    hasEnds(
      bench
        .command('link')
        .description('the same through what stands between two interfaces of this machine')
        .requiredOption('--send <interface>', 'where packets leave')
        .requiredOption('--receive <interface>', 'where they come back'),
    ),
  ).action(link);
  hasEnds(
    bench
      .command('generate')
      .description('send packets at a rate, for a sink on another machine')
      .requiredOption('--port <interface>', 'where they leave')
      .option(
        '--size <bytes>',
        'of IP packets, or imix',
        parsePacketSizes(BYTES.least, BYTES.most),
        [64],
      )
      .option('--rate <n>', 'packets a second', parseNumber(1, 1e9), 10_000)
      .option('--seconds <n>', 'how long', parseNumber(0.01, 86_400), 10)
      .option('--json', 'print one JSON object'),
  ).action(generate);
  bench
    .command('sink')
    .description('count what a generator sends: packets, order, and with one clock latencies')
    .requiredOption('--port <interface>', 'where they arrive')
    .requiredOption('--network <prefix>', 'to which they go, such as 10.2.0.0/16')
    .option('--seconds <n>', 'how long', parseNumber(0.01, 86_400), 10)
    .option('--json', 'print one JSON object')
    .action(sink);
}

function searches(command: Command): Command {
  return hasOutput(
    command
      .option(
        '--sizes <bytes>',
        'of IP packets, by commas; imix: 64, 570 and 1400 bytes, 7 to 4 to 1',
        parsePacketSizes(BYTES.least, BYTES.most),
        [64, 512, 1400, 'imix'],
      )
      .option('--seconds <n>', 'for each trial; RFC 2544 wants 60', parseNumber(0.05, 600), 2)
      .option(
        '--most <n>',
        'packets a second of the first trial',
        parseNumber(1000, 1e9),
        1_000_000,
      )
      .option('--loss <percent>', 'that still counts as none', parseNumber(0, 100), 0)
      .option('--resolution <percent>', 'between two rates, to end', parseNumber(0.1, 50), 5),
  );
}

function hasEnds(command: Command): Command {
  return command
    .requiredOption('--mac <address>', 'Ethernet address that they are sent to')
    .requiredOption('--source <address>', 'IPv4 address that they come from')
    .requiredOption('--destination <address>', 'IPv4 address that they go to')
    .option('--flows <n>', 'UDP ports that they take turns with', parseNumber(1, 1024), 16);
}

function searchOptions({ most, loss, resolution }: SearchCommandOptions): SearchOptions {
  return { most, loss: loss / 100, resolution: resolution / 100 };
}

async function search(
  pair: TrafficPair,
  title: string,
  path: string,
  facts: ReturnType<typeof machineFacts>,
  options: SearchCommandOptions,
): Promise<void> {
  const progress = new StepProgress();
  let trial = 0;
  const { sizes, seconds } = options;
  const how = searchOptions(options);
  try {
    const figures = await measureSizes(pair, sizes, seconds, how, (size, rate) => {
      const name = size === 'imix' ? 'IMIX' : `${size} bytes`;
      progress.show(`${name} at ${rate.toLocaleString('en')} packets a second`, ++trial);
    });
    progress.clear();
    output(options, trafficReport(title, path, figures, facts, how), trafficFigures(figures));
  } finally {
    progress.clear();
  }
}

async function loopback(options: SearchCommandOptions & { readonly plain?: boolean }) {
  const { whyNoNamespaces } = await import('../lab/namespaces.js');
  const reason = whyNoNamespaces();
  if (reason !== undefined) throw new ExitError(EXIT_CODES.failed, reason);
  const { withLoopback } = await import('../lab/loopback.js');
  const facts = machineFacts();
  const plain = options.plain === true;
  await withLoopback(plain, (pair, modes) => {
    const what = plain ? 'in clear' : 'through one tunnel';
    const path = `From host to host ${what}, over two gateways on veth (${modes.join(', ')}); generator, gateways, wire and sink share the CPUs of this machine.`;
    return search(pair, 'esplane bench loopback', path, facts, options);
  });
}

async function link(
  options: SearchCommandOptions & EndOptions & { readonly send: string; readonly receive: string },
): Promise<void> {
  const { send, receive, destination } = options;
  const generator = openGenerator(send, options);
  const received = new addon.TrafficSink({ device: receive, networks: [`${destination}/32`] });
  const pair: TrafficPair = {
    async run(size, rate, seconds) {
      received.take();
      const { sent, seconds: took } = await generator.send({ size, rate, seconds });
      await sleep(SETTLE_MS);
      const traffic = received.take();
      return { rate, sent, received: traffic.packets, seconds: took, traffic };
    },
  };
  try {
    const path = `From ${send} to ${receive}, ${options.source} to ${destination}.`;
    await search(pair, 'esplane bench link', path, machineFacts(), options);
  } finally {
    generator.stop();
    received.stop();
  }
}

function openGenerator(device: string, { mac, source, destination, flows }: EndOptions): Generator {
  const own = readFileSync(`/sys/class/net/${device}/address`, 'utf8').trim();
  return new Generator({
    ...{ device, source, destination, flows },
    sourceMac: own,
    destinationMac: mac,
  });
}

async function generate(
  options: EndOptions & {
    readonly port: string;
    readonly size: readonly PacketSize[];
    readonly rate: number;
    readonly seconds: number;
    readonly json?: boolean;
  },
): Promise<void> {
  const generator = openGenerator(options.port, options);
  const [size] = options.size;
  const { sent, seconds } = await generator.send({ ...options, size: size! });
  generator.stop();
  const rate = Math.round(sent / seconds);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ sent, packetsPerSecond: rate })}\n`
      : `${sent.toLocaleString('en')} packets sent, ${rate.toLocaleString('en')} a second\n`,
  );
}

async function sink(options: {
  readonly port: string;
  readonly network: string;
  readonly seconds: number;
  readonly json?: boolean;
}): Promise<void> {
  const receiving = new addon.TrafficSink({ device: options.port, networks: [options.network] });
  await sleep(options.seconds * 1000);
  const got = receiving.take();
  receiving.stop();
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(got)}\n`);
    return;
  }
  const microseconds = (value: number) => `${Math.round(value / 1e3)} µs`;
  const latency = got.latencyNanoseconds;
  process.stdout.write(
    [
      `${got.packets.toLocaleString('en')} packets received, ${got.reordered} out of order`,
      ...(latency === null
        ? []
        : [
            `latency: half within ${microseconds(latency.p50)}, 99 % within ${microseconds(latency.p99)}, most ${microseconds(latency.most)} (where both ends have one clock)`,
          ]),
      '',
    ].join('\n'),
  );
}
