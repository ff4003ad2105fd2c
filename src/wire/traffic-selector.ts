/**
 * Traffic selectors (RFC 7296 §3.13.1): as text, as they travel, and the set operations that
 * narrowing (§2.9) is made of.
 *
 * Text is `NETWORK[PROTOCOL/PORTS]`, the bracket optional: `10.1.0.0/16`, `10.0.0.1-10.0.0.9`,
 * `2001:db8::/32[udp]`, `0.0.0.0/0[tcp/80-90]`, `10.0.0.1/32[icmp/8]`, `10.0.0.0/8[udp/opaque]`.
 * ICMP has `TYPE` or `TYPE.CODE` in the place of a port.
 */
import { compareAddresses, familyOf, formatAddress, parseAddress } from './address.js';
import type { WireTrafficSelector } from './payload.js';
import { IP_PROTOCOL, nameOf, TS_TYPE } from './registry/index.js';

/** A traffic selector: an address range, a protocol and a port range. */
export interface TrafficSelector {
  readonly family: 4 | 6;
  /** IP protocol number; 0: any. */
  readonly protocol: number;
  /**
   * For ICMP the type in the high and the code in the low byte (RFC 7296 §3.13.1). From 65535
   * to 0 is OPAQUE: packets whose port cannot be seen (RFC 4301 §4.4.1.1).
   */
  readonly startPort: number;
  readonly endPort: number;
  /** First and last address of the range, inclusive; 4 or 16 bytes, network order. */
  readonly startAddress: Uint8Array;
  readonly endAddress: Uint8Array;
}

type Ports = Pick<TrafficSelector, 'startPort' | 'endPort'>;
type Range = Pick<TrafficSelector, 'family' | 'startAddress' | 'endAddress'>;

const ANY_PORT: Ports = { startPort: 0, endPort: 65535 };
const OPAQUE: Ports = { startPort: 65535, endPort: 0 };

/** Every packet of a family. */
export function anySelector(family: 4 | 6): TrafficSelector {
  const size = family === 4 ? 4 : 16;
  const startAddress = new Uint8Array(size);
  const endAddress = new Uint8Array(size).fill(0xff);
  return { family, protocol: 0, ...ANY_PORT, startAddress, endAddress };
}

/** One address, any protocol. */
export function hostSelector(address: Uint8Array): TrafficSelector {
  const family = familyOf(address);
  return { family, protocol: 0, ...ANY_PORT, startAddress: address, endAddress: address };
}

// Sets of packets.

/** True where no packet can match: a reversed range that is not OPAQUE. */
export function isEmpty(selector: TrafficSelector): boolean {
  const { startAddress, endAddress } = selector;
  if (compareAddresses(startAddress, endAddress) > 0) return true;
  return selector.startPort > selector.endPort && !isOpaque(selector);
}

export function isOpaque({ startPort, endPort }: Ports): boolean {
  return startPort === OPAQUE.startPort && endPort === OPAQUE.endPort;
}

/** The packets that match both, or undefined where there are none. */
export function intersect(a: TrafficSelector, b: TrafficSelector): TrafficSelector | undefined {
  if (a.family !== b.family) return undefined;
  if (a.protocol !== b.protocol && a.protocol !== 0 && b.protocol !== 0) return undefined;
  const ports = intersectPorts(a, b);
  if (ports === undefined) return undefined;
  const [start, end] = [
    compareAddresses(a.startAddress, b.startAddress),
    compareAddresses(a.endAddress, b.endAddress),
  ];
  const both: TrafficSelector = {
    family: a.family,
    protocol: a.protocol === 0 ? b.protocol : a.protocol,
    startPort: ports.startPort,
    endPort: ports.endPort,
    startAddress: start > 0 ? a.startAddress : b.startAddress,
    endAddress: end < 0 ? a.endAddress : b.endAddress,
  };
  return isEmpty(both) ? undefined : both;
}

/** ANY covers OPAQUE; no other range of ports does (RFC 4301 §4.4.1.1). */
function intersectPorts(a: Ports, b: Ports): Ports | undefined {
  if (isOpaque(a) || isOpaque(b)) {
    const other = isOpaque(a) ? b : a;
    return isOpaque(other) || isAnyPort(other) ? OPAQUE : undefined;
  }
  const startPort = Math.max(a.startPort, b.startPort);
  const endPort = Math.min(a.endPort, b.endPort);
  return startPort > endPort ? undefined : { startPort, endPort };
}

function isAnyPort({ startPort, endPort }: Ports): boolean {
  return startPort === ANY_PORT.startPort && endPort === ANY_PORT.endPort;
}

/** True where every packet that matches `inner` matches `outer` too. */
export function contains(outer: TrafficSelector, inner: TrafficSelector): boolean {
  const both = intersect(outer, inner);
  return both !== undefined && equalSelectors(both, inner);
}

export function equalSelectors(a: TrafficSelector, b: TrafficSelector): boolean {
  return (
    a.family === b.family &&
    a.protocol === b.protocol &&
    a.startPort === b.startPort &&
    a.endPort === b.endPort &&
    compareAddresses(a.startAddress, b.startAddress) === 0 &&
    compareAddresses(a.endAddress, b.endAddress) === 0
  );
}

// On the wire.

/** The selector of a TS payload, or undefined where its type is none that we know. */
export function fromWireSelector(selector: WireTrafficSelector): TrafficSelector | undefined {
  if (!('startAddress' in selector)) return undefined;
  const { protocol, startPort, endPort, startAddress, endAddress } = selector;
  const family = selector.tsType === TS_TYPE.TS_IPV4_ADDR_RANGE ? 4 : 6;
  return { family, protocol, startPort, endPort, startAddress, endAddress };
}

export function toWireSelector(selector: TrafficSelector): WireTrafficSelector {
  const { family, ...rest } = selector;
  const tsType = family === 4 ? TS_TYPE.TS_IPV4_ADDR_RANGE : TS_TYPE.TS_IPV6_ADDR_RANGE;
  return { tsType, ...rest };
}

// As text.

/**
 * @throws RangeError  that says what is wrong with the text
 */
export function parseSelector(text: string): TrafficSelector {
  const match = /^([^[\]]+?)(?:\[([^[\]]*)\])?$/.exec(text.trim());
  if (match === null) throw new RangeError(`not a traffic selector: ${text}`);
  const range = parseRange(match[1]!);
  const [protocolText = '', portText, ...rest] = (match[2] ?? '').split('/');
  if (rest.length > 0) throw new RangeError(`not PROTOCOL/PORTS: ${match[2]}`);
  const protocol = parseProtocol(protocolText);
  return { ...range, protocol, ...parsePorts(portText ?? '', protocol) };
}

/** The shortest text that `parseSelector` reads as this selector. */
export function formatSelector(selector: TrafficSelector): string {
  const range = formatRange(selector);
  const { protocol } = selector;
  if (protocol === 0 && isAnyPort(selector)) return range;
  const name = protocol === 0 ? 'any' : nameOf(IP_PROTOCOL, protocol);
  if (isAnyPort(selector)) return `${range}[${name}]`;
  return `${range}[${name}/${formatPorts(selector)}]`;
}

function parseRange(text: string): Range {
  const ends = text.split('-');
  if (ends.length === 2) {
    const [start, end] = ends.map((part) => addressOf(part.trim())) as [Uint8Array, Uint8Array];
    if (start.length !== end.length) throw new RangeError(`a range across IP versions: ${text}`);
    if (compareAddresses(start, end) > 0) throw new RangeError(`a reversed range: ${text}`);
    return { family: familyOf(start), startAddress: start, endAddress: end };
  }
  const [addressText = '', prefixText, ...rest] = text.split('/');
  if (ends.length > 2 || rest.length > 0) throw new RangeError(`not a network: ${text}`);
  const address = addressOf(addressText);
  const bits = address.length * 8;
  if (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText)) {
    throw new RangeError(`not a prefix length: ${prefixText}`);
  }
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefix > bits) throw new RangeError(`a prefix length above ${bits}: ${text}`);
  return rangeOfPrefix(address, prefix, text);
}

function rangeOfPrefix(address: Uint8Array, prefix: number, text: string): Range {
  const hostBits = (i: number) => 0xff >>> Math.min(8, Math.max(0, prefix - 8 * i));
  const startAddress = address.map((octet, i) => octet & ~hostBits(i));
  const endAddress = address.map((octet, i) => octet | hostBits(i));
  if (compareAddresses(startAddress, address) !== 0) {
    throw new RangeError(`host bits are set in ${text}: ${formatAddress(startAddress)}/${prefix}?`);
  }
  return { family: familyOf(address), startAddress, endAddress };
}

function addressOf(text: string): Uint8Array {
  const address = parseAddress(text);
  if (address === undefined) throw new RangeError(`not an IP address: ${text}`);
  return address;
}

function parseProtocol(text: string): number {
  if (text === '' || text === 'any') return 0;
  const named = (IP_PROTOCOL as Readonly<Record<string, number>>)[text.toLowerCase()];
  if (named !== undefined) return named;
  if (!/^\d{1,3}$/.test(text) || Number(text) > 255)
    throw new RangeError(`not a protocol: ${text}`);
  return Number(text);
}

function parsePorts(text: string, protocol: number): Ports {
  if (text === '' || text === 'any') return ANY_PORT;
  if (text === 'opaque') return OPAQUE;
  const parts = text.split('-');
  const [first, last = first] = parts.map((part) => parsePort(part, protocol));
  if (first === undefined || last === undefined || parts.length > 2) {
    throw new RangeError(`not a port or a range of ports: ${text}`);
  }
  if (first.startPort > last.endPort) throw new RangeError(`a reversed range of ports: ${text}`);
  return { startPort: first.startPort, endPort: last.endPort };
}

/** A port; of ICMP a type with all its codes, or one code. */
function parsePort(text: string, protocol: number): Ports {
  const icmp = isIcmp(protocol);
  const match = (icmp ? /^(\d{1,3})(?:\.(\d{1,3}))?$/ : /^(\d{1,5})$/).exec(text);
  const [high, low] = [Number(match?.[1]), Number(match?.[2] ?? 0)];
  if (match === null || high > (icmp ? 255 : 65535) || low > 255) {
    throw new RangeError(`not ${icmp ? 'an ICMP type' : 'a port'}: ${text}`);
  }
  if (!icmp) return { startPort: high, endPort: high };
  return match[2] === undefined
    ? { startPort: high * 256, endPort: high * 256 + 255 }
    : { startPort: high * 256 + low, endPort: high * 256 + low };
}

function isIcmp(protocol: number): boolean {
  return protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL['ipv6-icmp'];
}

function formatPorts(selector: TrafficSelector): string {
  if (isOpaque(selector)) return 'opaque';
  const { startPort, endPort, protocol } = selector;
  if (!isIcmp(protocol)) return startPort === endPort ? `${startPort}` : `${startPort}-${endPort}`;
  const typeCode = (port: number) => `${port >>> 8}.${port & 0xff}`;
  if (startPort === endPort) return typeCode(startPort);
  if ((startPort & 0xff) !== 0 || (endPort & 0xff) !== 0xff) {
    return `${typeCode(startPort)}-${typeCode(endPort)}`;
  }
  const [first, last] = [startPort >>> 8, endPort >>> 8];
  return first === last ? `${first}` : `${first}-${last}`;
}

function formatRange({ startAddress, endAddress }: Range): string {
  const prefix = prefixOf(startAddress, endAddress);
  return prefix === undefined
    ? `${formatAddress(startAddress)}-${formatAddress(endAddress)}`
    : `${formatAddress(startAddress)}/${prefix}`;
}

/** Prefix length of a range that is a network, undefined for one that is not. */
function prefixOf(start: Uint8Array, end: Uint8Array): number | undefined {
  let prefix = 0;
  while (prefix < start.length * 8 && bitAt(start, prefix) === bitAt(end, prefix)) prefix++;
  for (let bit = prefix; bit < start.length * 8; bit++) {
    if (bitAt(start, bit) !== 0 || bitAt(end, bit) !== 1) return undefined;
  }
  return prefix;
}

function bitAt(octets: Uint8Array, bit: number): number {
  return (octets[bit >>> 3]! >>> (7 - (bit & 7))) & 1;
}
