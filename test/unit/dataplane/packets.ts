/** Builds the packets that hosts send, byte by byte, and reads what arrives. */
import { isIPv4 } from 'node:net';

export const FAR_MAC = Uint8Array.of(0x02, 0, 0, 0, 0, 0xfe);

/** The sum of RFC 1071 over a range, complemented. */
export function internetChecksum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function addressBytes(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split('.').map(Number));
  const [head = '', tail] = text.split('::');
  const words = (part: string) =>
    part === '' ? [] : part.split(':').map((w) => Number.parseInt(w, 16));
  const first = words(head);
  const last = words(tail ?? '');
  const all = [...first, ...new Array(8 - first.length - last.length).fill(0), ...last];
  return Uint8Array.from(all.flatMap((w) => [w >> 8, w & 255]));
}

export interface PacketFields {
  readonly source: string;
  readonly destination: string;
  readonly protocol?: number;
  readonly ttl?: number;
  readonly dontFragment?: boolean;
  /** In bytes. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  readonly payload: Uint8Array;
}

/** An IPv4 or IPv6 packet, by the addresses' family. */
export function ipPacket(f: PacketFields): Uint8Array {
  const { payload, protocol = 253, ttl = 64 } = f;
  if (!isIPv4(f.source)) {
    const packet = new Uint8Array(40 + payload.length);
    packet.set([0x60, 0, 0, 0, payload.length >> 8, payload.length & 255, protocol, ttl]);
    packet.set(addressBytes(f.source), 8);
    packet.set(addressBytes(f.destination), 24);
    packet.set(payload, 40);
    return packet;
  }
  const packet = new Uint8Array(20 + payload.length);
  const total = packet.length;
  const fragment =
    (f.dontFragment ? 0x4000 : 0) | (f.moreFragments ? 0x2000 : 0) | ((f.fragmentOffset ?? 0) >> 3);
  packet.set([0x45, 0, total >> 8, total & 255, 0x12, 0x34, fragment >> 8, fragment & 255]);
  packet.set([ttl, protocol], 8);
  packet.set(addressBytes(f.source), 12);
  packet.set(addressBytes(f.destination), 16);
  new DataView(packet.buffer).setUint16(10, internetChecksum(packet.subarray(0, 20)));
  packet.set(payload, 20);
  return packet;
}

/** A UDP header and data. The checksum is right unless `checksum` says otherwise. */
export function udp(
  addresses: { readonly source: string; readonly destination: string },
  ports: readonly [number, number],
  data: Uint8Array,
  checksum: 'right' | 'zero' | 'partial' = 'right',
): Uint8Array {
  const segment = new Uint8Array(8 + data.length);
  const view = new DataView(segment.buffer);
  view.setUint16(0, ports[0]);
  view.setUint16(2, ports[1]);
  view.setUint16(4, segment.length);
  segment.set(data, 8);
  const pseudo = Uint8Array.from([
    ...addressBytes(addresses.source),
    ...addressBytes(addresses.destination),
    0,
    17,
    segment.length >> 8,
    segment.length & 255,
  ]);
  const partial = ~internetChecksum(pseudo) & 0xffff;
  if (checksum === 'partial') view.setUint16(6, partial);
  if (checksum === 'right') view.setUint16(6, internetChecksum(segment, partial) || 0xffff);
  return segment;
}

/** Puts an Ethernet header before an IP packet. */
export function frame(packet: Uint8Array, ethertype?: number): Uint8Array {
  const type = ethertype ?? (packet[0]! >> 4 === 4 ? 0x0800 : 0x86dd);
  const out = new Uint8Array(14 + packet.length);
  out.set([0x02, 0, 0, 0, 0, 1]);
  out.set(FAR_MAC, 6);
  out.set([type >> 8, type & 255], 12);
  out.set(packet, 14);
  return out;
}

/**
 * The packet after `hops` routers: TTL or hop limit that much less, checksum to match. A tunnel is
 * two: its TTL is decremented by the encapsulator and by the decapsulator if it forwards the
 * packet (RFC 4301 §5.1.2.1, note 2).
 */
export function forwarded(packet: Uint8Array, hops = 2): Uint8Array {
  const out = packet.slice();
  if (out[0]! >> 4 === 6) {
    out[7]! -= hops;
    return out;
  }
  out[8]! -= hops;
  out.set([0, 0], 10);
  new DataView(out.buffer).setUint16(10, internetChecksum(out.subarray(0, 20)));
  return out;
}

export const ipOf = (ethernetFrame: Uint8Array) => ethernetFrame.slice(14);

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Bytes that differ from packet to packet. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 31) & 255);
}
