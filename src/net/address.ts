/**
 * IP addresses, networks and ranges as text and as bytes in network order (RFC 4291 §2.2,
 * RFC 5952 for printing). No zones (`fe80::1%eth0`): an SA has no use for them.
 */
import { isIPv4, isIPv6 } from 'node:net';

export interface AddressRange {
  readonly family: 4 | 6;
  /** First and last address, inclusive; 4 or 16 bytes, network order. */
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

/** The 4 or 16 bytes of a numeric address, or undefined. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (isIPv6(text) && !text.includes('%')) return parseIpv6(text);
  return undefined;
}

/** `text` is known to be a valid IPv6 address. */
function parseIpv6(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const [head = '', tail] = text.split('::');
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  bytes.set(left, 0);
  bytes.set(right, 16 - right.length);
  return bytes;
}

/** Bytes of colon-separated groups, the last of which may be a dotted IPv4 address. */
function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** Canonical text of 4 or 16 bytes: for IPv6 the longest run of zero groups becomes `::`. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  const run = longestZeroRun(words);
  const hex = (part: number[]) => part.map((word) => word.toString(16)).join(':');
  if (run.length < 2) return hex(words);
  return `${hex(words.slice(0, run.start))}::${hex(words.slice(run.start + run.length))}`;
}

function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < words.length; start++) {
    let length = 0;
    while (words[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** What a network could not be read as, with the nearest text that can. */
export type NetworkProblem = 'syntax' | 'prefix' | 'host-bits' | 'order';

/** Reads `10.1.0.0/16`, one address, or a range `10.1.0.1-10.1.0.9`. */
export function parseNetwork(text: string): AddressRange | NetworkProblem {
  const dash = text.indexOf('-');
  if (dash >= 0) return parseRange(text.slice(0, dash).trim(), text.slice(dash + 1).trim());
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return 'syntax';
  const bits = address.length * 8;
  const prefixText = slash < 0 ? String(bits) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(prefixText) || Number(prefixText) > bits) return 'prefix';
  const { start, end } = prefixRange(address, Number(prefixText));
  if (Buffer.compare(start, address) !== 0) return 'host-bits';
  return { family: bits === 32 ? 4 : 6, start, end };
}

function parseRange(first: string, last: string): AddressRange | NetworkProblem {
  const start = parseAddress(first);
  const end = parseAddress(last);
  if (start === undefined || end === undefined || start.length !== end.length) return 'syntax';
  if (Buffer.compare(start, end) > 0) return 'order';
  return { family: start.length === 4 ? 4 : 6, start, end };
}

/** First and last address of the network that holds `address`. */
export function prefixRange(
  address: Uint8Array,
  prefixBits: number,
): { start: Uint8Array; end: Uint8Array } {
  const start = address.slice();
  const end = address.slice();
  for (let i = 0; i < address.length; i++) {
    const hostBits = Math.min(8, Math.max(0, 8 * (i + 1) - prefixBits));
    const mask = (1 << hostBits) - 1;
    start[i]! &= ~mask;
    end[i]! |= mask;
  }
  return { start, end };
}

/** `10.1.0.0/16` where the range is a prefix, else `10.1.0.1-10.1.0.9`. */
export function formatRange(start: Uint8Array, end: Uint8Array): string {
  for (let prefix = 0; prefix <= start.length * 8; prefix++) {
    const range = prefixRange(start, prefix);
    if (Buffer.compare(range.start, start) === 0 && Buffer.compare(range.end, end) === 0) {
      return `${formatAddress(start)}/${prefix}`;
    }
  }
  return `${formatAddress(start)}-${formatAddress(end)}`;
}

/** The fewest prefixes that cover exactly start..end, for tables that know prefixes only. */
export function rangeToPrefixes(start: Uint8Array, end: Uint8Array): string[] {
  const bits = start.length * 8;
  const last = toInteger(end);
  const prefixes: string[] = [];
  for (let at = toInteger(start); at <= last; ) {
    let host = 0;
    while (host < bits && fits(at, host + 1, last)) host++;
    prefixes.push(`${formatAddress(fromInteger(at, start.length))}/${bits - host}`);
    at += 1n << BigInt(host);
  }
  return prefixes;
}

/** Whether the block of 2^host addresses at `at` is aligned and ends by `last`. */
function fits(at: bigint, host: number, last: bigint): boolean {
  const size = 1n << BigInt(host);
  return at % size === 0n && at + size - 1n <= last;
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function fromInteger(value: bigint, length: number): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex'));
}
