import { describe, expect, it } from 'vitest';
import { prf, prfById, prfPlus } from '../../../src/crypto/prf.js';
import { hex, readVectors, readWycheproof, toHex } from './vectors.js';

describe.each([
  [2, 'sha1', 'rfc-2202', 7],
  // Without the case of a truncated output.
  [5, 'sha256', 'rfc-4231', 6],
  [6, 'sha384', 'rfc-4231', 6],
  [7, 'sha512', 'rfc-4231', 6],
] as const)('PRF %i, HMAC-%s', (id, hash, document, vectors) => {
  const algorithm = prfById(id)!;

  it(`gives the outputs of ${document}`, () => {
    const text = readVectors(`nist/HMAC_${document}-${hash}.txt`);
    const cases = [...text.matchAll(/Key = (\w+)\s+(?:#.*\s+)*Msg = (\w+)\s+MD = (\w+)/g)];
    expect(cases.length).toBe(vectors);
    for (const [, key, message, digest] of cases) {
      const output = toHex(prf(algorithm, hex(key!), hex(message!)));
      expect(output).toBe(digest);
    }
  });

  it('agrees with every untruncated Wycheproof vector', () => {
    let count = 0;
    for (const group of readWycheproof(`hmac_${hash}_test`)) {
      if (group.tagSize !== algorithm.length * 8) continue;
      for (const test of group.tests) {
        const output = toHex(prf(algorithm, hex(test.key as string), hex(test.msg as string)));
        expect(output === test.tag, `${test.tcId}: ${test.comment}`).toBe(test.result === 'valid');
        count++;
      }
    }
    expect(count).toBeGreaterThan(80);
  });

  it('takes its data in any number of chunks', () => {
    const key = hex('00112233');
    const whole = prf(algorithm, key, hex('0102030405'));
    expect(prf(algorithm, key, hex('0102'), hex(''), hex('030405'))).toEqual(whole);
  });

  it('builds prf+ as T1 | T2 | ... with a counter from 1', () => {
    const key = hex('0f'.repeat(20));
    const seed = hex('a5'.repeat(7));
    const t1 = prf(algorithm, key, Uint8Array.of(...seed, 1));
    const t2 = prf(algorithm, key, Uint8Array.of(...t1, ...seed, 2));
    const t3 = prf(algorithm, key, Uint8Array.of(...t2, ...seed, 3));
    const length = 2 * algorithm.length + 3;
    const output = prfPlus(algorithm, key, length, seed.subarray(0, 3), seed.subarray(3));
    expect(toHex(output.bytes)).toBe((toHex(t1) + toHex(t2) + toHex(t3)).slice(0, 2 * length));
  });

  it('ends prf+ after 255 blocks', () => {
    const all = prfPlus(algorithm, hex('01'), 255 * algorithm.length, hex('02'));
    expect(all.byteLength).toBe(255 * algorithm.length);
    expect(() => prfPlus(algorithm, hex('01'), 255 * algorithm.length + 1, hex('02'))).toThrow(
      RangeError,
    );
  });
});

it('has no PRF for an unknown transform ID', () => {
  expect(prfById(1)).toBeUndefined();
});
