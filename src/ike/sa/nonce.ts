/** Nonces (RFC 7296 §2.10), and what is told by them where both sides do the same at once (§2.8.1). */
import type { Core } from '../core.js';

/**
 * At least half the key of every PRF, and of the 16 to 256 octets that a nonce may have. A peer's is
 * held against the latter only: what is asked of a sender besides is nothing that §2.10 has a receiver
 * refuse, and ours alone makes the keys fresh.
 */
const OCTETS = 32;

export function freshNonce({ environment }: Core): Uint8Array {
  return environment.random(OCTETS);
}

/** The lower of two nonces, in hexadecimal digits; compared as octet strings (§2.8.1). */
export function lowestNonce(ni: Uint8Array, nr: Uint8Array): string {
  const { buffer, byteOffset, length } = Buffer.compare(ni, nr) < 0 ? ni : nr;
  return Buffer.from(buffer, byteOffset, length).toString('hex');
}
