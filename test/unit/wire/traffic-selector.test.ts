import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anySelector,
  contains,
  equalSelectors,
  formatSelector,
  fromWireSelector,
  hostSelector,
  intersect,
  isEmpty,
  parseSelector,
  type TrafficSelector,
  toWireSelector,
} from '../../../src/wire/index.js';
import { bytesOf, digitsOf } from './fixtures.js';

function intersection(a: string, b: string): string | undefined {
  const both = intersect(parseSelector(a), parseSelector(b));
  return both && formatSelector(both);
}

describe('a traffic selector as text', () => {
  it.each([
    ['10.1.0.0/16', '0a010000', '0a01ffff'],
    ['10.1.2.3', '0a010203', '0a010203'],
    ['0.0.0.0/0', '00000000', 'ffffffff'],
    ['10.0.0.128/25', '0a000080', '0a0000ff'],
    ['10.0.0.1-10.0.0.9', '0a000001', '0a000009'],
    ['2001:db8::/33', `20010db8${'0'.repeat(24)}`, `20010db87fff${'f'.repeat(20)}`],
  ])('%s reaches from %s to %s', (text, start, end) => {
    const selector = parseSelector(text);
    expect(digitsOf(selector.startAddress)).toBe(start);
    expect(digitsOf(selector.endAddress)).toBe(end);
    expect(selector).toMatchObject({ protocol: 0, startPort: 0, endPort: 65535 });
  });

  it.each([
    ['10.0.0.0/8[tcp/80]', 6, 80, 80],
    ['10.0.0.0/8[udp/1000-2000]', 17, 1000, 2000],
    ['10.0.0.0/8[47]', 47, 0, 65535],
    ['10.0.0.0/8[icmp/8]', 1, 0x0800, 0x08ff],
    ['10.0.0.0/8[icmp/3.4]', 1, 0x0304, 0x0304],
    ['::/0[ipv6-icmp/128-129]', 58, 0x8000, 0x81ff],
    ['10.0.0.0/8[udp/opaque]', 17, 65535, 0],
  ])('%s has protocol %i and ports %i to %i', (text, protocol, startPort, endPort) => {
    expect(parseSelector(text)).toMatchObject({ protocol, startPort, endPort });
  });

  it.each([
    ['10.1.0.1/16', 'host bits are set in 10.1.0.1/16: 10.1.0.0/16?'],
    ['10.0.0.0/33', 'a prefix length above 32: 10.0.0.0/33'],
    ['10.0.0.0/', 'not a prefix length: '],
    ['10.0.0.9-10.0.0.1', 'a reversed range: 10.0.0.9-10.0.0.1'],
    ['10.0.0.1-::1', 'a range across IP versions: 10.0.0.1-::1'],
    ['10.0.0.0/8[tcp/99999]', 'not a port: 99999'],
    ['10.0.0.0/8[tcp/9-1]', 'a reversed range of ports: 9-1'],
    ['10.0.0.0/8[256]', 'not a protocol: 256'],
    ['10.0.0.0/8[icmp/300]', 'not an ICMP type: 300'],
    ['host', 'not an IP address: host'],
    ['10.0.0.0/8[tcp', 'not a traffic selector: 10.0.0.0/8[tcp'],
  ])('%s is refused with a reason', (text, reason) => {
    expect(() => parseSelector(text)).toThrow(new RangeError(reason));
  });

  it('is parsed as it was formatted', () => {
    fc.assert(
      fc.property(arbitrarySelector, (selector) => {
        expect(equalSelectors(parseSelector(formatSelector(selector)), selector)).toBe(true);
      }),
    );
  });
});

describe('the intersection of selectors', () => {
  it.each([
    ['10.0.0.0/8', '10.1.0.0/16', '10.1.0.0/16'],
    ['10.0.0.0/24', '10.0.0.200-10.0.1.5', '10.0.0.200-10.0.0.255'],
    ['10.0.0.0/8', '11.0.0.0/8', undefined],
    ['0.0.0.0/0', '::/0', undefined],
    ['10.0.0.0/8[tcp/80]', '10.0.0.0/8', '10.0.0.0/8[tcp/80]'],
    ['10.0.0.0/8[tcp/1-100]', '10.0.0.0/8[tcp/50-200]', '10.0.0.0/8[tcp/50-100]'],
    ['10.0.0.0/8[tcp]', '10.0.0.0/8[udp]', undefined],
    ['10.0.0.0/8[udp/opaque]', '10.0.0.0/8[udp]', '10.0.0.0/8[udp/opaque]'],
    ['10.0.0.0/8[udp/opaque]', '10.0.0.0/8[udp/53]', undefined],
  ])('of %s and %s is %s', (a, b, both) => {
    expect(intersection(a, b)).toBe(both);
    expect(intersection(b, a)).toBe(both);
  });

  it('holds an address exactly if both do', () => {
    const inside = (selector: TrafficSelector, address: Uint8Array) =>
      contains({ ...selector, protocol: 0, startPort: 0, endPort: 65535 }, hostSelector(address));
    const small = fc.integer({ min: 0, max: 31 });
    const range = fc.tuple(small, small).map(([a, b]) => ({
      ...anySelector(4),
      startAddress: Uint8Array.of(10, 0, 0, Math.min(a, b)),
      endAddress: Uint8Array.of(10, 0, 0, Math.max(a, b)),
    }));
    fc.assert(
      fc.property(range, range, small, (a, b, last) => {
        const address = Uint8Array.of(10, 0, 0, last);
        const both = intersect(a, b);
        expect(both !== undefined && inside(both, address)).toBe(
          inside(a, address) && inside(b, address),
        );
      }),
    );
  });

  it('with what contains it is itself', () => {
    fc.assert(
      fc.property(arbitrarySelector, (selector) => {
        expect(contains(anySelector(selector.family), selector)).toBe(true);
        expect(contains(selector, selector)).toBe(true);
      }),
    );
  });

  it('is nothing where a peer sent a reversed range', () => {
    const reversed = {
      ...anySelector(4),
      startAddress: bytesOf('0a000009'),
      endAddress: bytesOf('0a000001'),
    };
    expect(isEmpty(reversed)).toBe(true);
    expect(intersect(reversed, anySelector(4))).toBeUndefined();
    expect(contains(anySelector(4), reversed)).toBe(false);
  });
});

describe('a traffic selector on the wire', () => {
  it('is the same back and forth', () => {
    fc.assert(
      fc.property(arbitrarySelector, (selector) => {
        expect(fromWireSelector(toWireSelector(selector))).toEqual(selector);
      }),
    );
  });

  it('of a type that we do not know is none', () => {
    expect(fromWireSelector({ tsType: 10, protocol: 0, data: bytesOf('0102') })).toBeUndefined();
  });
});

const arbitrarySelector: fc.Arbitrary<TrafficSelector> = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    addresses: fc.tuple(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    ),
    prefix: fc.option(fc.integer({ min: 0, max: 128 })),
    protocol: fc.integer({ min: 0, max: 255 }),
    ports: fc.oneof(
      fc.constant([0, 65535]),
      fc.constant([65535, 0]),
      fc.tuple(fc.nat(65535), fc.nat(65535)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]),
    ),
  })
  .map(({ family, addresses, prefix, protocol, ports }) => {
    const size = family === 4 ? 4 : 16;
    const [a, b] = addresses.map((address) => digitsOf(address.subarray(0, size))) as [
      string,
      string,
    ];
    const [low, high] = a < b ? [a, b] : [b, a];
    const range = { startAddress: bytesOf(low), endAddress: bytesOf(high) };
    const network = prefix === null ? range : networkOf(bytesOf(low), Math.min(prefix, size * 8));
    return { family, protocol, startPort: ports[0]!, endPort: ports[1]!, ...network };
  });

function networkOf(address: Uint8Array, prefix: number) {
  const bits = [...address].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  const octets = (text: string) =>
    Uint8Array.from(text.match(/.{8}/g)!, (octet) => Number.parseInt(octet, 2));
  const head = bits.slice(0, prefix);
  return {
    startAddress: octets(head.padEnd(bits.length, '0')),
    endAddress: octets(head.padEnd(bits.length, '1')),
  };
}
