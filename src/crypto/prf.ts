/**
 * Pseudorandom functions of IKEv2 and prf+ (RFC 7296 §2.13), over HMAC-SHA2 (RFC 4868).
 *
 * Left out: the PRFs with a fixed key size (AES-XCBC, AES-CMAC), whose keying by a PSK or by
 * nonces follows other rules (§2.14), and HMAC-MD5 and HMAC-SHA1 (RFC 8247 §2.2).
 */
import { createHmac } from 'node:crypto';
import { PRF } from '../wire/index.js';
import { Secret } from './secret.js';

export interface Prf {
  /** IANA transform ID. */
  readonly id: number;
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** Preferred key length, which is the output length, in octets. */
  readonly length: number;
}

const PRFS: readonly Prf[] = [
  { id: PRF.PRF_HMAC_SHA2_256, hash: 'sha256', length: 32 },
  { id: PRF.PRF_HMAC_SHA2_384, hash: 'sha384', length: 48 },
  { id: PRF.PRF_HMAC_SHA2_512, hash: 'sha512', length: 64 },
];

/** The PRF with this transform ID, or undefined where we have none. */
export function prfById(id: number): Prf | undefined {
  return PRFS.find((prf) => prf.id === id);
}

/** prf(key, data); several chunks of data are one string of octets. */
export function prf(
  { hash }: Prf,
  key: Uint8Array,
  ...data: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const hmac = createHmac(hash, key);
  for (const chunk of data) hmac.update(chunk);
  return hmac.digest();
}

/**
 * The first `length` octets of prf+(key, seed) = T1 | T2 | ...
 * @throws RangeError  beyond 255 times the PRF's output, where prf+ ends (§2.13)
 */
export function prfPlus(algorithm: Prf, key: Uint8Array, seed: Uint8Array, length: number): Secret {
  if (length > 255 * algorithm.length) throw new RangeError(`prf+ of ${length} octets`);
  const output = new Uint8Array(length);
  let block: Uint8Array = new Uint8Array(0);
  for (let offset = 0, count = 1; offset < length; offset += algorithm.length, count++) {
    const next = prf(algorithm, key, block, seed, Uint8Array.of(count));
    block.fill(0);
    block = next;
    output.set(block.subarray(0, Math.min(block.length, length - offset)), offset);
  }
  block.fill(0);
  const secret = new Secret(output);
  output.fill(0);
  return secret;
}
