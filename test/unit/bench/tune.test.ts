import { describe, expect, it } from 'vitest';
import { recommend } from '../../../src/bench/recommend.js';
import {
  measureMachine,
  type PortPoint,
  SIZES,
  type TuneMeasurements,
  workerCounts,
} from '../../../src/bench/tune.js';
import { tuneReport } from '../../../src/bench/tune-report.js';
import { renderReport } from '../../../src/report/render-report.js';

/** @param gain  how many times faster so many workers are */
function measured(gain: Record<number, number>, points: PortPoint[] = []): TuneMeasurements {
  const point = (workers: number, queues: number, bytes: number, times: number) => ({
    ...{ workers, queues, bytes },
    outboundNanoseconds: bytes / times,
    inboundNanoseconds: bytes / times,
  });
  return {
    keyBits: 128,
    crypto: [64, 1420].map((bytes) => ({
      ...{ suite: 'AES-GCM-16-128', engine: 'vaes512', chosen: true, bytes },
      ...{ sealNanoseconds: 10, openNanoseconds: 10, gigabitsPerSecond: bytes * 0.8 },
    })),
    bursts: [1, 64].flatMap((burst) =>
      SIZES.map((bytes) => ({ burst, ...point(1, 1, bytes, burst === 1 ? 0.5 : 1) })),
    ),
    workers: Object.entries(gain).flatMap(([n, times]) =>
      SIZES.flatMap((bytes) => [
        point(Number(n), Number(n), bytes, times),
        ...(Number(n) > 1 ? [point(Number(n), 1, bytes, 1.2)] : []),
      ]),
    ),
    ports:
      points.length === 0
        ? undefined
        : { sender: 'a', receiver: 'b', modes: ['xdp-native-copy'], queues: 1, points },
  };
}

const port = (varied: PortPoint['varied'], value: number, rate: number): PortPoint => ({
  ...{ varied, workers: 1, burst: 64, ringEntries: 1024, busyPollMicroseconds: 0 },
  [varied]: value,
  ...{ sentPerSecond: 9e6, receivedPerSecond: rate, droppedPerSecond: 9e6 - rate },
});

const workersOf = (gain: Record<number, number>, cpus: number) =>
  recommend(measured(gain), cpus).find(({ key }) => key === 'workers')!;

describe('tune recommends', () => {
  it('the fewest workers that carry nearly the most, and leaves a core where there are three', () => {
    expect(workersOf({ 1: 1, 2: 1.9 }, 2)).toEqual({
      key: 'workers',
      value: 2,
      evidence: '2 workers with a queue each carry 1.90 times what one does',
    });
    expect(workersOf({ 1: 1, 2: 1.02 }, 2).value).toBe(1);
    expect(workersOf({ 1: 1, 2: 1.9, 3: 2.7, 4: 3.6 }, 4)).toMatchObject({
      value: 3,
      evidence: expect.stringContaining('one core is left to IKE and the kernel'),
    });
    expect(workersOf({ 1: 1 }, 1).value).toBe(1);
  });

  it('the smallest rings and the least polling that pass nearly the most', () => {
    const settings = recommend(
      measured({ 1: 1 }, [
        port('ringEntries', 256, 3e6),
        port('ringEntries', 512, 5.9e6),
        port('ringEntries', 1024, 6e6),
        port('busyPollMicroseconds', 0, 5.8e6),
        port('busyPollMicroseconds', 20, 6e6),
      ]),
      2,
    );
    expect(settings.map(({ key, value }) => [key, value])).toEqual([
      ['workers', 1],
      ['frames', 4096],
      ['busy_poll_microseconds', 0],
    ]);
  });
});

describe('tune', () => {
  it('begins with the conclusion, and says what it could not measure', () => {
    const one = measured({ 1: 1, 2: 2 });
    const machine = { cpu: 'a CPU', cpus: 2, kernel: '6.1', version: '0.1.0', load: 0 };
    const text = renderReport(tuneReport(one, recommend(one, 2), machine, undefined));
    expect(text.split('\n\n')[0]).toBe(
      `2 workers carry 31.25 million packets a second of 64 bytes or 16.00 Gbit/s of
1420-byte packets through ESP on this machine, not counting network cards. Set
workers = 2.`,
    );
    expect(text).toContain('Not measured:\n  - network cards:');
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('measures every point, telling each step before', { timeout: 20_000 }, () => {
    const steps: number[] = [];
    const result = measureMachine({ keyBits: 128, seconds: 0.002, ports: [] }, (_, step, total) => {
      steps.push(step);
      expect(step).toBeLessThanOrEqual(total);
    });
    expect(steps).toEqual(steps.map((_, i) => i + 1));
    for (const point of [...result.bursts, ...result.workers]) {
      expect(point.outboundNanoseconds).toBeGreaterThan(0);
      expect(point.inboundNanoseconds).toBeGreaterThan(0);
    }
  });

  it('tries few counts of workers where there are many CPUs', () => {
    expect(workerCounts(2)).toEqual([1, 2]);
    expect(workerCounts(12)).toEqual([1, 2, 3, 4, 8, 11, 12]);
  });
});
