/**
 * Fuzzing that coverage guides: what reaches a block of code that nothing has reached before is kept,
 * and changed further. To ask for the coverage is dear, so that is done for a batch of cases at once;
 * only where there is something new each of them runs again by itself.
 */
import type { Coverage } from './coverage.js';
import { mutate } from './mutation.js';
import type { Random } from './random.js';
import type { Target } from './targets.js';

const BATCH = 32;

/** A case for which the target has thrown. */
export class Finding extends Error {
  readonly data: Uint8Array;

  constructor(data: Uint8Array, cause: unknown) {
    super(`${Buffer.from(data).toString('hex')}: ${cause}`, { cause });
    this.data = data;
  }
}

export class Guided {
  /** Each reaches something that those before it do not. */
  readonly corpus: Uint8Array[] = [];
  readonly outcomes = new Map<string, number>();
  cases = 0;
  readonly #target: Target;
  readonly #coverage: Coverage;
  readonly #random: Random;

  constructor(target: Target, coverage: Coverage, random: Random, seeds: readonly Uint8Array[]) {
    this.#target = target;
    this.#coverage = coverage;
    this.#random = random;
    for (const seed of seeds) this.#keepIfNew(seed);
    // Something to change, whatever it reaches.
    if (this.corpus.length === 0) this.corpus.push(new Uint8Array(0));
  }

  /** @throws Finding */
  runBatch(): void {
    const batch = Array.from({ length: BATCH }, () =>
      mutate(this.#random.pick(this.corpus), this.#random, this.corpus),
    );
    for (const data of batch) this.#run(data);
    const fresh = this.#coverage.look();
    if (fresh.length === 0) return;
    for (const data of batch) this.#keepIfNew(data);
    // What only the state of the engine has brought about is not looked for again.
    this.#coverage.keep(fresh);
  }

  #keepIfNew(data: Uint8Array): void {
    this.#coverage.look();
    this.#run(data);
    const fresh = this.#coverage.look();
    if (fresh.length === 0) return;
    this.#coverage.keep(fresh);
    this.corpus.push(data);
  }

  #run(data: Uint8Array): void {
    this.cases++;
    try {
      const outcome = this.#target(data);
      this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    } catch (error) {
      throw new Finding(data, error);
    }
  }
}
