/** Signatures over the octets of AUTH (RFC 7296 §2.15), made and verified by OpenSSL. */
import { constants, type KeyObject, type SignKeyObjectInput, sign, verify } from 'node:crypto';
import type { PrivateKey } from './private-key.js';
import {
  authData,
  describeAuthData,
  readAuthData,
  type SignatureAlgorithm,
  type SignatureScheme,
} from './signature-scheme.js';

/** RFC 8247 §4.1.1 does not want less. */
const MIN_RSA_BITS = 2048;
/** Larger numbers cost a peer nothing and us milliseconds. */
const MAX_RSA_BITS = 8192;
/** A smaller one has been the way in for forged signatures (FIPS 186-5 §A.1.1). */
const MIN_RSA_EXPONENT = 65537n;
const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1'];

/** The Authentication Data of an AUTH payload. */
export function signAuth(
  key: PrivateKey,
  scheme: SignatureScheme,
  octets: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { algorithm } = scheme;
  const hash = 'hash' in algorithm ? algorithm.hash : null;
  return new Uint8Array(authData(scheme, sign(hash, octets, withOptions(key, algorithm))));
}

/** Why Authentication Data does not prove that this key's owner has sent the octets. */
export function refuseAuth(
  key: KeyObject,
  method: number,
  data: Uint8Array,
  octets: Uint8Array,
): string | undefined {
  const weakness = weaknessOf(key);
  if (weakness !== undefined) return weakness;
  const received = readAuthData(method, data);
  const what = describeAuthData(method, data);
  if (received === undefined) return `AUTH is made with ${what}, which is not accepted`;
  const fitting = received.algorithms.filter((algorithm) => fits(key, algorithm));
  if (fitting.length === 0) {
    return `AUTH is made with ${what}, and the certificate has ${describeKey(key)}`;
  }
  const good = fitting.some((one) => isSignature(key, one, octets, received.signature));
  return good ? undefined : `the signature does not verify (${what}, ${describeKey(key)})`;
}

/** What is wrong with a key however it is used. */
export function weaknessOf(key: KeyObject): string | undefined {
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      if (modulusLength < MIN_RSA_BITS)
        return `${describeKey(key)} is too short: 2048 bits at least`;
      if (modulusLength > MAX_RSA_BITS) return `${describeKey(key)} is too long: 8192 bits at most`;
      if (publicExponent < MIN_RSA_EXPONENT) {
        return `${describeKey(key)} has the exponent ${publicExponent}: 65537 at least`;
      }
      return undefined;
    case 'ec':
      if (CURVES.includes(namedCurve)) return undefined;
      return `${describeKey(key)} is not on P-256, P-384 or P-521`;
    case 'ed25519':
    case 'ed448':
      return undefined;
    default:
      return `${describeKey(key)} is not RSA, ECDSA, Ed25519 or Ed448`;
  }
}

/** Such as `an RSA key of 2048 bits`. */
export function describeKey(key: KeyObject): string {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      return `an RSA key of ${modulusLength} bits`;
    case 'ec':
      return `an ECDSA key on ${namedCurve}`;
    case 'ed25519':
      return 'an Ed25519 key';
    case 'ed448':
      return 'an Ed448 key';
    default:
      return `a key of type ${key.asymmetricKeyType ?? 'unknown'}`;
  }
}

function fits(key: KeyObject, algorithm: SignatureAlgorithm): boolean {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return algorithm.type === 'rsa';
    case 'rsa-pss':
      return algorithm.type === 'rsa' && algorithm.padding === 'pss';
    case 'ec': {
      if (algorithm.type !== 'ecdsa') return false;
      const { curve } = algorithm;
      return curve === undefined || curve === key.asymmetricKeyDetails?.namedCurve;
    }
    default:
      return algorithm.type === key.asymmetricKeyType;
  }
}

function isSignature(
  key: KeyObject,
  algorithm: SignatureAlgorithm,
  octets: Uint8Array,
  signature: Uint8Array,
): boolean {
  const hash = 'hash' in algorithm ? algorithm.hash : null;
  try {
    return verify(hash, octets, withOptions(key, algorithm), signature);
  } catch {
    // Of a length that OpenSSL refuses to look at, for one.
    return false;
  }
}

function withOptions(key: KeyObject, algorithm: SignatureAlgorithm): SignKeyObjectInput {
  switch (algorithm.type) {
    case 'rsa': {
      if (algorithm.padding === 'pkcs1') return { key, padding: constants.RSA_PKCS1_PADDING };
      const { saltLength } = algorithm;
      return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
    }
    case 'ecdsa':
      return { key, dsaEncoding: algorithm.curve === undefined ? 'der' : 'ieee-p1363' };
    default:
      return { key };
  }
}
