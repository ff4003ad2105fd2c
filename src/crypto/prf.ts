/**
 * Pseudorandom functions of IKEv2 and prf+ (RFC 7296 §2.13): HMAC (RFC 4868), AES-XCBC (RFC 4434)
 * and AES-CMAC (RFC 4615).
 *
 * Left out: HMAC-MD5 (RFC 8247 §2.2).
 */
import { PRF } from '../wire/index.js';
import { DIGEST, libcrypto } from './libcrypto.js';
import { type Mac, mac } from './mac.js';
import { Secret } from './secret.js';

export interface Prf {
  /** IANA transform ID. */
  readonly id: number;
  readonly mac: Mac;
  /** Preferred key length, which is the output length, in octets. */
  readonly length: number;
}

const PRFS: readonly Prf[] = [
  { id: PRF.PRF_HMAC_SHA1, mac: 'sha1', length: 20 },
  { id: PRF.PRF_AES128_XCBC, mac: 'xcbc', length: 16 },
  { id: PRF.PRF_HMAC_SHA2_256, mac: 'sha256', length: 32 },
  { id: PRF.PRF_HMAC_SHA2_384, mac: 'sha384', length: 48 },
  { id: PRF.PRF_HMAC_SHA2_512, mac: 'sha512', length: 64 },
  { id: PRF.PRF_AES128_CMAC, mac: 'cmac', length: 16 },
];

/** The PRF with this transform ID, or undefined where we have none. */
export function prfById(id: number): Prf | undefined {
  return PRFS.find((prf) => prf.id === id);
}

/** prf(key, data); several chunks of data are one string of octets. */
export function prf(
  algorithm: Prf,
  key: Uint8Array,
  ...data: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  if (!isKeyedByAes(algorithm) || key.length === algorithm.length) {
    return mac(algorithm.mac, key, ...data);
  }
  const fitted = fitKey(algorithm, key);
  const output = mac(algorithm.mac, fitted, ...data);
  fitted.fill(0);
  return output;
}

/** The two PRFs whose key is one of AES (RFC 7296 §2.14 keys them by half of each nonce). */
export function isKeyedByAes({ mac }: Prf): boolean {
  return mac === 'xcbc' || mac === 'cmac';
}

/** A key of 16 octets from one of another length (RFC 4434 §2, RFC 4615 §3). */
function fitKey(algorithm: Prf, key: Uint8Array): Uint8Array {
  const fitted = new Uint8Array(algorithm.length);
  if (algorithm.mac === 'cmac' || key.length > fitted.length) {
    return mac(algorithm.mac, fitted, key);
  }
  fitted.set(key);
  return fitted;
}

/**
 * The first `length` octets of prf+(key, seed) = T1 | T2 | ...
 * @throws RangeError  beyond 255 times the PRF's output, where prf+ ends (§2.13)
 */
export function prfPlus(algorithm: Prf, key: Uint8Array, seed: Uint8Array, length: number): Secret {
  if (length > 255 * algorithm.length) throw new RangeError(`prf+ of ${length} octets`);
  const { mac } = algorithm;
  const output =
    mac === 'xcbc' || mac === 'cmac'
      ? prfPlusOfAes(algorithm, key, seed, length)
      : libcrypto.prfPlus(DIGEST[mac], key, seed, length);
  const secret = new Secret(output);
  output.fill(0);
  return secret;
}

function prfPlusOfAes(algorithm: Prf, key: Uint8Array, seed: Uint8Array, length: number) {
  const output = new Uint8Array(length);
  let block: Uint8Array = new Uint8Array(0);
  for (let offset = 0, count = 1; offset < length; offset += algorithm.length, count++) {
    const next = prf(algorithm, key, block, seed, Uint8Array.of(count));
    block.fill(0);
    block = next;
    output.set(block.subarray(0, Math.min(block.length, length - offset)), offset);
  }
  block.fill(0);
  return output;
}
