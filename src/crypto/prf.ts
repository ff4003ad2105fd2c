/**
 * Pseudorandom functions of IKEv2 and prf+ (RFC 7296 §2.13): HMAC (RFC 4868), AES-XCBC (RFC 4434)
 * and AES-CMAC (RFC 4615).
 *
 * Left out: HMAC-MD5 (RFC 8247 §2.2).
 */
import { PRF } from '../wire/index.js';
import { libcrypto, MAC, type Mac } from './libcrypto.js';
import { mac } from './mac.js';
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
  return withKey(algorithm, key, (fitting) => mac(algorithm.mac, fitting, ...data));
}

/** The two PRFs whose key is one of AES (RFC 7296 §2.14 keys them by half of each nonce). */
export function isKeyedByAes({ mac }: Prf): boolean {
  return mac === 'xcbc' || mac === 'cmac';
}

/** Works with the key, or with what the PRFs of AES make of one that is not theirs. */
function withKey<T>(algorithm: Prf, key: Uint8Array, work: (fitting: Uint8Array) => T): T {
  if (!isKeyedByAes(algorithm) || key.length === algorithm.length) return work(key);
  const fitted = fitKey(algorithm, key);
  const result = work(fitted);
  fitted.fill(0);
  return result;
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
 * The first `length` octets of prf+(key, seed) = T1 | T2 | ...; several chunks of seed are one string
 * of octets.
 * @throws RangeError  beyond 255 times the PRF's output, where prf+ ends (§2.13)
 */
export function prfPlus(
  algorithm: Prf,
  key: Uint8Array,
  length: number,
  ...seed: readonly Uint8Array[]
): Secret {
  if (length > 255 * algorithm.length) throw new RangeError(`prf+ of ${length} octets`);
  const number = MAC[algorithm.mac];
  const output = withKey(algorithm, key, (fitting) =>
    libcrypto.prfPlus(number, fitting, length, ...seed),
  );
  return new Secret(output, 'taken');
}
