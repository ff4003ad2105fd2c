/**
 * The keys of an IKE SA, of one that is rekeyed, and of Child SAs (RFC 7296 §2.14, §2.17, §2.18), from
 * one key exchange or several (RFC 9370 §2.2.2, §2.2.4), and with a PPK (RFC 8784).
 */
import { type IkeSpi, ikeSpiBytes } from '../wire/index.js';
import { concat } from './concat.js';
import type { SkKeys, SkSuite } from './encrypt.js';
import { isKeyedByAes, type Prf, prf, prfPlus } from './prf.js';
import { Secret } from './secret.js';

/** The keys of an IKE SA, by their names in §2.14. */
export interface IkeKeys {
  readonly skD: Secret;
  /** SK_ei and SK_ai, SK_er and SK_ar. */
  readonly initiator: SkKeys;
  readonly responder: SkKeys;
  readonly skPi: Secret;
  readonly skPr: Secret;
}

/**
 * SKEYSEED = prf(Ni | Nr, g^ir). A PRF that is keyed by AES takes the first 64 bits of each nonce
 * (§2.14), the others nonces of any length.
 */
export function skeyseed(
  algorithm: Prf,
  ni: Uint8Array,
  nr: Uint8Array,
  sharedSecret: Secret,
): Secret {
  const most = isKeyedByAes(algorithm) ? algorithm.length / 2 : undefined;
  const key = concat(ni.subarray(0, most), nr.subarray(0, most));
  return new Secret(prf(algorithm, key, sharedSecret.bytes), 'taken');
}

/**
 * SKEYSEED of an IKE SA that replaces another = prf(SK_d (old), g^ir (new) | Ni | Nr), with the
 * PRF of the old one (§2.18); and SKEYSEED(n) of a further key exchange (RFC 9370 §2.2.2).
 * @param further  secrets of the key exchanges that follow the first one (RFC 9370 §2.2.4)
 */
export function rekeyedSkeyseed(
  oldAlgorithm: Prf,
  oldSkD: Secret,
  sharedSecret: Secret,
  ni: Uint8Array,
  nr: Uint8Array,
  further: readonly Secret[] = [],
): Secret {
  const more = further.map(({ bytes }) => bytes);
  const seed = prf(oldAlgorithm, oldSkD.bytes, sharedSecret.bytes, ni, nr, ...more);
  return new Secret(seed, 'taken');
}

/** {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr). */
export function deriveIkeKeys(
  algorithm: Prf,
  suite: SkSuite,
  seed: {
    readonly skeyseed: Secret;
    readonly ni: Uint8Array;
    readonly nr: Uint8Array;
    readonly initiatorSpi: IkeSpi;
    readonly responderSpi: IkeSpi;
  },
): IkeKeys {
  const encryption = suite.keyLength + suite.saltLength;
  const integrity = suite.integrity?.keyLength ?? 0;
  const { length } = algorithm;
  const lengths = [length, integrity, integrity, encryption, encryption, length, length];
  const keymat = prfPlus(
    algorithm,
    seed.skeyseed.bytes,
    lengths.reduce((sum, part) => sum + part, 0),
    seed.ni,
    seed.nr,
    ikeSpiBytes(seed.initiatorSpi),
    ikeSpiBytes(seed.responderSpi),
  );
  const [skD, skAi, skAr, skEi, skEr, skPi, skPr] = keymat.cut(lengths) as [
    Secret,
    Secret,
    Secret,
    Secret,
    Secret,
    Secret,
    Secret,
  ];
  const withIntegrity = integrity > 0;
  return {
    skD,
    initiator: { encryption: skEi, integrity: withIntegrity ? skAi : undefined },
    responder: { encryption: skEr, integrity: withIntegrity ? skAr : undefined },
    skPi,
    skPr,
  };
}

/** The keys of an IKE SA that AUTH and Child SAs come from. */
export type RootKeys = Pick<IkeKeys, 'skD' | 'skPi' | 'skPr'>;

/** SK_d = prf+ (PPK, SK_d'), and SK_pi and SK_pr likewise (RFC 8784 §3). */
export function mixPpk(algorithm: Prf, ppk: Secret, { skD, skPi, skPr }: RootKeys): RootKeys {
  const mix = ({ bytes }: Secret) => prfPlus(algorithm, ppk.bytes, bytes.length, bytes);
  return { skD: mix(skD), skPi: mix(skPi), skPr: mix(skPr) };
}

export function wipeRootKeys({ skD, skPi, skPr }: RootKeys): void {
  for (const secret of [skD, skPi, skPr]) secret.wipe();
}

/** The keys of one Child SA pair, each encryption key | salt | integrity key (§2.17). */
export interface ChildKeys {
  /** Protects what the initiator of the exchange sends. */
  readonly initiator: Secret;
  readonly responder: Secret;
}

/**
 * KEYMAT = prf+(SK_d, g^ir (new) | Ni | Nr | SK(1) | ...), in the order of §2.17 and RFC 9370
 * §2.2.4: the SA from initiator to responder first, for each the encryption key before the integrity
 * key.
 * @param keyLength  octets of encryption key, salt and integrity key together
 * @param secrets    g^ir of the Child SA's own key exchange, where it has one, and of further ones
 */
export function deriveChildKeys(
  algorithm: Prf,
  skD: Secret,
  ni: Uint8Array,
  nr: Uint8Array,
  keyLength: number,
  secrets: readonly Secret[] = [],
): ChildKeys {
  const [first, ...further] = secrets.map(({ bytes }) => bytes);
  const seed = [...(first === undefined ? [] : [first]), ni, nr, ...further];
  const keymat = prfPlus(algorithm, skD.bytes, 2 * keyLength, ...seed);
  const [initiator, responder] = keymat.cut([keyLength, keyLength]) as [Secret, Secret];
  return { initiator, responder };
}

export function wipeIkeKeys(keys: IkeKeys): void {
  for (const secret of [keys.skD, keys.skPi, keys.skPr]) secret.wipe();
  for (const { encryption, integrity } of [keys.initiator, keys.responder]) {
    encryption.wipe();
    integrity?.wipe();
  }
}
