/** Frames of the generator: UDP in IPv4 in Ethernet. */

export interface FrameOptions {
  readonly sourceMac: Uint8Array;
  readonly destinationMac: Uint8Array;
  /** Dotted; flows differ in their UDP source ports. */
  readonly source: string;
  readonly destination: string;
  /** Of the IP packet, 28 or more. */
  readonly bytes: number;
  readonly flow: number;
}

const FIRST_PORT = 49_152;
/** RFC 863: whoever gets it throws it away. */
const DISCARD_PORT = 9;

export function makeFrame(options: FrameOptions): Uint8Array {
  const frame = new Uint8Array(14 + options.bytes);
  frame.set(options.destinationMac, 0);
  frame.set(options.sourceMac, 6);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  frame.set([0x45, 0], 14);
  view.setUint16(16, options.bytes);
  frame.set([64, 17], 22);
  frame.set(options.source.split('.').map(Number), 26);
  frame.set(options.destination.split('.').map(Number), 30);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += view.getUint16(i);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  view.setUint16(34, FIRST_PORT + options.flow);
  view.setUint16(36, DISCARD_PORT);
  view.setUint16(38, options.bytes - 20);
  return frame;
}

/** IP packets of the simple IMIX, in the order in which they take turns: 7 to 4 to 1. */
const IMIX = [64, 570, 64, 64, 570, 64, 1400, 64, 570, 64, 64, 570] as const;

/** A size of IP packets, or the mix of sizes. */
export type PacketSize = number | 'imix';

export function sizesOf(size: PacketSize): readonly number[] {
  return size === 'imix' ? IMIX : [size];
}

export function meanBytes(size: PacketSize): number {
  const sizes = sizesOf(size);
  return sizes.reduce((sum, bytes) => sum + bytes, 0) / sizes.length;
}

/** As many frames as show each size with each flow. */
export function makeFrames(
  options: Omit<FrameOptions, 'bytes' | 'flow'>,
  size: PacketSize,
  flows: number,
): Uint8Array[] {
  const sizes = sizesOf(size);
  return Array.from({ length: sizes.length * flows }, (_, i) =>
    makeFrame({ ...options, bytes: sizes[i % sizes.length]!, flow: i % flows }),
  );
}
