/** A small generator of reproducible numbers for simulations: splitmix32. Not for keys. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** 0 <= x < 1. */
  unit(): number {
    return this.next() / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    const octets = new Uint8Array(count);
    for (let i = 0; i < count; i += 4) {
      const four = this.next();
      for (let k = 0; k < 4 && i + k < count; k++) octets[i + k] = four >>> (8 * k);
    }
    return octets;
  }
}
