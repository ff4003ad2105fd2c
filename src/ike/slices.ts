/**
 * What is to be done to all IKE SAs, some of them in each event: what else arrives does not wait
 * for the rest, and thousands of requests do not leave in one burst, whose responses nobody's
 * buffers would hold.
 */
import type { Effect, Milliseconds } from './event.js';

/** A step takes some tenths of a millisecond. */
const STEPS = 32;
/** Between two events: 8,000 steps a second. */
const PACE: Milliseconds = 4;

export const SLICE_TIMER = 'slice/';

export class Slices {
  readonly #emit: (effect: Effect) => void;
  readonly #steps: (() => void)[] = [];
  #done = 0;

  constructor(emit: (effect: Effect) => void) {
    this.#emit = emit;
  }

  /** Takes steps, and as many as go into one event at once. */
  add<T>(items: Iterable<T>, step: (item: T) => void): void {
    const waiting = this.#steps.length > 0;
    for (const item of items) this.#steps.push(() => step(item));
    if (!waiting) this.proceed();
  }

  /** The timer has run out. */
  proceed(): void {
    const end = Math.min(this.#done + STEPS, this.#steps.length);
    while (this.#done < end) this.#steps[this.#done++]!();
    if (this.#done < this.#steps.length) {
      this.#emit({ type: 'start-timer', timer: SLICE_TIMER, delay: PACE });
      return;
    }
    this.#steps.length = 0;
    this.#done = 0;
  }
}
