/**
 * Message authentication codes: HMAC (RFC 2104), AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493).
 * Whole they are pseudorandom functions (`prf.ts`), cut short integrity algorithms (`encrypt.ts`).
 */
import { libcrypto, MAC, type Mac } from './libcrypto.js';

export type { Mac };

/** @param key  of 16 octets with AES; several chunks of data are one string of octets */
export function mac(
  algorithm: Mac,
  key: Uint8Array,
  ...data: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  return libcrypto.mac(MAC[algorithm], key, ...data);
}
