/** Named timers of one IKE worker. A name has one timer at most: starting it again moves it. */
import type { Milliseconds } from '../ike/event.js';

/** setTimeout treats a longer delay as none. */
const MAX_DELAY = 2 ** 31 - 1;

export class Timers {
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #expired: (name: string) => void;

  constructor(expired: (name: string) => void) {
    this.#expired = expired;
  }

  get size(): number {
    return this.#timers.size;
  }

  start(name: string, delay: Milliseconds): void {
    this.cancel(name);
    const timer = setTimeout(
      () => {
        this.#timers.delete(name);
        this.#expired(name);
      },
      Math.min(Math.max(0, delay), MAX_DELAY),
    );
    this.#timers.set(name, timer);
  }

  cancel(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
