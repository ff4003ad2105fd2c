/** ICMP echo in both families: what goes through every cell, and what must come back. */
import { addressBytes, internetChecksum, ipPacket, pattern } from '../../unit/dataplane/packets.js';
import { type Cell, PINGS } from './cells.js';

const ICMP = 1;
const ICMPV6 = 58;
const TYPES = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

/** From nothing to nearly what fits, and every length modulo 16 in a row of cells. */
function payloadBytes(cell: Cell, number: number): number {
  const { outer, udp } = cell.column;
  // In UDP over IPv6, Linux 6.1 drops ESP of less than 40 octets: it holds the length from the UDP
  // header on against one that counts the IPv6 header too.
  const least = udp && outer === 6 ? 8 : 0;
  return [least, 64, 576, 1280][number]! + ((cell.index + 3 * number) % 17);
}

export interface Ping {
  readonly cell: Cell;
  readonly number: number;
  readonly request: Uint8Array;
  /** What comes back, but for the fields that hops change. */
  readonly reply: Uint8Array;
}

export function pingsOf(cell: Cell): readonly Ping[] {
  return Array.from({ length: PINGS }, (_, number) => ({
    cell,
    number,
    request: echo(cell, number, 'request'),
    reply: echo(cell, number, 'reply'),
  }));
}

function echo(cell: Cell, number: number, what: 'request' | 'reply'): Uint8Array {
  const isV4 = cell.column.inner === 4;
  const ends = { source: cell.ourHost, destination: cell.theirHost };
  const { source, destination } =
    what === 'request' ? ends : { source: ends.destination, destination: ends.source };
  const data = pattern(payloadBytes(cell, number), cell.index + number);
  const message = new Uint8Array(8 + data.length);
  const view = new DataView(message.buffer);
  message[0] = TYPES[cell.column.inner][what];
  view.setUint16(4, cell.index);
  view.setUint16(6, number);
  message.set(data, 8);
  view.setUint16(
    2,
    internetChecksum(message, isV4 ? 0 : pseudoHeaderSum(source, destination, message.length)),
  );
  const protocol = isV4 ? ICMP : ICMPV6;
  return ipPacket({ source, destination, protocol, dontFragment: true, payload: message });
}

/** RFC 8200 §8.1. */
function pseudoHeaderSum(source: string, destination: string, bytes: number): number {
  const addresses = Uint8Array.from([...addressBytes(source), ...addressBytes(destination)]);
  return (~internetChecksum(addresses) & 0xffff) + bytes + ICMPV6;
}

/** Addresses, protocol and message: what no hop changes. */
export function essence(packet: Uint8Array): string {
  const isV4 = packet[0]! >> 4 === 4;
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length);
  const [addresses, protocol, header] = isV4
    ? [bytes.subarray(12, 20), bytes[9]!, (bytes[0]! & 15) * 4]
    : [bytes.subarray(8, 40), bytes[6]!, 40];
  return `${addresses.toString('hex')} ${protocol} ${bytes.subarray(header).toString('hex')}`;
}
