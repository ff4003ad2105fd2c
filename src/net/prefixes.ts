/** Address ranges as prefixes, for tables that know nothing else (longest-prefix match). */
import { formatAddress, type TrafficSelector } from '../wire/index.js';

/** The fewest prefixes that cover exactly the selector's addresses. */
export function selectorPrefixes({ startAddress, endAddress }: TrafficSelector): string[] {
  const bits = startAddress.length * 8;
  const last = toInteger(endAddress);
  const prefixes: string[] = [];
  for (let at = toInteger(startAddress); at <= last; ) {
    let hostBits = 0;
    while (hostBits < bits && fits(at, hostBits + 1, last)) hostBits++;
    const address = formatAddress(fromInteger(at, startAddress.length));
    prefixes.push(`${address}/${bits - hostBits}`);
    at += 1n << BigInt(hostBits);
  }
  return prefixes;
}

/** Whether the block of 2^hostBits addresses at `at` is aligned and ends by `last`. */
function fits(at: bigint, hostBits: number, last: bigint): boolean {
  const size = 1n << BigInt(hostBits);
  return at % size === 0n && at + size - 1n <= last;
}

function toInteger(octets: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(octets).toString('hex')}`);
}

function fromInteger(value: bigint, octets: number): Uint8Array {
  return Buffer.from(value.toString(16).padStart(octets * 2, '0'), 'hex');
}
