/**
 * The cryptography of IKE that node:crypto does too slowly, typed (native/ike/libcrypto.h,
 * native/ike/protection.h, native/ike/curves.h).
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
  /** Of up to 16 chunks likewise; the key of those of AES has 16 octets. */
  mac(mac: MacNumber, key: Uint8Array, ...data: readonly Uint8Array[]): Uint8Array<ArrayBuffer>;
  /** The first octets of prf+ (RFC 7296 §2.13), at most 255 times the MAC's, of so many chunks. */
  prfPlus(
    mac: MacNumber,
    key: Uint8Array,
    octets: number,
    ...seed: readonly Uint8Array[]
  ): Uint8Array<ArrayBuffer>;
  /** OpenSSL's names of the ciphers; each is known by its place here. */
  readonly ciphers: readonly string[];
  /**
   * Encrypts and authenticates a message where it is.
   * @param mac      of what is no AEAD, as `skA` is
   * @param skE      key and salt
   * @param message  from the IKE header on, with room for the ICV at its end
   * @param bodyAt   where its IV is, and the padded plaintext after it
   */
  seal(
    cipher: number,
    mac: MacNumber | undefined,
    skE: Uint8Array,
    skA: Uint8Array | undefined,
    icvOctets: number,
    message: Uint8Array,
    bodyAt: number,
  ): void;
  /** What is between IV and ICV; undefined where the ICV does not hold. */
  open(
    cipher: number,
    mac: MacNumber | undefined,
    skE: Uint8Array,
    skA: Uint8Array | undefined,
    icvOctets: number,
    message: Uint8Array,
    bodyAt: number,
  ): Uint8Array<ArrayBuffer> | undefined;
}

export const CURVE = { X25519: 0, X448: 1 } as const;
export type Curve = (typeof CURVE)[keyof typeof CURVE];

export const DIGEST = { sha1: 0, sha256: 1, sha384: 2, sha512: 3 } as const;
export type Digest = (typeof DIGEST)[keyof typeof DIGEST];

/** HMAC of each digest (RFC 2104), AES-XCBC-MAC (RFC 3566), AES-CMAC (RFC 4493). */
export const MAC = { ...DIGEST, xcbc: 4, cmac: 5 } as const;
export type Mac = keyof typeof MAC;
export type MacNumber = (typeof MAC)[Mac];

export const libcrypto: Libcrypto = (loadAddon() as { readonly ike: Libcrypto }).ike;
