/** What has to hold for every message, and for every string of octets. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  decodePayloads,
  describeMessage,
  encodeMessage,
  encodePayloads,
  encryptedPart,
  printMessage,
  validate,
  WireError,
} from '../../../src/wire/index.js';
import { message as arbitraryMessage, clearPayload } from './arbitrary.js';
import { bytesOf, digitsOf, fixtures, type TsharkPayload } from './fixtures.js';

const captured = fixtures.flatMap(({ messages }) => messages.map(({ data }) => bytesOf(data)));

/** Plaintexts of captured encrypted payloads. */
const chains = fixtures
  .flatMap(({ messages }) => messages.flatMap(({ payloads }) => payloads))
  .flatMap(({ inner, reassembled }) => [inner, reassembled])
  .filter((chain): chain is TsharkPayload[] => chain !== undefined && chain.length > 0)
  .map((chain) => ({
    firstType: chain[0]!.type,
    data: bytesOf(chain.map(({ octets }) => octets).join('')),
  }));

/** Decodes what may be anything. All but a WireError fails the test; the result is fit for use. */
function decodeOrRefuse(data: Uint8Array): void {
  try {
    const decoded = decodeMessage(data);
    encodeMessage(decoded);
    printMessage(decoded);
    describeMessage(decoded);
    const { exchangeType, response } = decoded.header;
    validate({ exchangeType, response, encrypted: false }, decoded.payloads);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

function decodeChainOrRefuse(firstType: number, data: Uint8Array): void {
  try {
    encodePayloads(decodePayloads(firstType, data));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

/** Overwrites, inserts, removes, repeats: what a sloppy or hostile peer does to a message. */
const edit = fc.record({
  kind: fc.constantFrom('set', 'flip', 'insert', 'remove', 'repeat', 'truncate'),
  at: fc.nat(0xffff),
  value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 3, 4, 255)),
  count: fc.integer({ min: 1, max: 40 }),
});

function apply(
  data: Uint8Array,
  { kind, at, value, count }: typeof edit extends fc.Arbitrary<infer E> ? E : never,
) {
  const octets = [...data];
  const place = octets.length === 0 ? 0 : at % octets.length;
  if (kind === 'set') octets[place] = value;
  if (kind === 'flip') octets[place] = (octets[place] ?? 0) ^ (1 << (value % 8));
  if (kind === 'insert') octets.splice(place, 0, ...new Array<number>(count).fill(value));
  if (kind === 'remove') octets.splice(place, count);
  if (kind === 'repeat') octets.splice(place, 0, ...octets.slice(place, place + count));
  if (kind === 'truncate') octets.length = place;
  return Uint8Array.from(octets);
}

/** The length in the header made right again, so that what follows is looked at too. */
function withRightLength(data: Uint8Array): Uint8Array {
  if (data.length >= 28) new DataView(data.buffer).setUint32(24, data.length);
  return data;
}

describe('every message', () => {
  it('is the same after encoding and decoding', () => {
    fc.assert(
      fc.property(arbitraryMessage, (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message);
      }),
      { numRuns: 500 },
    );
  });

  it('has payloads that are the same inside an encrypted payload', () => {
    fc.assert(
      fc.property(fc.array(clearPayload, { maxLength: 8 }), (payloads) => {
        const { firstType, bytes } = encodePayloads(payloads);
        expect(decodePayloads(firstType, bytes)).toEqual(payloads);
      }),
      { numRuns: 300 },
    );
  });

  it('shares no memory with the datagram that it was decoded from, but for what is encrypted', () => {
    for (const data of captured) {
      const copy = data.slice();
      const decoded = decodeMessage(copy);
      const { bodyAt = copy.length } = encryptedPart(copy, decoded) ?? {};
      copy.fill(0xee, 0, bodyAt);
      expect(digitsOf(encodeMessage(decoded))).toBe(digitsOf(data));
    }
  });

  it('decodes the same from a Buffer in the middle of a pool', () => {
    for (const data of captured) {
      const pool = Buffer.concat([Buffer.alloc(5, 1), data, Buffer.alloc(5, 1)]);
      expect(decodeMessage(pool.subarray(5, -5))).toEqual(decodeMessage(data));
    }
  });
});

describe('a string of octets', () => {
  it('that is a captured message cut short at any length is refused', () => {
    for (const data of captured) {
      for (let length = 0; length < data.length; length++) {
        expect(() => decodeMessage(data.subarray(0, length))).toThrow(WireError);
        decodeOrRefuse(withRightLength(data.slice(0, length)));
      }
    }
  });

  it('that is a captured chain of payloads cut short at any length is refused', () => {
    for (const { firstType, data } of chains) {
      for (let length = 0; length < data.length; length++) {
        expect(() => decodePayloads(firstType, data.subarray(0, length))).toThrow(WireError);
      }
    }
  });

  it('that is a mutated message is decoded, or refused by a WireError', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...captured),
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        (data, edits, right) => {
          const mutated = edits.reduce(apply, data);
          decodeOrRefuse(right ? withRightLength(mutated) : mutated);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('that is a mutated chain of payloads is decoded, or refused by a WireError', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...chains),
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        ({ firstType, data }, edits) => {
          decodeChainOrRefuse(firstType, edits.reduce(apply, data));
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('that is noise is decoded, or refused by a WireError', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.uint8Array({ maxLength: 400 }), (firstType, data) => {
        decodeChainOrRefuse(firstType, data);
        decodeOrRefuse(data);
      }),
      { numRuns: 3000 },
    );
  });

  it('of the greatest size is decoded in bounded time, whatever it claims', () => {
    const worst: (readonly [firstType: number, octets: readonly number[]])[] = [
      [43, times([0], 0xffff)], // payloads of length 0
      [43, times([1], 0xffff)],
      [43, times([43, 0, 0, 4], 16383)], // Vendor IDs without end
      [33, times([33, 0, 0, 4], 16383)],
      [33, payload(times([2, 0, 0, 8, 1, 1, 0, 0], 8190))], // proposals of nothing
      [33, payload([0, 0, 0xff, 0xf8, 1, 1, 0, 255, ...times([3, 0, 0, 8, 1, 0, 0, 20], 8190)])],
      [44, payload([255, 0, 0, 0, ...times([9, 0, 0, 4], 16300)])], // selectors of nothing
      [42, payload([3, 0, 0xff, 0xff])], // 65535 SPIs of no octets
      [42, payload([3, 1, 0xff, 0xff, 1, 2, 3])],
      [47, payload([1, 0, 0, 0, ...times([0, 1, 0, 0], 16300)])], // attributes of nothing
    ];
    for (const [firstType, octets] of worst) {
      const data = Uint8Array.from(octets);
      const start = performance.now();
      decodeChainOrRefuse(firstType, data);
      // Milliseconds at most; the rest is for a busy machine.
      expect(performance.now() - start).toBeLessThan(500);
    }
  });
});

function times(unit: readonly number[], count: number): number[] {
  return Array.from({ length: unit.length * count }, (_, i) => unit[i % unit.length]!);
}

/** A payload, the last one, with this body. */
function payload(body: readonly number[]): number[] {
  const length = body.length + 4;
  return [0, 0, length >>> 8, length & 0xff, ...body];
}
