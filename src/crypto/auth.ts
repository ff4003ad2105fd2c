/**
 * What AUTH covers, and AUTH with a pre-shared key (RFC 7296 §2.15); the NAT detection hashes
 * (§2.23). Signatures are made in signature.ts.
 */
import { timingSafeEqual } from 'node:crypto';
import { type IkeSpi, ikeSpiBytes } from '../wire/index.js';
import { concat } from './concat.js';
import { DIGEST, libcrypto } from './libcrypto.js';
import { type Prf, prf } from './prf.js';
import type { Secret } from './secret.js';

const KEY_PAD = new TextEncoder().encode('Key Pad for IKEv2');

/** What one side signs; the names are those of the initiator's octets. */
export interface SignedOctets {
  /** RealMessage1: the signer's IKE_SA_INIT message, without a non-ESP marker. */
  readonly message: Uint8Array;
  /** NonceRData: the other side's nonce. */
  readonly peerNonce: Uint8Array;
  /** RestOfInitIDPayload: the signer's ID payload without its generic header. */
  readonly idBody: Uint8Array;
  /** SK_pi or SK_pr, of the signer. */
  readonly skP: Secret;
  /** What lay between IKE_SA_INIT and IKE_AUTH (RFC 9242 §3.3.2), if anything. */
  readonly intAuth?: Uint8Array;
}

/** message | nonce | prf(SK_p, ID') | IntAuth: what a signature is made over. */
export function signedOctets(algorithm: Prf, signed: SignedOctets): Uint8Array<ArrayBuffer> {
  const macedId = prf(algorithm, signed.skP.bytes, signed.idBody);
  const { message, peerNonce, intAuth = new Uint8Array(0) } = signed;
  return concat(message, peerNonce, macedId, intAuth);
}

/** AUTH = prf(prf(PSK, "Key Pad for IKEv2"), message | nonce | prf(SK_p, ID')). */
export function pskAuth(
  algorithm: Prf,
  psk: Secret,
  signed: SignedOctets,
): Uint8Array<ArrayBuffer> {
  const key = prf(algorithm, psk.bytes, KEY_PAD);
  const auth = prf(algorithm, key, signedOctets(algorithm, signed));
  key.fill(0);
  return auth;
}

/** Whether two octet strings are equal; the time tells nothing of where they differ. */
export function equalsSecretly(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** SHA-1(SPIi | SPIr | address | port) of NAT_DETECTION_*_IP (§2.23). */
export function natDetectionHash(
  initiatorSpi: IkeSpi,
  responderSpi: IkeSpi,
  address: Uint8Array,
  port: number,
): Uint8Array<ArrayBuffer> {
  const end = Uint8Array.of(port >> 8, port & 0xff);
  const spis = [ikeSpiBytes(initiatorSpi), ikeSpiBytes(responderSpi)] as const;
  return libcrypto.hash(DIGEST.sha1, ...spis, address, end);
}
