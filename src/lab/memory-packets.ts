/**
 * The packets that the hosts of the in-memory lab exchange: ICMP echoes (RFC 792, RFC 4443 §4) and
 * UDP datagrams, as Ethernet frames; and what a wire can tell from a frame without keys.
 */
import { parseAddress } from '../wire/index.js';

const ETHERNET_BYTES = 14;
const PROTOCOL = { icmp: 1, udp: 17, esp: 50, icmpv6: 58 };
/** Request and reply. */
const ECHO = { 4: [8, 0], 6: [128, 129] } as const;

export interface Flow {
  readonly source: string;
  readonly destination: string;
}

/** What a host has received. */
export interface Received {
  readonly kind: 'request' | 'reply' | 'data' | 'other';
  /** Of an echo or a datagram. */
  readonly sequence: number;
  readonly ipBytes: number;
}

export function echoRequest({ source, destination }: Flow, sequence: number): Uint8Array {
  const family = source.includes(':') ? 6 : 4;
  const message = new Uint8Array(64);
  message[0] = ECHO[family][0];
  new DataView(message.buffer).setUint16(6, sequence);
  return finishIcmp(
    frame({ source, destination }, PROTOCOL[family === 4 ? 'icmp' : 'icmpv6'], message),
  );
}

/** Turns a request into its reply, in place: addresses swapped, as a host does. */
export function echoReply(request: Uint8Array): Uint8Array {
  const { header, addresses, length } = layout(request);
  const source = request.slice(addresses, addresses + length);
  request.copyWithin(addresses, addresses + length, addresses + 2 * length);
  request.set(source, addresses + length);
  request[header] = ECHO[length === 4 ? 4 : 6][1];
  setHopLimit(request);
  return finishIcmp(request);
}

/** A numbered datagram in an IPv4 packet of so many bytes. Without a UDP checksum (RFC 768). */
export function datagram(flow: Flow, ipBytes: number, sequence: number): Uint8Array {
  const segment = new Uint8Array(ipBytes - 20);
  const view = new DataView(segment.buffer);
  view.setUint16(0, 9);
  view.setUint16(2, 9);
  view.setUint16(4, segment.length);
  view.setUint32(8, sequence);
  return frame(flow, PROTOCOL.udp, segment);
}

export function receive(bytes: Uint8Array): Received {
  const { protocol, header, length } = layout(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const ipBytes = bytes.length - ETHERNET_BYTES;
  if (protocol === PROTOCOL.udp) {
    return { kind: 'data', sequence: view.getUint32(header + 8), ipBytes };
  }
  const isIcmp = protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6;
  const sequence = isIcmp ? view.getUint16(header + 6) : 0;
  const kinds = ECHO[length === 4 ? 4 : 6].map((type) => isIcmp && bytes[header] === type);
  return { kind: kinds[0] ? 'request' : kinds[1] ? 'reply' : 'other', sequence, ipBytes };
}

/** Whether a frame on the wire between gateways is ESP; in the memory lab nothing else may be. */
export function isEsp(bytes: Uint8Array): boolean {
  return layout(bytes).protocol === PROTOCOL.esp;
}

function frame({ source, destination }: Flow, protocol: number, payload: Uint8Array): Uint8Array {
  const [from, to] = [parseAddress(source)!, parseAddress(destination)!];
  const headerBytes = from.length === 4 ? 20 : 40;
  const bytes = new Uint8Array(ETHERNET_BYTES + headerBytes + payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
  if (from.length === 4) {
    view.setUint16(12, 0x0800);
    bytes.set([0x45, 0], ETHERNET_BYTES);
    view.setUint16(ETHERNET_BYTES + 2, 20 + payload.length);
    bytes[ETHERNET_BYTES + 9] = protocol;
  } else {
    view.setUint16(12, 0x86dd);
    bytes[ETHERNET_BYTES] = 0x60;
    view.setUint16(ETHERNET_BYTES + 4, payload.length);
    bytes[ETHERNET_BYTES + 6] = protocol;
  }
  const { addresses, header } = layout(bytes);
  bytes.set(from, addresses);
  bytes.set(to, addresses + from.length);
  bytes.set(payload, header);
  setHopLimit(bytes);
  return bytes;
}

/** Where things are in an IPv4 frame without options, or in an IPv6 frame. */
function layout(bytes: Uint8Array) {
  const isIpv4 = bytes[12] === 0x08;
  return isIpv4
    ? { protocol: bytes[ETHERNET_BYTES + 9], addresses: 26, length: 4, header: 34 }
    : { protocol: bytes[ETHERNET_BYTES + 6], addresses: 22, length: 16, header: 54 };
}

function setHopLimit(bytes: Uint8Array): void {
  if (bytes[12] !== 0x08) {
    bytes[ETHERNET_BYTES + 7] = 64;
    return;
  }
  const ip = bytes.subarray(ETHERNET_BYTES, ETHERNET_BYTES + 20);
  ip[8] = 64;
  ip.set([0, 0], 10);
  const sum = checksum(ip);
  ip.set([sum >> 8, sum & 255], 10);
}

/** ICMPv6 has the addresses in its checksum (RFC 4443 §2.3), ICMP has not. */
function finishIcmp(bytes: Uint8Array): Uint8Array {
  const { addresses, length, header } = layout(bytes);
  const message = bytes.subarray(header);
  message.set([0, 0], 2);
  let pseudo = 0;
  if (length === 16) {
    pseudo = onesSum(bytes.subarray(addresses, addresses + 32)) + message.length + PROTOCOL.icmpv6;
  }
  const sum = checksum(message, pseudo);
  message.set([sum >> 8, sum & 255], 2);
  return bytes;
}

/** RFC 1071. */
function checksum(bytes: Uint8Array, initial = 0): number {
  let sum = onesSum(bytes) + initial;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function onesSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  return sum;
}
