/** A token bucket: bounds what anybody on the net can make us send or log. */
import type { Milliseconds } from '../event.js';

export class Throttle {
  readonly #perSecond: number;
  #tokens: number;
  #at: Milliseconds = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
  }

  /** Whether one more may pass now. */
  take(now: Milliseconds): boolean {
    const gained = (Math.max(0, now - this.#at) * this.#perSecond) / 1000;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
