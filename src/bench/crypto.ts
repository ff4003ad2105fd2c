/** Engines of a suite on hot buffers, compared within one run. */
import { addon } from '../dataplane/addon.js';
import type { CryptoSuite } from '../dataplane/bindings/crypto.js';
import { median } from '../report/statistics.js';

/** One engine on one suite and size; nanoseconds a packet are medians over the rounds. */
export interface BenchFigure {
  readonly suite: string;
  readonly engine: string;
  /** What the dataplane uses for this suite. */
  readonly chosen: boolean;
  readonly bytes: number;
  readonly sealNanoseconds: number;
  readonly openNanoseconds: number;
  /** Of text, one core, sealing. */
  readonly gigabitsPerSecond: number;
}

export interface CryptoBenchOptions {
  /** Text bytes a packet. */
  readonly sizes: readonly number[];
  /** Packets in one call, 1 to 64. */
  readonly batch: number;
  /** For each figure. */
  readonly seconds: number;
  /** The plain reference as well. */
  readonly reference?: boolean;
}

const ROUNDS = 5;

/** The engines take turns, so that a disturbance of the machine meets all of them. */
export function measureSuite(suite: CryptoSuite, options: CryptoBenchOptions): BenchFigure[] {
  const chosen = addon.chooseEngine({ suite: suite.name }).engine;
  const engines = [...new Set([chosen, ...suite.engines])].filter(
    (name) => name !== 'reference' || options.reference === true,
  );
  return options.sizes.flatMap((bytes) => {
    const samples = engines.map(() => ({ seal: [] as number[], open: [] as number[] }));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, engine] of engines.entries()) {
        const measure = (open: boolean) =>
          addon.benchSuite({
            suite: suite.name,
            engine,
            textBytes: bytes,
            batch: options.batch,
            open,
            seconds: options.seconds / ROUNDS / 2,
          }).nanosecondsPerPacket;
        samples[i]!.seal.push(measure(false));
        samples[i]!.open.push(measure(true));
      }
    }
    return engines.map((engine, i) => {
      const sealNanoseconds = median(samples[i]!.seal);
      return {
        suite: suite.name,
        engine,
        chosen: engine === chosen,
        bytes,
        sealNanoseconds,
        openNanoseconds: median(samples[i]!.open),
        gigabitsPerSecond: (bytes * 8) / sealNanoseconds,
      };
    });
  });
}
