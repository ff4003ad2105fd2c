/** `esplane bench esp`: the ESP transform alone, on one core. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Figure } from '../bench/compare.js';
import { type PacketSize, sizesOf } from '../bench/frames.js';
import { addon } from '../dataplane/addon.js';
import type { Report } from '../report/report.js';
import {
  hasOutput,
  machineFacts,
  type OutputOptions,
  output,
  parseNumber,
  parsePacketSizes,
} from './bench-output.js';

interface EspOptions extends OutputOptions {
  readonly sizes: readonly PacketSize[];
  readonly tunnels: number;
  readonly batch: number;
  readonly suite: string;
  readonly seconds: number;
}

interface EspFigure {
  readonly direction: 'outbound' | 'inbound';
  readonly size: PacketSize;
  readonly tunnels: number;
  readonly nanosecondsPerPacket: number;
  readonly ticksPerPacket: number;
  /** Of inner packets. */
  readonly bitsPerSecond: number;
}

const INNER = { least: 28, most: 1438 } as const;

export function addEspBench(bench: Command): void {
  hasOutput(
    bench
      .command('esp')
      .description('tunnel mode on batches of packets, one core, without ports')
      .option(
        '--sizes <bytes>',
        'of inner IP packets, by commas; imix: 64, 570 and 1400 bytes, 7 to 4 to 1',
        parsePacketSizes(INNER.least, INNER.most),
        [64, 512, 1420, 'imix'],
      )
      .option('--tunnels <n>', 'packets take turns with so many, 1 to 256', parseNumber(1, 256), 1)
      .option('--batch <packets>', 'in one call, 1 to 64', parseNumber(1, 64), 64)
      .option('--suite <name>', 'one of `esplane bench crypto`', parseSuite, 'AES-GCM-16-128')
      .option('--seconds <n>', 'for each size', parseNumber(0.001, 60), 0.5),
  ).action((options: EspOptions) => {
    const figures = options.sizes.flatMap((size) => measure(size, options));
    output(options, reportOf(figures, options), figures.map(flat));
  });
}

/** Of the mix, each size is measured by itself and counts by how often it occurs. */
function measure(size: PacketSize, options: EspOptions): EspFigure[] {
  const all = sizesOf(size);
  const distinct = [...new Set(all)];
  const results = distinct.map((innerBytes) => ({
    share: all.filter((bytes) => bytes === innerBytes).length / all.length,
    innerBytes,
    result: addon.benchEsp({
      suite: options.suite,
      innerBytes,
      batch: options.batch,
      tunnels: options.tunnels,
      milliseconds: Math.max(1, Math.round((options.seconds * 1000) / distinct.length)),
    }),
  }));
  const bytes = results.reduce((sum, one) => sum + one.share * one.innerBytes, 0);
  return (['outbound', 'inbound'] as const).map((direction) => {
    const mean = (key: 'nanosecondsPerPacket' | 'ticksPerPacket') =>
      results.reduce((sum, { share, result }) => sum + share * result[direction][key], 0);
    const nanosecondsPerPacket = mean('nanosecondsPerPacket');
    return {
      ...{ direction, size, tunnels: options.tunnels, nanosecondsPerPacket },
      ticksPerPacket: mean('ticksPerPacket'),
      bitsPerSecond: (bytes * 8e9) / nanosecondsPerPacket,
    };
  });
}

function parseSuite(name: string): string {
  const known = addon.cryptoSuites().some((suite) => suite.encryption !== 0 && suite.name === name);
  if (known) return name;
  throw new InvalidArgumentError('no such suite of ESP; `esplane bench crypto` names them.');
}

function flat({ size, ...figure }: EspFigure): Figure {
  return { ...figure, size: sizeName(size) };
}

function sizeName(size: PacketSize): string {
  return size === 'imix' ? 'IMIX' : `${size} B`;
}

function reportOf(figures: readonly EspFigure[], options: EspOptions): Report {
  const best = figures.reduce((a, b) => (b.bitsPerSecond > a.bitsPerSecond ? b : a));
  const sized = (direction: string) =>
    figures.filter((figure) => figure.direction === direction && figure.size !== 'imix');
  const curve = (direction: 'outbound' | 'inbound') => ({
    name: direction,
    points: sized(direction).map((one) => ({ x: one.size as number, y: one.bitsPerSecond / 1e9 })),
  });
  const tunnels = options.tunnels === 1 ? 'one tunnel' : `${options.tunnels} tunnels in turn`;
  return {
    title: 'esplane bench esp',
    says: `One core carries up to ${(best.bitsPerSecond / 1e9).toFixed(1)} Gbit/s of inner packets through ESP (${best.direction}, ${sizeName(best.size)}).`,
    facts: machineFacts(),
    sections: [
      {
        title: 'ESP',
        says: `${options.suite}, tunnel mode, ${tunnels}, batches of ${options.batch}; medians.`,
        chart: {
          title: 'Inner packets through ESP on one core, by size',
          x: { label: 'bytes of the inner packet' },
          y: { label: 'inner packets', unit: 'Gbit/s' },
          series: [curve('outbound'), curve('inbound')],
        },
        table: {
          columns: [
            { title: 'direction' },
            { title: 'inner packets' },
            { title: 'ns a packet', digits: 1 },
            { title: 'ticks', digits: 0 },
            { title: 'Mpps', digits: 2 },
            { title: 'Gbit/s', digits: 2 },
          ],
          rows: figures.map((one) => [
            one.direction,
            sizeName(one.size),
            one.nanosecondsPerPacket,
            one.ticksPerPacket,
            1e3 / one.nanosecondsPerPacket,
            one.bitsPerSecond / 1e9,
          ]),
        },
      },
    ],
    missing: [],
  };
}
