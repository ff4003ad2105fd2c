import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { refuseAuth, signAuth, weaknessOf } from '../../../src/crypto/signature.js';
import {
  type Announcement,
  authData,
  chooseScheme,
  describeAlgorithm,
  describeAuthData,
  readAuthData,
  type SignatureAlgorithm,
} from '../../../src/crypto/signature-scheme.js';
import { HASH } from '../../../src/wire/index.js';

const hex = (digits: string) => Uint8Array.from(Buffer.from(digits, 'hex'));

const PSS_SHA256 =
  '304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120';

/** The octets of RFC 7427 App. A and RFC 8420 App. A. */
const IDENTIFIERS: readonly (readonly [string, SignatureAlgorithm])[] = [
  ['300d06092a864886f70d01010b0500', { type: 'rsa', hash: 'sha256', padding: 'pkcs1' }],
  ['300d06092a864886f70d01010c0500', { type: 'rsa', hash: 'sha384', padding: 'pkcs1' }],
  ['300d06092a864886f70d01010d0500', { type: 'rsa', hash: 'sha512', padding: 'pkcs1' }],
  [PSS_SHA256, { type: 'rsa', hash: 'sha256', padding: 'pss', saltLength: 32 }],
  ['300a06082a8648ce3d040302', { type: 'ecdsa', hash: 'sha256' }],
  ['300a06082a8648ce3d040303', { type: 'ecdsa', hash: 'sha384' }],
  ['300a06082a8648ce3d040304', { type: 'ecdsa', hash: 'sha512' }],
  ['300506032b6570', { type: 'ed25519' }],
  ['300506032b6571', { type: 'ed448' }],
];

/** Authentication Data of method 14. */
const digital = (identifier: string, signature: Uint8Array) =>
  Uint8Array.from([identifier.length / 2, ...hex(identifier), ...signature]);

describe('Authentication Data of method 14', () => {
  it.each(IDENTIFIERS)('begins with %s (RFC 7427 App. A, RFC 8420 App. A)', (der, algorithm) => {
    const signature = Uint8Array.of(1, 2, 3);
    const data = digital(der, signature);
    expect(authData({ method: 14, algorithm }, signature)).toEqual(data);
    expect(readAuthData(14, data)).toEqual({ algorithms: [algorithm], signature });
  });

  it('takes RSA without parameters too, and PSS without those of its hashes (RFC 4055 §2.1, §5)', () => {
    const bare = digital('300b06092a864886f70d01010b', Uint8Array.of(1));
    expect(describeAuthData(14, bare)).toBe('RSASSA-PKCS1-v1_5 with SHA2_256');
    const pss =
      '303d06092a864886f70d01010a3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120';
    expect(describeAuthData(14, digital(pss, Uint8Array.of(1)))).toBe('RSASSA-PSS with SHA2_256');
  });

  it.each([
    ['PSS with empty parameters (RFC 8247 §4.2)', '300d06092a864886f70d01010a3000'],
    ['RSA with SHA-1', '300d06092a864886f70d0101050500'],
    ['ECDSA with SHA-1', '300906072a8648ce3d0401'],
    ['ECDSA with parameters', '300c06082a8648ce3d0403020500'],
    ['a length beyond its end', '300d06092a864886f70d01010b05'],
    ['octets behind it', '300d06092a864886f70d01010b050000'],
    [
      'PSS with two hashes',
      PSS_SHA256.replace('6086480165030402010500a1', '6086480165030402020500a1'),
    ],
    [
      'PSS with a salt of a gigabyte',
      `3044${PSS_SHA256.slice(4).replace('3034', '3037').replace('a203020120', 'a20602044000000000')}`,
    ],
    ['nothing', ''],
  ])('is refused with %s', (_, identifier) => {
    const data = digital(identifier, Uint8Array.of(1));
    expect(readAuthData(14, data)).toBeUndefined();
    expect(describeAuthData(14, data)).toMatch(/^algorithm /);
  });

  it('is refused where it ends before the identifier does', () => {
    for (let length = 0; length < 16; length++) {
      const data = digital('300d06092a864886f70d01010b0500', Uint8Array.of(1)).subarray(0, length);
      expect(readAuthData(14, data)).toBeUndefined();
    }
  });
});

interface Group {
  readonly publicKeyPem: string;
  readonly tests: readonly {
    readonly tcId: number;
    readonly msg: string;
    readonly sig: string;
    readonly result: 'valid' | 'invalid' | 'acceptable';
  }[];
}

function vectors(name: string): Group[] {
  const url = new URL(`../../vectors/wycheproof/${name}_test.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { testGroups: Group[] }).testGroups;
}

describe('signatures are verified as Wycheproof has it', () => {
  it.each([
    ['ecdsa_secp256r1_sha256', 14, '300a06082a8648ce3d040302'],
    ['ecdsa_secp256r1_sha256_p1363', 9, undefined],
    ['ed25519', 14, '300506032b6570'],
    ['rsa_pss_2048_sha256_mgf1_32', 14, PSS_SHA256],
    ['rsa_signature_2048_sha256', 14, '300d06092a864886f70d01010b0500'],
  ] as const)('%s, method %d', (name, method, identifier) => {
    let count = 0;
    const wrong: number[] = [];
    for (const { publicKeyPem, tests } of vectors(name)) {
      const key = createPublicKey(publicKeyPem);
      // A key that we refuse as such proves nothing about signatures.
      if (weaknessOf(key) !== undefined) continue;
      for (const { tcId, msg, sig, result } of tests) {
        if (result === 'acceptable') continue;
        const data = identifier === undefined ? hex(sig) : digital(identifier, hex(sig));
        const accepted = refuseAuth(key, method, data, hex(msg)) === undefined;
        count++;
        if (accepted !== (result === 'valid')) wrong.push(tcId);
      }
    }
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(100);
  });
});

const rsa = (modulusLength: number, publicExponent = 65537) =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent });
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });

const KEYS = {
  rsa: rsa(2048),
  p256: ec('P-256'),
  p384: ec('P-384'),
  p521: ec('P-521'),
  ed25519: generateKeyPairSync('ed25519'),
  ed448: generateKeyPairSync('ed448'),
};

describe('the scheme that a key signs with', () => {
  const ours = [HASH.SHA2_256, HASH.SHA2_384, HASH.SHA2_512, HASH.IDENTITY];
  const choose = (key: KeyObject, hashes: readonly number[] | undefined) => {
    const scheme = chooseScheme(key, 'pss', { hashes, methods: undefined });
    return scheme && [scheme.method, 'hash' in scheme.algorithm ? scheme.algorithm.hash : ''];
  };

  it.each([
    ['rsa', [14, 'sha256'], [14, 'sha512'], [1, 'sha1']],
    ['p256', [14, 'sha256'], [14, 'sha512'], [9, 'sha256']],
    ['p384', [14, 'sha384'], [14, 'sha512'], [10, 'sha384']],
    ['p521', [14, 'sha512'], [14, 'sha512'], [11, 'sha512']],
    ['ed25519', [14, ''], undefined, undefined],
    ['ed448', [14, ''], undefined, undefined],
  ] as const)(
    '%s: by its strength, by what the peer has, or by an older method',
    (name, all, one, older) => {
      const { privateKey } = KEYS[name];
      expect(choose(privateKey, ours)).toEqual(all);
      expect(choose(privateKey, [HASH.SHA2_512])).toEqual(one);
      expect(choose(privateKey, undefined)).toEqual(older);
      expect(choose(privateKey, [HASH.SHA1])).toEqual(older);
    },
  );
});

describe('the scheme for a peer that announces its methods (RFC 9593)', () => {
  const choose = (name: keyof typeof KEYS, methods: readonly Announcement[]) => {
    const knows = { hashes: [2, 3, 4, 5], methods };
    const scheme = chooseScheme(KEYS[name].privateKey, 'pss', knows)!;
    const { method, algorithm } = scheme;
    return method === 14 ? describeAlgorithm(algorithm) : method;
  };
  const pkcs1 = { type: 'rsa', hash: 'sha384', padding: 'pkcs1' } as const;

  it('is one of those, whichever we should prefer otherwise', () => {
    expect(choose('rsa', [{ method: 14, algorithm: pkcs1 }])).toBe(
      'RSASSA-PKCS1-v1_5 with SHA2_384',
    );
    // Never SHA-1 where there is a choice.
    expect(choose('rsa', [{ method: 9 }, { method: 1 }])).toBe('RSASSA-PSS with SHA2_256');
    expect(choose('p256', [{ method: 9 }, { method: 10 }])).toBe(9);
    expect(choose('p256', [{ method: 14, algorithm: { type: 'ecdsa', hash: 'sha512' } }])).toBe(
      'ECDSA with SHA2_512',
    );
  });

  it('is the one that we prefer among several, and where none is of use', () => {
    const both = [{ method: 1 }, { method: 14, algorithm: pkcs1 }, { method: 2 }];
    expect(choose('rsa', both)).toBe('RSASSA-PKCS1-v1_5 with SHA2_384');
    expect(choose('rsa', [{ method: 2 }])).toBe('RSASSA-PSS with SHA2_256');
    expect(choose('ed25519', both)).toBe('Ed25519');
  });
});

describe('AUTH by a signature', () => {
  const octets = hex('00112233');

  it('does not verify where key, method, octets or signature are others', () => {
    const names = Object.keys(KEYS) as (keyof typeof KEYS)[];
    for (const signer of names) {
      for (const hashes of [[2, 3, 4, 5], undefined]) {
        const knows = { hashes, methods: undefined };
        const scheme = chooseScheme(KEYS[signer].privateKey, 'pkcs1', knows);
        if (scheme === undefined) continue;
        const data = signAuth(KEYS[signer].privateKey, scheme, octets);
        for (const other of names) {
          const refusal = refuseAuth(KEYS[other].publicKey, scheme.method, data, octets);
          expect(refusal === undefined).toBe(other === signer);
        }
        const { publicKey } = KEYS[signer];
        expect(refuseAuth(publicKey, scheme.method, data, hex('00112234'))).toContain('not verify');
        data[data.length - 1]! ^= 1;
        expect(refuseAuth(publicKey, scheme.method, data, octets)).toContain('does not verify');
      }
    }
  });

  it('of method 1 may be made with any SHA-2 too (RFC 7296 §3.8)', () => {
    const { privateKey, publicKey } = KEYS.rsa;
    for (const hash of ['sha1', 'sha256', 'sha384', 'sha512'] as const) {
      const algorithm = { type: 'rsa', hash, padding: 'pkcs1' } as const;
      const data = signAuth(privateKey, { method: 1, algorithm }, octets);
      expect(refuseAuth(publicKey, 1, data, octets)).toBeUndefined();
    }
  });

  it.each([
    ['RSA of 1024 bits', () => rsa(1024).publicKey, 'too short'],
    ['RSA with the exponent 3', () => rsa(2048, 3).publicKey, 'the exponent 3'],
    ['a curve of another kind', () => ec('secp256k1').publicKey, 'not on P-256'],
    ['a key that cannot sign', () => generateKeyPairSync('x25519').publicKey, 'is not RSA'],
  ])('is refused with %s', (_, make, reason) => {
    expect(refuseAuth(make(), 14, Uint8Array.of(0), octets)).toContain(reason);
  });

  it('never throws, whatever a peer sends', () => {
    const { publicKey } = KEYS.p256;
    for (const method of [0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 255]) {
      for (const length of [0, 1, 2, 63, 64, 65, 5000]) {
        const data = new Uint8Array(length).fill(0x30);
        expect(typeof refuseAuth(publicKey, method, data, octets)).toBe('string');
      }
    }
  });

  it('prints nothing of a private key', () => {
    const pem = KEYS.p256.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    const key = createPrivateKey(pem);
    expect(JSON.stringify({ key })).toBe('{"key":{}}');
    expect(String(key)).toBe('[object KeyObject]');
  });
});
