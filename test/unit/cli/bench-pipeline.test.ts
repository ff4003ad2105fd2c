import { describe, expect, it } from 'vitest';
import { type PipelineFigure, renderPipeline } from '../../../src/cli/bench-pipeline.js';

describe('the pipeline benchmark', () => {
  it('draws rates, with bars to scale within a size', () => {
    const figure = (workers: PipelineFigure['workers'], packetsPerSecond: number) => ({
      ...({ direction: 'outbound', bytes: 64, workers } as const),
      nanosecondsPerPacket: 1e9 / packetsPerSecond,
      packetsPerSecond,
      bitsPerSecond: packetsPerSecond * 512,
    });
    const text = renderPipeline([figure('one', 5e6), figure('two, a queue each', 1e7)], 'a CPU');
    expect(text.split('\n').slice(1, 3)).toEqual([
      `  64 B  outbound  one                 5.00 Mpps    2.56 Gbit/s  ${'█'.repeat(15)}`,
      `  64 B  outbound  two, a queue each  10.00 Mpps    5.12 Gbit/s  ${'█'.repeat(30)}`,
    ]);
  });
});
