/**
 * The algorithms that a proposal may name: the words of configuration (strongSwan's, where it has
 * them) and the transform IDs of the IANA registries.
 *
 * Left out is what RFC 8221 and RFC 8247 say must not be used, and what we do not have. ESP has
 * what the dataplane can do.
 */
import {
  ENCR,
  INTEG,
  KEY_EXCHANGE,
  nameOf,
  PRF,
  type Registry,
  SEQUENCE_NUMBERS,
  TRANSFORM,
} from '../wire/index.js';

/** A transform ID of its IANA registry, with the key length attribute where it has one. */
export interface Algorithm {
  readonly id: number;
  readonly keyBits?: number;
}

/** What a word of a proposal stands for. */
export type Word =
  | { readonly part: 'encryption'; readonly algorithm: Algorithm; readonly aead: boolean }
  | { readonly part: 'integrity'; readonly algorithm: Algorithm; readonly prf: Algorithm }
  | { readonly part: 'prf' | 'keyExchange'; readonly algorithm: Algorithm }
  | { readonly part: 'esn'; readonly esn: boolean };

const encryption = (id: number, keyBits: number, aead: boolean): Word => ({
  part: 'encryption',
  algorithm: { id, keyBits },
  aead,
});
const group = (id: number): Word => ({ part: 'keyExchange', algorithm: { id } });
const prf = (id: number): Word => ({ part: 'prf', algorithm: { id } });
const integrity = (id: number, prfId: number): Word => ({
  part: 'integrity',
  algorithm: { id },
  prf: { id: prfId },
});

const GCM: Readonly<Record<string, Word>> = {
  aes128gcm16: encryption(ENCR.AES_GCM_16, 128, true),
  aes192gcm16: encryption(ENCR.AES_GCM_16, 192, true),
  aes256gcm16: encryption(ENCR.AES_GCM_16, 256, true),
};

const GROUPS: Readonly<Record<string, Word>> = {
  x25519: group(KEY_EXCHANGE.CURVE25519),
  curve25519: group(KEY_EXCHANGE.CURVE25519),
  ecp256: group(KEY_EXCHANGE.ECP_256),
  ecp384: group(KEY_EXCHANGE.ECP_384),
  ecp521: group(KEY_EXCHANGE.ECP_521),
  modp2048: group(KEY_EXCHANGE.MODP_2048),
  modp3072: group(KEY_EXCHANGE.MODP_3072),
  modp4096: group(KEY_EXCHANGE.MODP_4096),
};

export const WORDS: Readonly<Record<'ike' | 'esp', Readonly<Record<string, Word>>>> = {
  ike: {
    ...GCM,
    aes128: encryption(ENCR.AES_CBC, 128, false),
    aes192: encryption(ENCR.AES_CBC, 192, false),
    aes256: encryption(ENCR.AES_CBC, 256, false),
    sha256: integrity(INTEG.HMAC_SHA2_256_128, PRF.PRF_HMAC_SHA2_256),
    sha384: integrity(INTEG.HMAC_SHA2_384_192, PRF.PRF_HMAC_SHA2_384),
    sha512: integrity(INTEG.HMAC_SHA2_512_256, PRF.PRF_HMAC_SHA2_512),
    prfsha256: prf(PRF.PRF_HMAC_SHA2_256),
    prfsha384: prf(PRF.PRF_HMAC_SHA2_384),
    prfsha512: prf(PRF.PRF_HMAC_SHA2_512),
    ...GROUPS,
  },
  esp: {
    ...GCM,
    ...GROUPS,
    esn: { part: 'esn', esn: true },
    noesn: { part: 'esn', esn: false },
  },
};

const REGISTRIES: Readonly<Record<number, Registry>> = {
  [TRANSFORM.ENCR]: ENCR,
  [TRANSFORM.PRF]: PRF,
  [TRANSFORM.INTEG]: INTEG,
  [TRANSFORM.KE]: KEY_EXCHANGE,
  [TRANSFORM.SN]: SEQUENCE_NUMBERS,
};

/** Such as `AES_GCM_16_128`; a number where the registry has no name. */
export function algorithmName(transformType: number, { id, keyBits }: Algorithm): string {
  const name = nameOf(REGISTRIES[transformType] ?? {}, id);
  return keyBits === undefined ? name : `${name}_${keyBits}`;
}

/** AEADs bring their own integrity and stand in proposals of their own (RFC 7296 §3.3). */
export function isAead(id: number): boolean {
  const { AES_CCM_8, AES_CCM_12, AES_CCM_16, AES_GCM_8, AES_GCM_12, AES_GCM_16 } = ENCR;
  const aeads: readonly number[] = [
    ...[AES_CCM_8, AES_CCM_12, AES_CCM_16, AES_GCM_8, AES_GCM_12, AES_GCM_16],
    ...[ENCR.CHACHA20_POLY1305, ENCR.NULL_AUTH_AES_GMAC],
  ];
  return aeads.includes(id);
}

export function sameAlgorithm(a: Algorithm, b: Algorithm): boolean {
  return a.id === b.id && a.keyBits === b.keyBits;
}
