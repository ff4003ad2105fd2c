/**
 * Message authentication codes: HMAC (RFC 2104), AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493).
 * Whole they are pseudorandom functions (`prf.ts`), cut short integrity algorithms (`encrypt.ts`).
 */
import { createCipheriv } from 'node:crypto';
import { DIGEST, libcrypto } from './libcrypto.js';

export type Mac = 'sha1' | 'sha256' | 'sha384' | 'sha512' | 'xcbc' | 'cmac';

const BLOCK = 16;

/** @param key  of 16 octets with AES; several chunks of data are one string of octets */
export function mac(
  algorithm: Mac,
  key: Uint8Array,
  ...data: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  if (algorithm === 'xcbc') return xcbc(key, Buffer.concat(data));
  if (algorithm === 'cmac') return cmac(key, Buffer.concat(data));
  return libcrypto.hmac(DIGEST[algorithm], key, ...data);
}

/** RFC 3566 §4: three keys from one; the last block is masked with the second or the third. */
function xcbc(key: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const [k1, k2, k3] = [1, 2, 3].map((value) => encryptCbc(key, new Uint8Array(BLOCK).fill(value)));
  return cbcMac(k1!, data, k2!, k3!);
}

/** RFC 4493 §2.3, §2.4: the masks are the encrypted zero block doubled once and twice. */
function cmac(key: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = doubled(encryptCbc(key, new Uint8Array(BLOCK)));
  return cbcMac(key, data, whole, doubled(whole));
}

/** The last block of CBC with a zero IV; the last block of data masked, by whether it is whole. */
function cbcMac(
  key: Uint8Array,
  data: Uint8Array,
  whole: Uint8Array,
  padded: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const isWhole = data.length > 0 && data.length % BLOCK === 0;
  const blocks = new Uint8Array(Math.max(1, Math.ceil(data.length / BLOCK)) * BLOCK);
  blocks.set(data);
  if (!isWhole) blocks[data.length] = 0x80;
  const mask = isWhole ? whole : padded;
  const last = blocks.length - BLOCK;
  for (let i = 0; i < BLOCK; i++) blocks[last + i]! ^= mask[i]!;
  return encryptCbc(key, blocks).slice(-BLOCK);
}

function encryptCbc(key: Uint8Array, blocks: Uint8Array): Uint8Array<ArrayBuffer> {
  const cipher = createCipheriv('aes-128-cbc', key, new Uint8Array(BLOCK)).setAutoPadding(false);
  return new Uint8Array(Buffer.concat([cipher.update(blocks), cipher.final()]));
}

/** In GF(2^128), most significant bit first (RFC 4493 §2.3). */
function doubled(block: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(BLOCK);
  for (let i = 0; i < BLOCK; i++) result[i] = (block[i]! << 1) | ((block[i + 1] ?? 0) >> 7);
  // Without a branch on what is secret.
  result[BLOCK - 1]! ^= 0x87 & -(block[0]! >> 7);
  return result;
}
