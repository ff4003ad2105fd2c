/**
 * Reads a datagram. A cursor knows its place in bits and the end that it may not pass; whatever
 * would pass it is a `WireError`, so no decoder built on it can read beyond its structure.
 */
import { invalidSyntax } from './error.js';

const NOTHING = new Uint8Array(0);

export class Cursor {
  readonly data: Uint8Array<ArrayBuffer>;
  /** Octet at which the innermost structure ends. */
  end: number;
  /** Names of the structures around, and of the field that is read, for errors. */
  readonly path: string[] = [];
  field: string | undefined;
  #bit: number;

  constructor(data: Uint8Array, offset = 0, end = data.length) {
    // Without the subclass: a Buffer's `slice` is no copy.
    this.data = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    this.end = end;
    this.#bit = offset * 8;
  }

  /** The octet that comes next (or is being read bit by bit). */
  get offset(): number {
    return this.#bit >>> 3;
  }

  /** Whole octets left in the structure. */
  get left(): number {
    return this.end - this.offset;
  }

  fail(problem: string, offset = this.offset): never {
    const names = this.field === undefined ? this.path : [...this.path, this.field];
    throw invalidSyntax(problem, names.join('.'), offset);
  }

  /** The next `bits` bits, most significant first, up to 32 of them. */
  uint(bits: number): number {
    const from = this.#bit;
    const to = from + bits;
    if (to > this.end * 8) {
      this.fail(`${this.left} octets are left, ${Math.ceil(bits / 8)} are needed`);
    }
    const { data } = this;
    const last = (to - 1) >>> 3;
    let at = from >>> 3;
    let value = data[at]! & (0xff >>> (from & 7));
    while (at < last) value = value * 256 + data[++at]!;
    this.#bit = to;
    const behind = -to & 7;
    return behind === 0 ? value : Math.floor(value / (1 << behind));
  }

  /** Passes over the next `size` octets, which are there: the place of the first one. */
  skip(size: number): number {
    if (size > this.left) this.fail(`${this.left} octets are left, ${size} are needed`);
    const from = this.offset;
    this.#bit += size * 8;
    return from;
  }

  /** A copy of the next `size` octets: what is decoded shares no memory with the datagram. */
  octets(size: number): Uint8Array<ArrayBuffer> {
    const from = this.skip(size);
    return size === 0 ? NOTHING : this.data.slice(from, from + size);
  }

  /** The next `size` octets themselves, for what is opened or copied at once. */
  view(size: number): Uint8Array<ArrayBuffer> {
    const from = this.skip(size);
    return this.data.subarray(from, from + size);
  }
}
