/**
 * The cryptography of IKE that node:crypto does too slowly, typed (native/ike/libcrypto.h,
 * native/ike/curves.h).
 *
 * Of keys nothing stays behind the call. What is returned is memory of its own; a secret is the
 * caller's to wipe.
 */
import { loadAddon } from '../addon/load.js';

export interface Libcrypto {
  /** The public value of a private key of 32 or 56 octets. */
  publicValue(curve: Curve, privateKey: Uint8Array): Uint8Array<ArrayBuffer>;
  /** Undefined where the shared secret is all zero. */
  sharedSecret(
    curve: Curve,
    privateKey: Uint8Array,
    peerPublic: Uint8Array,
  ): Uint8Array<ArrayBuffer> | undefined;
  /** Of up to 16 chunks, as one string of octets. */
  hash(digest: Digest, ...data: readonly Uint8Array[]): Uint8Array<ArrayBuffer>;
  /** Of up to 16 chunks likewise. */
  hmac(digest: Digest, key: Uint8Array, ...data: readonly Uint8Array[]): Uint8Array<ArrayBuffer>;
  /** The first octets of prf+ (RFC 7296 §2.13), at most 255 times the digest's. */
  prfPlus(
    digest: Digest,
    key: Uint8Array,
    seed: Uint8Array,
    octets: number,
  ): Uint8Array<ArrayBuffer>;
  /** OpenSSL's names of the AEADs; each is known by its place here. */
  readonly aeads: readonly string[];
  /**
   * Encrypts into `body`, which is explicit IV | ciphertext | ICV and holds the IV.
   * @param skE  key and salt
   */
  seal(
    aead: number,
    skE: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
    body: Uint8Array,
  ): void;
  /** Undefined where the ICV does not hold. */
  open(
    aead: number,
    skE: Uint8Array,
    aad: Uint8Array,
    body: Uint8Array,
    icvOctets: number,
  ): Uint8Array<ArrayBuffer> | undefined;
}

export const CURVE = { X25519: 0, X448: 1 } as const;
export type Curve = (typeof CURVE)[keyof typeof CURVE];

export const DIGEST = { sha1: 0, sha256: 1, sha384: 2, sha512: 3 } as const;
export type Digest = (typeof DIGEST)[keyof typeof DIGEST];

export const libcrypto: Libcrypto = (loadAddon() as { readonly ike: Libcrypto }).ike;
