/**
 * Writes a message into a buffer that grows. Values that do not fit their field are our own
 * mistake, not the peer's: they are a RangeError.
 */
const LIMITS = Array.from({ length: 33 }, (_, bits) => 2 ** bits);

/** The buffer of the last writer that has finished: hardly ever are there two at work. */
let spare: Uint8Array<ArrayBuffer> | undefined;
const SPARE_OCTETS = 2_048;

export class Writer {
  /** Every octet is written before it is read. */
  #data: Uint8Array<ArrayBuffer>;
  #bit = 0;

  constructor() {
    this.#data = spare ?? new Uint8Array(SPARE_OCTETS);
    spare = undefined;
  }

  /** Octets written so far. */
  get offset(): number {
    return this.#bit >>> 3;
  }

  /** What was written, in memory of its own; nothing is written afterwards. */
  finish(): Uint8Array<ArrayBuffer> {
    const written = this.#data.slice(0, this.offset);
    if (this.#data.length === SPARE_OCTETS) spare = this.#data;
    return written;
  }

  uint(bits: number, value: number, name: string): void {
    if (!Number.isInteger(value) || value < 0 || value >= LIMITS[bits]!) {
      throw new RangeError(`${name}: ${value} does not fit ${bits} bits`);
    }
    this.#reserve(Math.ceil(bits / 8));
    this.#put(this.#bit, bits, value);
    this.#bit += bits;
  }

  octets(octets: Uint8Array): void {
    this.#reserve(octets.length);
    this.#data.set(octets, this.offset);
    this.#bit += octets.length * 8;
  }

  zeros(octets: number): void {
    this.#reserve(octets);
    this.#data.fill(0, this.offset, this.offset + octets);
    this.#bit += octets * 8;
  }

  /** Leaves room for an integer that is known later; returns the place for `patch`. */
  skip(bits: number): number {
    const place = this.#bit;
    this.uint(bits, 0, '');
    return place;
  }

  /** Fills a place that `skip` left. */
  patch(place: number, bits: number, value: number, name: string): void {
    if (value >= LIMITS[bits]!) throw new RangeError(`${name}: ${value} does not fit ${bits} bits`);
    this.#put(place, bits, value);
  }

  /** Octet by octet; who writes an octet's first bit leaves zeros behind its own. */
  #put(place: number, bits: number, value: number): void {
    for (let left = bits, at = place; left > 0; ) {
      const room = 8 - (at & 7);
      const taken = Math.min(room, left);
      left -= taken;
      const octet = ((value >>> left) << (room - taken)) & (0xff >>> (8 - room));
      this.#data[at >>> 3] = room === 8 ? octet : this.#data[at >>> 3]! | octet;
      at += taken;
    }
  }

  #reserve(octets: number): void {
    const needed = this.offset + octets + 1;
    if (needed <= this.#data.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#data.length));
    grown.set(this.#data);
    this.#data = grown;
  }
}
