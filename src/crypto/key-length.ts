/**
 * What algorithms take from the keying material of an IKE SA or a Child SA, in octets
 * (RFC 7296 §2.13, §2.17): a cipher its key and the salt behind it, an integrity algorithm its key.
 */
import { ENCR, INTEG } from '../wire/index.js';

export interface CipherKey {
  readonly keyLength: number;
  readonly saltLength: number;
}

/** RFC 4106 §8.1, RFC 4543 §6, RFC 8750 §5; RFC 3686 §5.1; RFC 4309 §7.1. */
const AES_SALTS: Readonly<Record<number, number>> = {
  [ENCR.AES_CBC]: 0,
  [ENCR.AES_CTR]: 4,
  [ENCR.AES_CCM_8]: 3,
  [ENCR.AES_CCM_12]: 3,
  [ENCR.AES_CCM_16]: 3,
  [ENCR.AES_CCM_8_IIV]: 3,
  [ENCR.AES_GCM_8]: 4,
  [ENCR.AES_GCM_12]: 4,
  [ENCR.AES_GCM_16]: 4,
  [ENCR.AES_GCM_16_IIV]: 4,
  [ENCR.NULL_AUTH_AES_GMAC]: 4,
};

/**
 * Undefined for what we do not have.
 * @param keyBits  undefined for algorithms whose keys have one length only
 */
export function cipherKey(encryption: number, keyBits: number | undefined): CipherKey | undefined {
  switch (encryption) {
    case ENCR.NULL:
      return keyBits === undefined ? { keyLength: 0, saltLength: 0 } : undefined;
    case ENCR.CHACHA20_POLY1305:
    case ENCR.CHACHA20_POLY1305_IIV:
      // RFC 7634 §2: 256 bits and a salt of 32, without a Key Length attribute.
      return keyBits === undefined ? { keyLength: 32, saltLength: 4 } : undefined;
  }
  const saltLength = AES_SALTS[encryption];
  if (saltLength === undefined) return undefined;
  if (keyBits !== 128 && keyBits !== 192 && keyBits !== 256) return undefined;
  return { keyLength: keyBits / 8, saltLength };
}

const INTEGRITY_KEYS: Readonly<Record<number, number>> = {
  [INTEG.HMAC_SHA1_96]: 20,
  [INTEG.AES_XCBC_96]: 16,
  [INTEG.AES_CMAC_96]: 16,
  [INTEG.HMAC_SHA2_256_128]: 32,
  [INTEG.HMAC_SHA2_384_192]: 48,
  [INTEG.HMAC_SHA2_512_256]: 64,
  // Of AH, with the salt behind the key (RFC 4543 §4, §6).
  [INTEG.AES_128_GMAC]: 20,
  [INTEG.AES_192_GMAC]: 28,
  [INTEG.AES_256_GMAC]: 36,
};

/** Undefined for what we do not have. */
export function integrityKeyLength(integrity: number): number | undefined {
  return INTEGRITY_KEYS[integrity];
}
