/** ML-KEM (FIPS 203) against Wycheproof's vectors and those of OpenSSL 3.5. */
import { describe, expect, it } from 'vitest';
import {
  deriveSharedSecret,
  generateKeyPair,
  KeyExchangeError,
  respondTo,
} from '../../../src/crypto/key-exchange.js';
import { Secret } from '../../../src/crypto/secret.js';
import { hex, readVectors, readWycheproof, toHex } from './vectors.js';

const GROUPS: Readonly<Record<string, number>> = {
  'ml-kem-512': 35,
  'ml-kem-768': 36,
  'ml-kem-1024': 37,
};

interface OpensslCase {
  readonly name: string;
  readonly seed: string;
  readonly ek: string;
  readonly c: string;
  readonly k: string;
  readonly rejected: { readonly c_octet: number; readonly c_bit: number; readonly k: string };
}

const { tests } = JSON.parse(readVectors('ike-crypto/ml-kem-openssl.json')) as {
  tests: readonly OpensslCase[];
};

/** A copy of the private key, since each derivation wants its own. */
function decapsulate(group: number, privateKey: Secret, ciphertext: string): string {
  const copy = new Secret(privateKey.bytes);
  return toHex(deriveSharedSecret(group, copy, hex(ciphertext)).bytes);
}

describe.each(tests.map((test, i) => ({ ...test, title: `${test.name}, ${i % 4}` })))(
  'OpenSSL: $title',
  ({ name, seed, ek, c, k, rejected }) => {
    const group = GROUPS[name]!;
    const { privateKey, publicValue } = generateKeyPair(group, () => hex(seed));

    it('makes the same encapsulation key of the seed', () => {
      expect(toHex(publicValue)).toBe(ek);
    });

    it('has the same secret of the ciphertext', () => {
      expect(decapsulate(group, privateKey, c)).toBe(k);
    });

    it('has the same other secret of a ciphertext that is not right', () => {
      const octets = hex(c);
      octets[rejected.c_octet]! ^= 1 << rejected.c_bit;
      expect(decapsulate(group, privateKey, toHex(octets))).toBe(rejected.k);
    });
  },
);

it("agrees with Wycheproof's ML-KEM-768", () => {
  const cases = readWycheproof('mlkem_768_test').flatMap((group) => group.tests);
  expect(cases.length).toBe(193);
  for (const { tcId, result, ...fields } of cases) {
    const { seed, ek, c, K } = fields as unknown as Record<'seed' | 'ek' | 'c' | 'K', string>;
    const outcome = (): string => {
      const { privateKey, publicValue } = generateKeyPair(36, () => hex(seed));
      if (ek !== undefined && toHex(publicValue) !== ek) throw new Error('another key');
      return decapsulate(36, privateKey, c);
    };
    if (result === 'valid') expect(outcome(), `case ${tcId}`).toBe(K);
    else expect(outcome, `case ${tcId}`).toThrow();
  }
});

describe('an encapsulation key', () => {
  it.each(Object.values(GROUPS))('%i: with a coefficient of q or more is refused', (group) => {
    const { publicValue } = generateKeyPair(group);
    for (const at of [0, 3 * 100, publicValue.length - 32 - 3]) {
      // FIPS 203 §7.2: twelve bits that stand for 3329 or more.
      for (const [first, second] of [
        [0x01, 0x0d],
        [0xff, 0x0f],
      ] as const) {
        const bad = publicValue.slice();
        bad[at] = first;
        bad[at + 1] = (bad[at + 1]! & 0xf0) | second;
        expect(() => respondTo(group, bad)).toThrow(KeyExchangeError);
      }
      const good = publicValue.slice();
      good[at] = 0x00;
      good[at + 1] = (good[at + 1]! & 0xf0) | 0x0d; // 3328
      expect(() => respondTo(group, good)).not.toThrow();
    }
  });
});
