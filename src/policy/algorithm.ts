/**
 * The algorithms that a proposal may name: the words of configuration (strongSwan's, where it has
 * them) and the transform IDs of the IANA registries. ESP and AH have what the dataplane can do.
 *
 * Left out is what RFC 8221 and RFC 8247 say must not be used: DES, 3DES and other old ciphers,
 * HMAC-MD5, small MODP groups; and encryption without integrity.
 */
import {
  ENCR,
  INTEG,
  KEY_EXCHANGE,
  nameOf,
  PRF,
  PROTOCOL,
  TRANSFORM,
  TRANSFORM_IDS,
} from '../wire/index.js';

/** A transform ID of its IANA registry, with the key length attribute where it has one. */
export interface Algorithm {
  readonly id: number;
  readonly keyBits?: number;
}

/** What is proposed: an IKE SA, or one of the two kinds of Child SA. */
export type Protocol = 'ike' | 'esp' | 'ah';

/** Security Protocol Identifiers (RFC 7296 §3.3.1). */
export const PROTOCOL_ID = { ike: PROTOCOL.IKE, esp: PROTOCOL.ESP, ah: PROTOCOL.AH } as const;

/** What a word of a proposal stands for. */
export type Word =
  | { readonly part: 'encryption'; readonly algorithm: Algorithm; readonly aead: boolean }
  /** `prf`: what it brings with it for an IKE SA. */
  | { readonly part: 'integrity'; readonly algorithm: Algorithm; readonly prf?: Algorithm }
  | { readonly part: 'prf' | 'keyExchange'; readonly algorithm: Algorithm }
  /** Of the further key exchanges the one with this number, from 1 to 7 (RFC 9370). */
  | { readonly part: 'additional'; readonly number: number; readonly algorithm: Algorithm }
  | { readonly part: 'esn'; readonly esn: boolean };

type Words = Readonly<Record<string, Word>>;

const AES_KEY_BITS = [128, 192, 256];

/** `aes128<suffix>` and with longer keys. */
function aes(suffix: string, id: number, aead: boolean): Words {
  return Object.fromEntries(
    AES_KEY_BITS.map((keyBits) => [
      `aes${keyBits}${suffix}`,
      { part: 'encryption', algorithm: { id, keyBits }, aead },
    ]),
  );
}

const aead = (id: number): Word => ({ part: 'encryption', algorithm: { id }, aead: true });
const group = (id: number): Word => ({ part: 'keyExchange', algorithm: { id } });
const prf = (id: number): Word => ({ part: 'prf', algorithm: { id } });
const integrity = (id: number, prfId: number): Word => ({
  part: 'integrity',
  algorithm: { id },
  prf: { id: prfId },
});

/** RFC 8247 §2.1 prefers ICVs of 16 octets. */
const AEADS: Words = {
  ...aes('gcm16', ENCR.AES_GCM_16, true),
  ...aes('gcm12', ENCR.AES_GCM_12, true),
  ...aes('gcm8', ENCR.AES_GCM_8, true),
  chacha20poly1305: aead(ENCR.CHACHA20_POLY1305),
  ...aes('ccm16', ENCR.AES_CCM_16, true),
  ...aes('ccm12', ENCR.AES_CCM_12, true),
  ...aes('ccm8', ENCR.AES_CCM_8, true),
};

/** Of ESP alone: GMAC encrypts nothing (RFC 4543); the others send no IV (RFC 8750). */
const ESP_AEADS: Words = {
  ...aes('gmac', ENCR.NULL_AUTH_AES_GMAC, true),
  ...aes('gcm16iiv', ENCR.AES_GCM_16_IIV, true),
  ...aes('ccm8iiv', ENCR.AES_CCM_8_IIV, true),
  chacha20poly1305iiv: aead(ENCR.CHACHA20_POLY1305_IIV),
};

const CIPHERS: Words = {
  ...aes('', ENCR.AES_CBC, false),
  ...aes('ctr', ENCR.AES_CTR, false),
};

const MACS: Words = {
  sha256: integrity(INTEG.HMAC_SHA2_256_128, PRF.PRF_HMAC_SHA2_256),
  sha384: integrity(INTEG.HMAC_SHA2_384_192, PRF.PRF_HMAC_SHA2_384),
  sha512: integrity(INTEG.HMAC_SHA2_512_256, PRF.PRF_HMAC_SHA2_512),
  sha1: integrity(INTEG.HMAC_SHA1_96, PRF.PRF_HMAC_SHA1),
  aesxcbc: integrity(INTEG.AES_XCBC_96, PRF.PRF_AES128_XCBC),
  aescmac: integrity(INTEG.AES_CMAC_96, PRF.PRF_AES128_CMAC),
};

/** AH's GMAC is an integrity algorithm for each length of key (RFC 4543). */
const AH_GMAC: Words = {
  aes128gmac: { part: 'integrity', algorithm: { id: INTEG.AES_128_GMAC } },
  aes192gmac: { part: 'integrity', algorithm: { id: INTEG.AES_192_GMAC } },
  aes256gmac: { part: 'integrity', algorithm: { id: INTEG.AES_256_GMAC } },
};

const PRFS: Words = {
  prfsha256: prf(PRF.PRF_HMAC_SHA2_256),
  prfsha384: prf(PRF.PRF_HMAC_SHA2_384),
  prfsha512: prf(PRF.PRF_HMAC_SHA2_512),
  prfsha1: prf(PRF.PRF_HMAC_SHA1),
  prfaesxcbc: prf(PRF.PRF_AES128_XCBC),
  prfaescmac: prf(PRF.PRF_AES128_CMAC),
};

const GROUPS: Words = {
  x25519: group(KEY_EXCHANGE.CURVE25519),
  curve25519: group(KEY_EXCHANGE.CURVE25519),
  x448: group(KEY_EXCHANGE.CURVE448),
  curve448: group(KEY_EXCHANGE.CURVE448),
  ecp256: group(KEY_EXCHANGE.ECP_256),
  ecp384: group(KEY_EXCHANGE.ECP_384),
  ecp521: group(KEY_EXCHANGE.ECP_521),
  ecp256bp: group(KEY_EXCHANGE.BRAINPOOL_P256R1),
  ecp384bp: group(KEY_EXCHANGE.BRAINPOOL_P384R1),
  ecp512bp: group(KEY_EXCHANGE.BRAINPOOL_P512R1),
  modp2048: group(KEY_EXCHANGE.MODP_2048),
  modp3072: group(KEY_EXCHANGE.MODP_3072),
  modp4096: group(KEY_EXCHANGE.MODP_4096),
  modp6144: group(KEY_EXCHANGE.MODP_6144),
  modp8192: group(KEY_EXCHANGE.MODP_8192),
};

const SEQUENCES: Words = {
  esn: { part: 'esn', esn: true },
  noesn: { part: 'esn', esn: false },
};

const NULL_CIPHER: Words = {
  null: { part: 'encryption', algorithm: { id: ENCR.NULL }, aead: false },
};

export const WORDS: Readonly<Record<Protocol, Words>> = {
  ike: { ...AEADS, ...CIPHERS, ...MACS, ...PRFS, ...GROUPS },
  esp: { ...AEADS, ...ESP_AEADS, ...CIPHERS, ...NULL_CIPHER, ...MACS, ...GROUPS, ...SEQUENCES },
  ah: { ...MACS, ...AH_GMAC, ...GROUPS, ...SEQUENCES },
};

/** ML-KEM comes after a first key exchange: in IKE_SA_INIT it would be too long for a datagram. */
const ADDITIONAL: Readonly<Record<string, Algorithm>> = {
  ...Object.fromEntries(
    Object.entries(GROUPS).flatMap(([name, word]) =>
      word.part === 'keyExchange' ? [[name, word.algorithm] as const] : [],
    ),
  ),
  mlkem512: { id: KEY_EXCHANGE.ML_KEM_512 },
  mlkem768: { id: KEY_EXCHANGE.ML_KEM_768 },
  mlkem1024: { id: KEY_EXCHANGE.ML_KEM_1024 },
  none: { id: KEY_EXCHANGE.NONE },
};

/**
 * The words of additional key exchanges, such as `ke1_mlkem768`, or `ke1_none` where it may be left
 * out (RFC 9370 §2.2.1).
 */
export const ADDITIONAL_WORDS: Words = Object.fromEntries(
  [1, 2, 3, 4, 5, 6, 7].flatMap((number) =>
    Object.entries(ADDITIONAL).map(([name, algorithm]) => {
      const word: Word = { part: 'additional', number, algorithm };
      return [`ke${number}_${name}`, word] as const;
    }),
  ),
);

/** The transform types of the additional key exchanges, in order. */
export const ADDKE = [
  ...[TRANSFORM.ADDKE1, TRANSFORM.ADDKE2, TRANSFORM.ADDKE3, TRANSFORM.ADDKE4],
  ...[TRANSFORM.ADDKE5, TRANSFORM.ADDKE6, TRANSFORM.ADDKE7],
] as const;

/** Such as `AES_GCM_16_128` or `KE1_ML_KEM_768`; a number where the registry has no name. */
export function algorithmName(transformType: number, { id, keyBits }: Algorithm): string {
  const name = nameOf(TRANSFORM_IDS[transformType] ?? {}, id);
  const number = (ADDKE as readonly number[]).indexOf(transformType) + 1;
  if (number > 0) return `KE${number}_${name}`;
  return keyBits === undefined ? name : `${name}_${keyBits}`;
}

export function sameAlgorithm(a: Algorithm, b: Algorithm): boolean {
  return a.id === b.id && a.keyBits === b.keyBits;
}
