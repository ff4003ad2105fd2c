/**
 * Transform types, the transform IDs of each, and transform attributes (RFC 7296 §3.3.2, §3.3.5).
 * RFC 8221 and RFC 8247 say which of these may be used; that is policy and not kept here.
 */
import type { Registry } from './registry.js';

/** Transform Type Values. Type 5 was called ESN before RFC 9827. */
export const TRANSFORM = {
  ENCR: 1,
  PRF: 2,
  INTEG: 3,
  KE: 4,
  SN: 5,
  ADDKE1: 6, // RFC 9370, as are the next six
  ADDKE2: 7,
  ADDKE3: 8,
  ADDKE4: 9,
  ADDKE5: 10,
  ADDKE6: 11,
  ADDKE7: 12,
  KWA: 13, // RFC 9838
  GCAUTH: 14, // RFC 9838
} as const satisfies Registry;

/** Transform Type 1: encryption algorithms. */
export const ENCR = {
  DES_IV64: 1,
  DES: 2,
  '3DES': 3,
  RC5: 4,
  IDEA: 5,
  CAST: 6,
  BLOWFISH: 7,
  '3IDEA': 8,
  DES_IV32: 9,
  NULL: 11, // RFC 2410
  AES_CBC: 12, // RFC 3602
  AES_CTR: 13, // RFC 5930
  AES_CCM_8: 14, // RFC 4309, RFC 5282
  AES_CCM_12: 15,
  AES_CCM_16: 16,
  AES_GCM_8: 18, // RFC 4106, RFC 5282
  AES_GCM_12: 19,
  AES_GCM_16: 20,
  NULL_AUTH_AES_GMAC: 21, // RFC 4543
  CAMELLIA_CBC: 23, // RFC 5529
  CAMELLIA_CTR: 24,
  CAMELLIA_CCM_8: 25,
  CAMELLIA_CCM_12: 26,
  CAMELLIA_CCM_16: 27,
  CHACHA20_POLY1305: 28, // RFC 7634
  AES_CCM_8_IIV: 29, // RFC 8750
  AES_GCM_16_IIV: 30,
  CHACHA20_POLY1305_IIV: 31,
  KUZNYECHIK_MGM_KTREE: 32, // RFC 9227
  MAGMA_MGM_KTREE: 33,
  KUZNYECHIK_MGM_MAC_KTREE: 34,
  MAGMA_MGM_MAC_KTREE: 35,
} as const satisfies Registry;

/** Transform Type 2: pseudorandom functions. The names keep their prefix, as people write them. */
export const PRF = {
  PRF_HMAC_MD5: 1,
  PRF_HMAC_SHA1: 2,
  PRF_HMAC_TIGER: 3,
  PRF_AES128_XCBC: 4, // RFC 4434
  PRF_HMAC_SHA2_256: 5, // RFC 4868
  PRF_HMAC_SHA2_384: 6,
  PRF_HMAC_SHA2_512: 7,
  PRF_AES128_CMAC: 8, // RFC 4615
  PRF_HMAC_STREEBOG_512: 9, // RFC 9385
} as const satisfies Registry;

/** Transform Type 3: integrity algorithms. */
export const INTEG = {
  NONE: 0,
  HMAC_MD5_96: 1, // RFC 2403
  HMAC_SHA1_96: 2, // RFC 2404
  DES_MAC: 3,
  KPDK_MD5: 4,
  AES_XCBC_96: 5, // RFC 3566
  HMAC_MD5_128: 6, // RFC 4595
  HMAC_SHA1_160: 7, // RFC 4595
  AES_CMAC_96: 8, // RFC 4494
  AES_128_GMAC: 9, // RFC 4543
  AES_192_GMAC: 10,
  AES_256_GMAC: 11,
  HMAC_SHA2_256_128: 12, // RFC 4868
  HMAC_SHA2_384_192: 13,
  HMAC_SHA2_512_256: 14,
} as const satisfies Registry;

/** Transform Type 4: key exchange methods, called Diffie-Hellman groups before RFC 9370. */
export const KEY_EXCHANGE = {
  NONE: 0,
  MODP_768: 1, // RFC 7296 App. B
  MODP_1024: 2, // RFC 7296 App. B
  MODP_1536: 5, // RFC 3526
  MODP_2048: 14,
  MODP_3072: 15,
  MODP_4096: 16,
  MODP_6144: 17,
  MODP_8192: 18,
  ECP_256: 19, // RFC 5903
  ECP_384: 20,
  ECP_521: 21,
  MODP_1024_160: 22, // RFC 5114
  MODP_2048_224: 23,
  MODP_2048_256: 24,
  ECP_192: 25,
  ECP_224: 26,
  BRAINPOOL_P224R1: 27, // RFC 6954
  BRAINPOOL_P256R1: 28,
  BRAINPOOL_P384R1: 29,
  BRAINPOOL_P512R1: 30,
  CURVE25519: 31, // RFC 8031
  CURVE448: 32,
  GOST3410_2012_256: 33, // RFC 9385
  GOST3410_2012_512: 34,
  ML_KEM_512: 35, // draft-ietf-ipsecme-ikev2-mlkem
  ML_KEM_768: 36,
  ML_KEM_1024: 37,
} as const satisfies Registry;

/** Transform Type 5: sequence numbers (RFC 7296 §3.3.2, renamed by RFC 9827). */
export const SEQUENCE_NUMBERS = {
  NO_ESN: 0,
  ESN: 1,
  UNSPECIFIED_32: 2, // RFC 9827
} as const satisfies Registry;

/** The registry in which the IDs of a transform type are found. */
export const TRANSFORM_IDS: Readonly<Record<number, Registry>> = {
  [TRANSFORM.ENCR]: ENCR,
  [TRANSFORM.PRF]: PRF,
  [TRANSFORM.INTEG]: INTEG,
  [TRANSFORM.KE]: KEY_EXCHANGE,
  [TRANSFORM.SN]: SEQUENCE_NUMBERS,
  [TRANSFORM.ADDKE1]: KEY_EXCHANGE,
  [TRANSFORM.ADDKE2]: KEY_EXCHANGE,
  [TRANSFORM.ADDKE3]: KEY_EXCHANGE,
  [TRANSFORM.ADDKE4]: KEY_EXCHANGE,
  [TRANSFORM.ADDKE5]: KEY_EXCHANGE,
  [TRANSFORM.ADDKE6]: KEY_EXCHANGE,
  [TRANSFORM.ADDKE7]: KEY_EXCHANGE,
};

/** IKEv2 Transform Attribute Types (RFC 7296 §3.3.5). Key Length is in bits. */
export const TRANSFORM_ATTRIBUTE = {
  KEY_LENGTH: 14,
} as const satisfies Registry;
