/**
 * What of the cryptography takes its time, as a job (RFC 7296 §2.12, §2.15): the IKE core asks for
 * it by an effect and gets its result as an event. What is dear runs in a pool, the rest in place.
 *
 * An initiator generates a key pair, then derives the secret from what is answered. A responder
 * responds, which is both in one; in IKE_SA_INIT it does as an initiator does, the second part later.
 */
import type { PrivateKey } from './private-key.js';
import type { Secret } from './secret.js';
import type { SignatureScheme } from './signature-scheme.js';

export type KeyExchangeJob =
  | { readonly type: 'generate'; readonly group: number }
  | {
      readonly type: 'derive';
      readonly group: number;
      readonly privateKey: Secret;
      readonly peerPublic: Uint8Array;
    }
  | { readonly type: 'respond'; readonly group: number; readonly peerPublic: Uint8Array };

/** Makes the Authentication Data of our AUTH payload. */
export interface SignJob {
  readonly type: 'sign';
  readonly key: PrivateKey;
  readonly scheme: SignatureScheme;
  readonly octets: Uint8Array;
}

export type CryptoJob = KeyExchangeJob | SignJob;

export type CryptoJobResult =
  | { readonly type: 'generated'; readonly privateKey: Secret; readonly publicValue: Uint8Array }
  | { readonly type: 'derived'; readonly sharedSecret: Secret }
  | { readonly type: 'responded'; readonly publicValue: Uint8Array; readonly sharedSecret: Secret }
  | { readonly type: 'signed'; readonly data: Uint8Array }
  | JobFailure;

export interface JobFailure {
  readonly type: 'failed';
  readonly reason: string;
  /** What the peer has sent is no public value of the group. */
  readonly badValue?: true;
}
