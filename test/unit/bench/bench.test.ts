import { describe, expect, it } from 'vitest';
import { compareFigures, comparisonSection, readFigures } from '../../../src/bench/compare.js';
import { makeFrame, makeFrames, meanBytes, sizesOf } from '../../../src/bench/frames.js';
import { searchRate } from '../../../src/bench/rate-search.js';
import { measureSizes, trafficFigures, trafficReport } from '../../../src/bench/traffic.js';
import { renderReport } from '../../../src/report/render-report.js';
import { internetChecksum } from '../dataplane/packets.js';

describe('the search for the highest rate (RFC 2544 §26.1)', () => {
  /** A path that carries so many packets a second, and a generator that makes so many. */
  const path = (capacity: number, generator = 1e9) => {
    const rates: number[] = [];
    const run = async (rate: number) => {
      rates.push(rate);
      const sent = Math.min(rate, generator);
      return { rate, sent, received: Math.min(sent, capacity) };
    };
    return { rates, run };
  };
  const options = { most: 1000, loss: 0, resolution: 0.05 };

  it('halves the interval until it is small enough', async () => {
    const { rates, run } = path(640);
    const { best } = await searchRate(options, run);
    expect(rates).toEqual([1000, 500, 750, 625, 688, 656]);
    expect(best!.rate).toBe(625);
  });

  it('ends at once where the first trial loses nothing', async () => {
    const { rates, run } = path(5000);
    expect((await searchRate(options, run)).best!.rate).toBe(1000);
    expect(rates).toEqual([1000]);
  });

  it('takes what may be lost, and holds no generator against the path', async () => {
    expect((await searchRate({ ...options, loss: 0.5 }, path(600).run)).best!.rate).toBe(1000);
    expect((await searchRate(options, path(600, 400).run)).best!.sent).toBe(400);
  });

  it('ends where every trial loses some', async () => {
    const { rates, run } = path(0);
    expect((await searchRate(options, run)).best).toBeUndefined();
    expect(rates.at(-1)).toBeGreaterThanOrEqual(100);
  });
});

describe('frames', () => {
  const ends = {
    sourceMac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    destinationMac: Uint8Array.of(2, 0, 0, 0, 0, 2),
    ...{ source: '10.1.0.2', destination: '10.2.0.2' },
  };

  it('are UDP in IPv4 with a checksum that holds', () => {
    const frame = makeFrame({ ...ends, bytes: 64, flow: 3 });
    expect(frame).toHaveLength(78);
    expect(internetChecksum(frame.subarray(14, 34))).toBe(0);
    expect(Buffer.from(frame).readUInt16BE(34)).toBe(49_155);
  });

  it('of the mix are 7 to 4 to 1', () => {
    const sizes = makeFrames(ends, 'imix', 2).map((frame) => frame.length - 14);
    expect(sizes).toHaveLength(24);
    expect(
      [64, 570, 1400].map((bytes) => sizesOf('imix').filter((b) => b === bytes).length),
    ).toEqual([7, 4, 1]);
    expect(meanBytes('imix')).toBeCloseTo(344, 0);
  });
});

describe('results', () => {
  const before = [
    { direction: 'outbound', bytes: 64, nanosecondsPerPacket: 100, packetsPerSecond: 1e7 },
    { direction: 'inbound', bytes: 64, nanosecondsPerPacket: 200, packetsPerSecond: 5e6 },
  ];

  it('are compared figure by figure, and what is better depends on what is counted', () => {
    const after = [
      { direction: 'outbound', bytes: 64, nanosecondsPerPacket: 50, packetsPerSecond: 2e7 },
      { direction: 'inbound', bytes: 64, nanosecondsPerPacket: 202, packetsPerSecond: 4.95e6 },
      { direction: 'inbound', bytes: 512, nanosecondsPerPacket: 1, packetsPerSecond: 1 },
    ];
    const comparisons = compareFigures(before, after);
    expect(
      comparisons.map(({ what, metric, ratio, better }) => [what, metric, ratio, better]),
    ).toEqual([
      ['outbound, 64 bytes', 'nanosecondsPerPacket', 0.5, true],
      ['outbound, 64 bytes', 'packetsPerSecond', 2, true],
      ['inbound, 64 bytes', 'nanosecondsPerPacket', 1.01, false],
      ['inbound, 64 bytes', 'packetsPerSecond', 0.99, false],
    ]);
    expect(comparisonSection(comparisons).says).toBe(
      'Of 4 figures 2 are better, 0 worse, and 2 within 5 % of each other.',
    );
    expect(() => readFigures('{}')).toThrow('not what a benchmark prints');
  });

  it('of traffic begin with what it carries', async () => {
    const latencyNanoseconds = { p50: 20_000, p90: 40_000, p99: 90_000, p999: 1e6, most: 2e6 };
    const pair = {
      run: async (_: unknown, rate: number, seconds: number) => {
        const [sent, received] = [rate * seconds, Math.min(rate, 60_000) * seconds];
        const traffic = {
          packets: received,
          bytes: 0,
          reordered: 0,
          foreign: 0,
          latencyNanoseconds,
        };
        return { ...{ rate, sent, received, seconds }, traffic };
      },
    };
    const how = { most: 100_000, loss: 0, resolution: 0.05 };
    const figures = await measureSizes(pair, [64, 'imix'], 2, how, () => {});
    expect(trafficFigures(figures)[0]).toEqual({
      ...{ size: '64 B', packetsPerSecond: 59_375, bitsPerSecond: 59_375 * 512, trials: 6 },
      ...{ latencyP50Nanoseconds: 20_000, latencyP99Nanoseconds: 90_000 },
      ...{ latencyP999Nanoseconds: 1e6, latencyMostNanoseconds: 2e6, reordered: 0 },
    });
    const text = renderReport(trafficReport('bench', 'a path', figures, [], how));
    expect(text).toContain(
      'It carries 59 thousand packets a second of 64 B and 59 of IMIX without loss.',
    );
    expect(text).toContain('64 B        59.4   0.030       20       90      1,000     2,000\n');
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });
});
