/** Reads what crosses the matrix' wire: each frame belongs to an SA, or it is something else. */
import type { Column } from './cells.js';

export interface Protected {
  readonly spi: number;
  /** ESP or AH, of which family, in UDP or not. */
  readonly form: string;
}

/** Undefined where the frame carries neither ESP nor AH. */
export function protectedFrame(frame: Uint8Array): Protected | undefined {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  const type = bytes.readUInt16BE(12);
  if (type !== 0x0800 && type !== 0x86dd) return undefined;
  const family = type === 0x0800 ? 4 : 6;
  const protocol = bytes[family === 4 ? 14 + 9 : 14 + 6]!;
  const payload = 14 + (family === 4 ? (bytes[14]! & 15) * 4 : 40);
  switch (protocol) {
    case 50:
      return { spi: bytes.readUInt32BE(payload), form: `esp ${family}` };
    case 51:
      return { spi: bytes.readUInt32BE(payload + 4), form: `ah ${family}` };
    case 17:
      if (bytes.readUInt16BE(payload + 2) !== 4500) return undefined;
      return { spi: bytes.readUInt32BE(payload + 8), form: `esp ${family} udp` };
    default:
      return undefined;
  }
}

export function formOf(protocol: 'esp' | 'ah', { outer, udp }: Column): string {
  return `${protocol} ${outer}${udp ? ' udp' : ''}`;
}

/** ARP, neighbour discovery and the like: no frame of a host's, to no host's address. */
export function isLinkLocal(frame: Uint8Array): boolean {
  const isArp = frame[12] === 0x08 && frame[13] === 0x06;
  const isMulticast = (frame[0]! & 1) === 1;
  return isArp || isMulticast;
}
