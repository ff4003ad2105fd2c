import { createECDH } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { runJob } from '../../../src/crypto/jobs.js';
import {
  deriveSharedSecret,
  generateKeyPair,
  isKeyExchangeSupported,
  KeyExchangeError,
  publicValueLength,
  respondTo,
  responseLength,
} from '../../../src/crypto/key-exchange.js';
import { Secret } from '../../../src/crypto/secret.js';
import { hex, readVectors, readWycheproof, toHex } from './vectors.js';

const GROUPS = [14, 15, 16, 17, 18, 19, 20, 21, 28, 29, 30, 31, 32];
const ML_KEM = [35, 36, 37];

function derive(group: number, privateKey: string, peerPublic: string): string {
  const secret = deriveSharedSecret(group, new Secret(hex(privateKey)), hex(peerPublic));
  return toHex(secret.bytes);
}

/** Randomness that hands out these octets once. */
const once = (octets: string) => () => hex(octets);

describe('every group', () => {
  it.each(GROUPS)('%i: both sides derive the same secret of full length', (group) => {
    const a = generateKeyPair(group);
    const b = generateKeyPair(group);
    expect(a.publicValue.length).toBe(publicValueLength(group));
    const ab = deriveSharedSecret(group, a.privateKey, b.publicValue);
    const ba = deriveSharedSecret(group, b.privateKey, a.publicValue);
    expect(toHex(ab.bytes)).toBe(toHex(ba.bytes));
  });

  it.each([14, 19, 31, ...ML_KEM])(
    '%i: a responder answers with its half and the secret',
    (group) => {
      const { privateKey, publicValue } = generateKeyPair(group);
      expect(publicValue.length).toBe(publicValueLength(group));
      const answer = respondTo(group, publicValue);
      expect(answer.publicValue.length).toBe(responseLength(group));
      const secret = deriveSharedSecret(group, privateKey, answer.publicValue);
      expect(toHex(secret.bytes)).toBe(toHex(answer.sharedSecret.bytes));
    },
  );

  it.each([14, 19, 31, ...ML_KEM])('%i: a responder refuses another length', (group) => {
    const { publicValue } = generateKeyPair(group);
    for (const value of [publicValue.slice(1), Uint8Array.of(0, ...publicValue)]) {
      expect(() => respondTo(group, value)).toThrow(/octets instead of/);
    }
  });

  it.each(GROUPS)('%i: refuses a public value of another length', (group) => {
    const { privateKey, publicValue } = generateKeyPair(group);
    const longer = Uint8Array.of(0, ...publicValue);
    for (const value of [publicValue.slice(1), longer, new Uint8Array(0)]) {
      expect(() => deriveSharedSecret(group, privateKey, value)).toThrow(/octets instead of/);
    }
  });

  it('is not one that RFC 8247 forbids or that we lack', () => {
    for (const group of [0, 1, 2, 5, 22, 23, 24, 25, 26, 27, 38]) {
      expect(isKeyExchangeSupported(group)).toBe(false);
    }
  });
});

describe('X25519', () => {
  it('gives the outputs of RFC 7748 §5.2', () => {
    const text = readVectors('nist/asymmetric_X25519_rfc7748.txt');
    const cases = [...text.matchAll(/INPUT_SCALAR = (\w+)\s+INPUT_U = (\w+)\s+OUTPUT_U = (\w+)/g)];
    expect(cases.length).toBeGreaterThanOrEqual(3);
    for (const [, scalar, u, output] of cases) expect(derive(31, scalar!, u!)).toBe(output);
  });

  it('gives the public value and the secret of RFC 7748 §6.1', () => {
    const a = '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a';
    const publicA = '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a';
    const publicB = 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f';
    expect(toHex(generateKeyPair(31, once(a)).publicValue)).toBe(publicA);
    expect(derive(31, a, publicB)).toBe(
      '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
    );
  });

  it('agrees with every Wycheproof vector, and refuses those with an all-zero result', () => {
    let zero = 0;
    for (const test of readWycheproof('x25519_test').flatMap((group) => group.tests)) {
      const [scalar, point] = [test.private as string, test.public as string];
      if (test.flags.includes('ZeroSharedSecret')) {
        expect(() => derive(31, scalar, point), test.comment).toThrow(KeyExchangeError);
        zero++;
      } else {
        expect(derive(31, scalar, point), `${test.tcId}: ${test.comment}`).toBe(test.shared);
      }
    }
    expect(zero).toBeGreaterThan(20);
  });
});

describe('X448', () => {
  it('gives the public values and the secret of RFC 7748 §6.2', () => {
    const a =
      '9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b';
    const publicA =
      '9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0';
    const publicB =
      '3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609';
    expect(toHex(generateKeyPair(32, once(a)).publicValue)).toBe(publicA);
    expect(derive(32, a, publicB)).toBe(
      '07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5037514a879d',
    );
  });

  it('refuses a public value of which nothing is left', () => {
    const { privateKey } = generateKeyPair(32);
    const zero = new Uint8Array(56);
    expect(() => deriveSharedSecret(32, privateKey, zero)).toThrow(KeyExchangeError);
  });
});

describe('the Brainpool curves', () => {
  const { tests } = JSON.parse(readVectors('rfc/brainpool.json')) as {
    tests: readonly {
      readonly group: number;
      readonly dA: string;
      readonly dB: string;
      readonly qA: readonly string[];
      readonly qB: readonly string[];
      readonly xZ: string;
    }[];
  };

  it.each(tests)('$group: give the values of RFC 7027 appendix A', (vector) => {
    const { group, dA, dB, qA, qB, xZ } = vector;
    expect(toHex(generateKeyPair(group, once(dA)).publicValue)).toBe(qA.join(''));
    expect(derive(group, dA, qB.join(''))).toBe(xZ);
    expect(derive(group, dB, qA.join(''))).toBe(xZ);
  });

  it.each(tests)('$group: refuse a point that is not on the curve', ({ group, dA, qB }) => {
    const off = hex(qB.join(''));
    off[off.length - 1]! ^= 1;
    expect(() => derive(group, dA, toHex(off))).toThrow(KeyExchangeError);
  });
});

describe('ECP groups', () => {
  it('P-256: gives the values of RFC 5903 §8.1', () => {
    const i = 'c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433';
    const gi =
      'dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180' +
      '5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3';
    const gr =
      'd12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63' +
      '56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab';
    const shared = 'd6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de';
    expect(toHex(generateKeyPair(19, once(i)).publicValue)).toBe(gi);
    expect(derive(19, i, gr)).toBe(shared);
  });

  it.each([
    [19, 'secp256r1', 32],
    [20, 'secp384r1', 48],
    [21, 'secp521r1', 66],
  ] as const)('%i: agrees with every Wycheproof vector of %s', (group, curve, size) => {
    let valid = 0;
    let invalid = 0;
    for (const { tests } of readWycheproof(`ecdh_${curve}_ecpoint_test`)) {
      for (const test of tests) {
        const point = test.public as string;
        // A private key is a scalar of the group's size here, so a longer one is cut to it.
        const scalar = (test.private as string).padStart(2 * size, '0').slice(-2 * size);
        const label = `${test.tcId}: ${test.comment}`;
        // Compressed and empty points cannot be written in a KE payload (RFC 5903 §7).
        const body = point.startsWith('04') ? point.slice(2) : point;
        if (test.result === 'valid') {
          expect(derive(group, scalar, body), label).toBe(test.shared);
          valid++;
        } else if (test.result === 'invalid') {
          expect(() => derive(group, scalar, body), label).toThrow(KeyExchangeError);
          invalid++;
        }
      }
    }
    expect(valid).toBeGreaterThan(200);
    expect(invalid).toBeGreaterThan(5);
  });

  it('draws a private key again where it is zero or not below the order', () => {
    const draws = [
      '00'.repeat(32),
      'ff'.repeat(32),
      'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
      `${'00'.repeat(31)}01`,
    ];
    const { privateKey, publicValue } = generateKeyPair(19, () => hex(draws.shift()!));
    expect(toHex(privateKey.bytes)).toBe(`${'00'.repeat(31)}01`);
    // The base point (SEC 2 §2.4.2).
    expect(toHex(publicValue)).toBe(
      '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296' +
        '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
    );
    expect(draws).toEqual([]);
  });
});

it.each([
  [19, 'prime256v1', 32],
  [20, 'secp384r1', 48],
  [21, 'secp521r1', 66],
  [28, 'brainpoolP256r1', 32],
  [29, 'brainpoolP384r1', 48],
  [30, 'brainpoolP512r1', 64],
] as const)('group %i: draws just below the order of %s', (group, curve, size) => {
  // OpenSSL knows the order: it takes every private key below it and no other.
  const ecdh = createECDH(curve);
  const takes = (scalar: bigint) => {
    try {
      ecdh.setPrivateKey(Buffer.from(scalar.toString(16).padStart(2 * size, '0'), 'hex'));
      return true;
    } catch {
      return false;
    }
  };
  let [below, above] = [1n, 2n ** BigInt(8 * size)];
  while (above - below > 1n) {
    const middle = (above + below) / 2n;
    if (takes(middle)) below = middle;
    else above = middle;
  }
  const draws = [above, below].map((scalar) => scalar.toString(16).padStart(2 * size, '0'));
  const { privateKey } = generateKeyPair(group, () => hex(draws.shift()!));
  expect(toHex(privateKey.bytes)).toBe(below.toString(16).padStart(2 * size, '0'));
});

describe('MODP groups', () => {
  const { groups } = JSON.parse(readVectors('ike-crypto/modp-leading-zeros.json')) as {
    groups: readonly Readonly<
      Record<'prime' | 'privateA' | 'publicA' | 'privateB' | 'publicB' | 'shared', string> & {
        group: number;
      }
    >[];
  };

  it.each(groups)('$group: keeps the leading zeros of public value and shared secret', (vector) => {
    const { group, privateA, publicA, publicB, shared } = vector;
    expect(publicA.startsWith('00') && shared.startsWith('00')).toBe(true);
    // The exponent of a vector has 32 octets; those that we draw may have more.
    const { publicValue } = generateKeyPair(group, (n) => hex(privateA.padStart(2 * n, '0')));
    expect(toHex(publicValue)).toBe(publicA);
    expect(derive(group, privateA, publicB)).toBe(shared);
    expect(derive(group, vector.privateB, publicA)).toBe(shared);
  });

  it.each(groups)('$group: refuses 0, 1, p-1, p and more (RFC 6989 §2.1)', (vector) => {
    const p = BigInt(`0x${vector.prime}`);
    const size = vector.prime.length;
    for (const y of [0n, 1n, p - 1n, p, p + 1n, 2n ** BigInt(4 * size) - 1n]) {
      const value = y.toString(16).padStart(size, '0');
      expect(() => derive(vector.group, vector.privateA, value)).toThrow(/between 1 and p-1/);
    }
    expect(derive(vector.group, vector.privateA, '2'.padStart(size, '0'))).toBe(vector.publicA);
  });
});

describe('runJob', () => {
  it('generates and derives, and wipes the private key that it was given', () => {
    const a = runJob({ type: 'generate', group: 31 });
    const b = runJob({ type: 'generate', group: 31 });
    if (a.type !== 'generated' || b.type !== 'generated') throw new Error('no key pair');
    const { privateKey } = a;
    const result = runJob({ type: 'derive', group: 31, privateKey, peerPublic: b.publicValue });
    expect(result.type).toBe('derived');
    expect(privateKey.byteLength).toBe(0);
  });

  it('answers a bad public value and an unknown group with the reason', () => {
    const privateKey = new Secret(new Uint8Array(32).fill(7));
    const peerPublic = new Uint8Array(32);
    const result = runJob({ type: 'derive', group: 31, privateKey, peerPublic });
    expect(result.type).toBe('failed');
    expect(privateKey.byteLength).toBe(0);
    expect(runJob({ type: 'generate', group: 2 })).toEqual({
      type: 'failed',
      reason: 'key exchange method 2 is unknown',
    });
  });
});
