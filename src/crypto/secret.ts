/**
 * Key material that can be wiped and never prints itself.
 *
 * A secret owns its bytes, which stay where they are until they are wiped. `toString`,
 * `JSON.stringify` and `util.inspect` show a redaction only.
 */
import { inspect } from 'node:util';

const NOTHING = new Uint8Array(0);

export class Secret {
  #bytes: Uint8Array<ArrayBuffer>;

  /**
   * @param bytes   copied, unless they are taken: then they are outside V8's heap, as all that the
   *                addon returns, and nobody else has them. Of what is copied the caller still owns,
   *                and wipes, the original.
   */
  constructor(bytes: Uint8Array, how: 'copied' | 'taken' = 'copied') {
    if (how === 'taken') this.#bytes = bytes as Uint8Array<ArrayBuffer>;
    else {
      // Short arrays are on V8's heap, where collecting garbage moves them and leaves copies behind.
      this.#bytes = new Uint8Array(new ArrayBuffer(bytes.length));
      this.#bytes.set(bytes);
    }
  }

  /** The bytes themselves, not a copy. Throws once the secret was wiped or handed over. */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes.byteLength === 0) throw new Error('secret was wiped');
    return this.#bytes;
  }

  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  /** Overwrites the bytes with zeros. May be called twice. */
  wipe(): void {
    this.#bytes.fill(0);
    this.#bytes = NOTHING;
  }

  /** Cuts it into secrets of these lengths, which share its memory; this one is empty afterwards. */
  cut(lengths: readonly number[]): Secret[] {
    const { bytes } = this;
    let offset = 0;
    const parts = lengths.map((length) => {
      const part = new Secret(bytes.subarray(offset, offset + length), 'taken');
      offset += length;
      return part;
    });
    bytes.fill(0, offset);
    this.#bytes = NOTHING;
    return parts;
  }

  /** Hands the memory over for a transfer to another thread; this secret is empty afterwards. */
  release(): ArrayBuffer {
    const { buffer, byteLength } = this.bytes;
    if (byteLength < buffer.byteLength) throw new Error('secret shares its memory with others');
    this.#bytes = NOTHING;
    return buffer;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
