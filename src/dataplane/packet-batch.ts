/**
 * A batch of packets in memory of the caller's own, as arrays, one per field: what `BulkEsp` works
 * on. The layout is that of native/packet/batch.h, with offsets in place of pointers.
 */
import { addon } from './addon.js';

export interface PacketBatchOptions {
  /** Most packets at once; one frame each. */
  readonly capacity: number;
  /** Size of a frame, a power of two from 256 to 65536; 2048 if left out. */
  readonly frameBytes?: number;
  /** Memory that other threads can see (a SharedArrayBuffer). */
  readonly shared?: boolean;
}

/** Free bytes that `add` leaves before a packet: outer headers, UDP, ESP header and IV fit. */
export const HEADROOM_BYTES = 128;

/**
 * Packets, each in a frame of its own. Encapsulation grows a packet into the free bytes before and
 * behind it, decapsulation shrinks it; its bytes stay where they are, and `offset` and `length`
 * move.
 *
 * Arrays are indexed by packet, 0 to `size` - 1, and may be written by the caller.
 */
export class PacketBatch {
  readonly frameBytes: number;
  readonly capacity: number;
  /** All frames, one behind the other. */
  readonly frames: Uint8Array;
  /** Packets in the batch. */
  size = 0;
  /** First byte of each packet's IP header, from the start of `frames`. */
  readonly offset: Uint32Array;
  /** Bytes of each packet, from its IP header on. */
  readonly length: Uint32Array;
  /** The SA pair of each packet, by its inbound SPI: read by `outbound`, written by `inbound`. */
  readonly pair: Uint32Array;
  /** What became of each packet: 0 where it went through, else see `verdictName`. */
  readonly verdict: Uint8Array;

  /** Throws a RangeError for a frame size that is not possible. */
  constructor({ capacity, frameBytes = 2048, shared = false }: PacketBatchOptions) {
    const isPowerOfTwo = (frameBytes & (frameBytes - 1)) === 0;
    if (!isPowerOfTwo || frameBytes < 256 || frameBytes > 65536) {
      throw new RangeError(`frameBytes: ${frameBytes} is no power of two from 256 to 65536`);
    }
    this.frameBytes = frameBytes;
    this.capacity = capacity;
    const allocate = (bytes: number) =>
      shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
    // One frame more than asked for, to begin at a multiple of the frame size.
    const memory = new Uint8Array(allocate((capacity + 1) * frameBytes));
    const skip = addon.frameAlignment(memory, frameBytes);
    this.frames = memory.subarray(skip, skip + capacity * frameBytes);
    this.offset = new Uint32Array(allocate(4 * capacity));
    this.length = new Uint32Array(allocate(4 * capacity));
    this.pair = new Uint32Array(allocate(4 * capacity));
    this.verdict = new Uint8Array(allocate(capacity));
  }

  /**
   * Copies a packet into the next frame, with room for headers before it.
   * @param pair  for `outbound`: the inbound SPI of the SA pair that it is to be sent on
   * @returns its index; throws a RangeError where the batch is full or the packet too long
   */
  add(packet: Uint8Array, pair = 0): number {
    const index = this.size;
    if (index === this.capacity) throw new RangeError(`the batch holds ${index} packets already`);
    if (packet.length > this.frameBytes - HEADROOM_BYTES) {
      throw new RangeError(`${packet.length} bytes do not fit a frame of ${this.frameBytes}`);
    }
    const offset = index * this.frameBytes + HEADROOM_BYTES;
    this.frames.set(packet, offset);
    this.offset[index] = offset;
    this.length[index] = packet.length;
    this.pair[index] = pair;
    this.verdict[index] = 0;
    this.size++;
    return index;
  }

  /** The bytes of a packet as they are now: a view, not a copy. */
  packet(index: number): Uint8Array {
    const offset = this.offset[index] ?? 0;
    return this.frames.subarray(offset, offset + (this.length[index] ?? 0));
  }

  /** The name of a packet's verdict (native/packet/verdict.h): `pending` where it went through. */
  verdictName(index: number): string {
    verdictNames ??= addon.verdictNames();
    return verdictNames[this.verdict[index] ?? 0] ?? 'unknown';
  }

  /** Forgets all packets. */
  clear(): void {
    this.size = 0;
  }
}

let verdictNames: readonly string[] | undefined;
