/**
 * What AUTH covers, and AUTH with a pre-shared key (RFC 7296 §2.15); the NAT detection hashes
 * (§2.23). Signatures are made in signature.ts.
 */
import { timingSafeEqual } from 'node:crypto';
import { type IkeSpi, ikeSpiHalf } from '../wire/index.js';
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
  return concat(...signedParts(algorithm, signed));
}

function signedParts(algorithm: Prf, signed: SignedOctets): readonly Uint8Array[] {
  const macedId = prf(algorithm, signed.skP.bytes, signed.idBody);
  const { message, peerNonce, intAuth } = signed;
  return intAuth === undefined
    ? [message, peerNonce, macedId]
    : [message, peerNonce, macedId, intAuth];
}

/** AUTH = prf(prf(PSK, "Key Pad for IKEv2"), message | nonce | prf(SK_p, ID')). */
export function pskAuth(
  algorithm: Prf,
  psk: Secret,
  signed: SignedOctets,
): Uint8Array<ArrayBuffer> {
  const key = prf(algorithm, psk.bytes, KEY_PAD);
  const auth = prf(algorithm, key, ...signedParts(algorithm, signed));
  key.fill(0);
  return auth;
}

/** Whether two octet strings are equal; the time tells nothing of where they differ. */
export function equalsSecretly(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** What NAT_DETECTION_*_IP hash: two SPIs of 8 octets, an address of up to 16, a port of 2. */
const place = new DataView(new ArrayBuffer(8 + 8 + 16 + 2));

/** SHA-1(SPIi | SPIr | address | port) of NAT_DETECTION_*_IP (§2.23). */
export function natDetectionHash(
  initiatorSpi: IkeSpi,
  responderSpi: IkeSpi,
  address: Uint8Array,
  port: number,
): Uint8Array<ArrayBuffer> {
  place.setUint32(0, ikeSpiHalf(initiatorSpi, 0));
  place.setUint32(4, ikeSpiHalf(initiatorSpi, 1));
  place.setUint32(8, ikeSpiHalf(responderSpi, 0));
  place.setUint32(12, ikeSpiHalf(responderSpi, 1));
  const octets = new Uint8Array(place.buffer, 0, 16 + address.length + 2);
  octets.set(address, 16);
  place.setUint16(16 + address.length, port);
  return libcrypto.hash(DIGEST.sha1, octets);
}
