/**
 * Blocks of pcapng (draft-ietf-opsawg-pcapng) around the packets that the dataplane writes
 * (native/pipeline/capture.h): the section and its interfaces, and what was lost. Little-endian.
 */

const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const INTERFACE = 1;
const INTERFACE_STATISTICS = 5;
const ENHANCED_PACKET = 6;
/** tcpdump.org/linktypes.html: an Ethernet header, or none before the IP header. */
const LINKTYPES = { ethernet: 1, ip: 101 };

const OPTION = { end: 0, name: 2, description: 3, application: 4, resolution: 9, dropped: 5 };
const NANOSECONDS = 9;

export interface CapturedInterface {
  readonly name: string;
  readonly description: string;
  /** What its packets begin with. */
  readonly link: keyof typeof LINKTYPES;
}

/** What a file begins with. Packets name interfaces by their places here. */
export function fileHead(application: string, interfaces: readonly CapturedInterface[]): Buffer {
  const section = Buffer.alloc(16);
  section.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  section.writeUInt16LE(1, 4); // version 1.0
  section.writeBigInt64LE(-1n, 8); // of unknown length
  const options = [option(OPTION.application, Buffer.from(application)), option(OPTION.end)];
  return Buffer.concat([
    block(SECTION_HEADER, [section, ...options]),
    ...interfaces.map(interfaceBlock),
  ]);
}

function interfaceBlock({ name, description, link }: CapturedInterface): Buffer {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16LE(LINKTYPES[link], 0);
  return block(INTERFACE, [
    fixed,
    option(OPTION.name, Buffer.from(name)),
    option(OPTION.description, Buffer.from(description)),
    option(OPTION.resolution, Buffer.from([NANOSECONDS])),
    option(OPTION.end),
  ]);
}

/** Tells how many packets were lost so far, of all interfaces: it stands with the first. */
export function lossBlock(dropped: number, nowMilliseconds: number): Buffer {
  const time = BigInt(Math.round(nowMilliseconds)) * 1_000_000n;
  const fixed = Buffer.alloc(12);
  fixed.writeUInt32LE(Number(time >> 32n), 4);
  fixed.writeUInt32LE(Number(time & 0xffffffffn), 8);
  const count = Buffer.alloc(8);
  count.writeBigUInt64LE(BigInt(dropped));
  return block(INTERFACE_STATISTICS, [fixed, option(OPTION.dropped, count), option(OPTION.end)]);
}

function block(type: number, parts: readonly Buffer[]): Buffer {
  const length = 12 + parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(length, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(length);
  return Buffer.concat([head, ...parts, tail]);
}

function option(code: number, value: Buffer = Buffer.alloc(0)): Buffer {
  const padded = Buffer.alloc(4 + ((value.length + 3) & ~3));
  padded.writeUInt16LE(code, 0);
  padded.writeUInt16LE(value.length, 2);
  value.copy(padded, 4);
  return padded;
}

/** Counts packets in a stream of blocks, which may be cut anywhere, and reads what was lost. */
export class BlockCounter {
  packets = 0;
  lost = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** The longest beginning of the bytes so far that ends with a block and is not yet taken. */
  take(chunk: Buffer, mostPackets = Number.POSITIVE_INFINITY): Buffer {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 12 && this.packets < mostPackets) {
      const length = bytes.readUInt32LE(at + 4);
      if (bytes.length - at < length) break;
      const type = bytes.readUInt32LE(at);
      if (type === ENHANCED_PACKET) this.packets++;
      if (type === INTERFACE_STATISTICS) this.lost = Number(bytes.readBigUInt64LE(at + 24));
      at += length;
    }
    this.#rest = bytes.subarray(at);
    return bytes.subarray(0, at);
  }
}
