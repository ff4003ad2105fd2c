/**
 * Published vectors of every algorithm of ESP and AH on every engine that this CPU can run:
 * Wycheproof, NIST and the RFCs. Equality of the engines on other lengths, batches and alignments
 * is native/test/crypto; AES-GCM-16 is gcm.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { addon } from '../../../src/dataplane/addon.js';
import type { CryptoSuite } from '../../../src/dataplane/bindings/crypto.js';
import { hex, readVectors, readWycheproof, toHex, type WycheproofGroup } from './vectors.js';

/** All in hexadecimal, empty where left out. */
interface Vector {
  readonly name: string;
  readonly suite: string;
  readonly key?: string;
  readonly integrityKey?: string;
  readonly nonce?: string;
  readonly aad?: string;
  readonly text?: string;
  /** Undefined where it is not known: with a MAC of our choice. */
  readonly icv?: string;
  readonly sealed?: string;
  /** False where the ICV must be refused. */
  readonly valid: boolean;
}

const suites = new Map(addon.cryptoSuites().map((suite) => [suite.name, suite]));

function suiteOf(name: string): CryptoSuite {
  const suite = suites.get(name);
  if (suite === undefined) throw new Error(`no suite ${name}`);
  return suite;
}

/** What went wrong, or undefined. */
function problem(v: Vector, engine: string): string | undefined {
  const suite = suiteOf(v.suite);
  const operation = {
    suite: v.suite,
    engine,
    encryptionKey: hex(v.key ?? ''),
    integrityKey: hex(v.integrityKey ?? '00'.repeat(suite.integrityKeyBytes)),
    nonce: hex(v.nonce ?? '00'.repeat(suite.nonceBytes)),
    aad: hex(v.aad ?? ''),
    text: hex(v.text ?? ''),
  };
  if (!v.valid) {
    const opened = addon.suiteOpen({
      ...operation,
      text: hex(v.sealed ?? ''),
      icv: hex(v.icv ?? ''),
    });
    return opened === null ? undefined : 'accepted';
  }
  const { text, icv } = addon.suiteSeal(operation);
  if (v.sealed !== undefined && toHex(text) !== v.sealed) return `sealed to ${toHex(text)}`;
  if (v.icv !== undefined && toHex(icv) !== v.icv) return `ICV ${toHex(icv)}`;
  const opened = addon.suiteOpen({ ...operation, text, icv });
  return opened !== null && toHex(opened) === (v.text ?? '') ? undefined : 'not opened again';
}

/** The tests of a Wycheproof file whose group `use` says yes to. */
function wycheproof(
  name: string,
  use: (group: WycheproofGroup) => boolean,
  toVector: (t: Record<string, string>, group: WycheproofGroup) => Omit<Vector, 'name' | 'valid'>,
): Vector[] {
  const vectors: Vector[] = [];
  for (const group of readWycheproof(name).filter(use)) {
    for (const test of group.tests) {
      if (test.result === 'acceptable') throw new Error(`${name} ${test.tcId}: neither way`);
      const t = test as unknown as Record<string, string>;
      vectors.push({
        name: `${name} tcId ${test.tcId} ${test.comment}`,
        valid: test.result === 'valid',
        ...toVector(t, group),
      });
    }
  }
  return vectors;
}

const aead = (t: Record<string, string>) => ({
  key: t.key!,
  nonce: t.iv!,
  aad: t.aad!,
  text: t.msg!,
  sealed: t.ct!,
  icv: t.tag!,
});

function ccm(): Vector[] {
  return wycheproof(
    'aes_ccm_test',
    ({ ivSize, tagSize }) => ivSize === 88 && tagSize === 128, // RFC 4309 §4
    (t, { keySize }) => ({ suite: `AES-CCM-16-${keySize}`, ...aead(t) }),
  );
}

function chacha(): Vector[] {
  return wycheproof(
    'chacha20_poly1305_test',
    ({ ivSize }) => ivSize === 96,
    (t) => ({ suite: 'ChaCha20-Poly1305', ...aead(t) }),
  );
}

function gmac(): Vector[] {
  return wycheproof(
    'aes_gmac_test',
    ({ ivSize, tagSize }) => ivSize === 96 && tagSize === 128,
    (t, { keySize }) => ({
      suite: `AES-GMAC-${keySize}`,
      key: t.key!,
      nonce: t.iv!,
      aad: t.msg!,
      icv: t.tag!,
    }),
  );
}

/** A shorter ICV of AES-GCM is the beginning of the long one (SP 800-38D §7.1). */
function shortGcm(): Vector[] {
  return [8, 12].flatMap((bytes) =>
    wycheproof(
      'aes_gcm_test',
      ({ ivSize, tagSize }) => ivSize === 96 && tagSize === 128,
      (t, { keySize }) => ({
        suite: `AES-GCM-${bytes}-${keySize}`,
        ...aead(t),
        icv: t.tag!.slice(0, 2 * bytes),
      }),
    ).filter((v) => v.valid),
  );
}

/** What a MAC covers before the text, where a vector has nothing to say about it. */
const SOME_HEADER = '0102030405060708';

/** The padding of PKCS #5 is text to ESP, whose own is inside of it (RFC 3602 §2.4). */
function cbc(): Vector[] {
  const vectors = wycheproof(
    'aes_cbc_pkcs5_test',
    () => true,
    (t, { keySize }) => {
      const padding = 16 - ((t.msg!.length / 2) % 16);
      return {
        suite: `AES-CBC-${keySize}/HMAC-SHA1-96`,
        key: t.key!,
        nonce: t.iv!,
        aad: SOME_HEADER,
        text: t.msg! + padding.toString(16).padStart(2, '0').repeat(padding),
        sealed: t.ct!,
      };
    },
  ).filter((v) => v.valid);
  for (const bits of [128, 256]) {
    const file = readVectors(`nist/ciphers_AES_CBC_CBCMMT${bits}.rsp`).split('[DECRYPT]')[0]!;
    vectors.push(...cipherVectors(file, `CBCMMT${bits}`, `AES-CBC-${bits}/HMAC-SHA2-256-128`));
  }
  return vectors;
}

function ctr(): Vector[] {
  return [128, 256].flatMap((bits) =>
    cipherVectors(
      readVectors(`nist/aes-${bits}-ctr.txt`),
      `RFC 3686, ${bits} bits`,
      `AES-CTR-${bits}/HMAC-SHA1-96`,
    ),
  );
}

function cipherVectors(file: string, source: string, suite: string): Vector[] {
  const value = (block: string, name: string) =>
    new RegExp(`^${name} = ([0-9a-fA-F]+)`, 'm').exec(block)?.[1]?.toLowerCase() ?? '';
  return file
    .split('COUNT = ')
    .slice(1)
    .map((block) => ({
      name: `${source}, count ${Number.parseInt(block, 10)}`,
      suite,
      key: value(block, 'KEY'),
      nonce: value(block, 'IV'),
      aad: SOME_HEADER,
      text: value(block, 'PLAINTEXT'),
      sealed: value(block, 'CIPHERTEXT'),
      valid: true,
    }));
}

/**
 * Tags cut to the ICV's length, where that does not cut off what is wrong with them. Left out is the
 * empty message: ESP and AH have a header to authenticate.
 */
function mac(name: string, suite: string): Vector[] {
  const { integrityKeyBytes, icvBytes } = suiteOf(suite);
  const isWrongBehind = (v: Vector) =>
    !v.valid && Number(/Flipped bit (\d+) in tag/.exec(v.name)?.[1] ?? 0) >= icvBytes * 8;
  return wycheproof(
    name,
    ({ keySize, tagSize }) =>
      keySize === integrityKeyBytes * 8 && (tagSize as number) >= icvBytes * 8,
    (t) => ({ suite, integrityKey: t.key!, aad: t.msg!, icv: t.tag!.slice(0, 2 * icvBytes) }),
  ).filter((v) => v.aad !== '' && !isWrongBehind(v));
}

/** RFC 3566 §4.6, without the empty message: ESP and AH have a header to authenticate. */
function xcbc(): Vector[] {
  const counting = (bytes: number) => toHex(Uint8Array.from({ length: bytes }, (_, i) => i));
  const macs: [message: string, mac: string][] = [
    [counting(3), '5b376580ae2f19afe7219ceef172756f'],
    [counting(16), 'd2a246fa349b68a79998a4394ff7a263'],
    [counting(20), '47f51b4564966215b8985c63055ed308'],
    [counting(32), 'f54f0ec8d2b9f3d36807734bd5283fd4'],
    [counting(34), 'becbb3bccdb518a30677d5481fb6b4d8'],
    ['00'.repeat(1000), 'f0dafee895db30253761103b5d84528f'],
  ];
  return macs.map(([aad, full], i) => ({
    name: `RFC 3566 test case ${i + 2}`,
    suite: 'AES-XCBC-96',
    integrityKey: counting(16),
    aad,
    icv: full.slice(0, 24),
    valid: true,
  }));
}

interface EspVector {
  readonly source: string;
  readonly alg: string;
  readonly key: string;
  readonly salt: string;
  readonly iv: string;
  readonly aad: string;
  readonly plaintext: string;
  readonly ciphertext: string;
  readonly icv: string;
}

/** Whole packets: RFC 7634 appendix A, draft-mcgrew-gcm-test. */
function espPackets(): Vector[] {
  const { tests } = JSON.parse(readVectors('rfc/esp-kat.json')) as { tests: readonly EspVector[] };
  return tests
    .filter(({ alg }) => alg === 'rfc4106' || alg === 'rfc7634')
    .map((t, i) => ({
      name: `${t.source}, packet ${i + 1}`,
      suite: t.alg === 'rfc7634' ? 'ChaCha20-Poly1305' : `AES-GCM-16-${t.key.length * 4}`,
      key: t.key,
      nonce: t.salt + t.iv,
      aad: t.aad,
      text: t.plaintext,
      sealed: t.ciphertext,
      icv: t.icv,
      valid: true,
    }));
}

const sets: [name: string, least: number, vectors: () => Vector[]][] = [
  ['AES-CCM', 18, ccm],
  ['ChaCha20-Poly1305', 316, chacha],
  ['AES-GMAC', 207, gmac],
  ['AES-GCM with ICVs of 8 and 12 bytes', 232, shortGcm],
  ['AES-CBC', 92, cbc],
  ['AES-CTR', 6, ctr],
  ['HMAC-SHA1-96', 46, () => mac('hmac_sha1_test', 'HMAC-SHA1-96')],
  ['HMAC-SHA2-256-128', 102, () => mac('hmac_sha256_test', 'HMAC-SHA2-256-128')],
  ['HMAC-SHA2-384-192', 102, () => mac('hmac_sha384_test', 'HMAC-SHA2-384-192')],
  ['HMAC-SHA2-512-256', 102, () => mac('hmac_sha512_test', 'HMAC-SHA2-512-256')],
  ['AES-CMAC-96', 60, () => mac('aes_cmac_test', 'AES-CMAC-96')],
  ['AES-XCBC-96', 6, xcbc],
  ['packets of ESP', 15, espPackets],
];

describe.each(sets)('%s', (name, least, makeVectors) => {
  const vectors = makeVectors();
  const engines = new Set(vectors.flatMap((v) => suiteOf(v.suite).engines));

  it.each([...engines])('agrees with the published vectors on %s', (engine) => {
    const mine = vectors.filter((v) => suiteOf(v.suite).engines.includes(engine));
    console.log(`${name}: ${mine.length} cases on ${engine}`);
    expect(vectors.length).toBeGreaterThanOrEqual(least);
    expect(mine.length).toBeGreaterThan(0);
    const problems = mine.map((v) => [v.name, problem(v, engine)]).filter(([, p]) => p);
    expect(problems).toEqual([]);
  });
});

describe('suites and their engines', () => {
  it('has libcrypto and a plain reference for each', () => {
    for (const suite of suites.values()) {
      expect([...suite.engines], suite.name).toEqual(
        expect.arrayContaining(['openssl', 'reference']),
      );
    }
  });

  it('chooses the fastest and remembers why', () => {
    const choice = addon.chooseEngine({ suite: 'AES-CBC-128/HMAC-SHA2-256-128' });
    const [cipher, mac] = [choice.ciphers[0]!, choice.macs[0]!];
    expect(choice.engine).toBe(
      cipher.name === mac.name ? cipher.name : `${cipher.name}+${mac.name}`,
    );
    expect(choice.nanosecondsPerByte).toBeCloseTo(
      cipher.nanosecondsPerByte + mac.nanosecondsPerByte,
    );
    expect(addon.engineChoices()).toContainEqual(choice);
  });

  it('refuses what does not fit the suite, by the name of the field', () => {
    const operation = {
      suite: 'AES-CBC-128/HMAC-SHA1-96',
      engine: 'openssl',
      encryptionKey: new Uint8Array(16),
      integrityKey: new Uint8Array(20),
      nonce: new Uint8Array(16),
      aad: new Uint8Array(24),
      text: new Uint8Array(32),
    };
    const sealing = (change: Partial<typeof operation>) => () =>
      addon.suiteSeal({ ...operation, ...change });
    expect(sealing({})).not.toThrow();
    expect(sealing({ suite: 'NULL' })).toThrow(/suite: expected the name of a suite/);
    expect(sealing({ engine: 'abacus' })).toThrow(/engine/);
    expect(sealing({ encryptionKey: new Uint8Array(24) })).toThrow(/encryptionKey.*16 bytes/);
    expect(sealing({ nonce: new Uint8Array(12) })).toThrow(/nonce.*16 bytes/);
    expect(sealing({ text: new Uint8Array(20) })).toThrow(/text.*whole blocks/);
  });

  it('leaves the caller’s text alone', () => {
    const text = new Uint8Array(32);
    const sealed = addon.suiteSeal({
      suite: 'AES-GCM-16-128',
      engine: 'reference',
      encryptionKey: new Uint8Array(16),
      integrityKey: new Uint8Array(0),
      nonce: new Uint8Array(12),
      aad: new Uint8Array(8),
      text,
    });
    expect(sealed.text).not.toEqual(text);
    expect(text).toEqual(new Uint8Array(32));
  });
});
