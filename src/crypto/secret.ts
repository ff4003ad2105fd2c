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

  /** Copies `bytes` into memory of its own; the caller still owns, and wipes, the original. */
  constructor(bytes: Uint8Array) {
    // Short arrays are on V8's heap, where collecting garbage moves them and leaves copies behind.
    this.#bytes = new Uint8Array(new ArrayBuffer(bytes.length));
    this.#bytes.set(bytes);
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

  /** Hands the memory over for a transfer to another thread; this secret is empty afterwards. */
  release(): ArrayBuffer {
    const { buffer } = this.bytes;
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
