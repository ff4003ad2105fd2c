/**
 * What a peer has sent to prove its identity with a certificate, and what it is held against: jobs
 * that `pki/` does, outside of the protocol core.
 */
import type { Trust } from './authentication.js';
import type { Identity } from './identity.js';

/** Whose certificate it is, and which. */
export interface PeerCertificates {
  /** What the peer calls itself, as in its ID payload. */
  readonly identity: Identity;
  /** Of its CERT payloads of encoding 4, in DER: the first one is its own (RFC 7296 §3.6). */
  readonly certificates: readonly Uint8Array[];
}

export interface VerifyJob extends PeerCertificates {
  readonly type: 'verify';
  readonly trust: Trust;
  /** Authentication Method and Authentication Data of its AUTH payload. */
  readonly method: number;
  readonly data: Uint8Array;
  /** What it has to have signed. */
  readonly octets: Uint8Array;
}

/**
 * Whether a certificate that was proof once still is. What is not known of its revocation is no
 * reason to refuse it now.
 */
export interface RecheckJob extends PeerCertificates {
  readonly type: 'recheck';
  readonly trust: Trust;
}

export type VerifyResult =
  /** `notes`: what a person should know, such as that revocation could not be asked for. */
  | { readonly type: 'verified'; readonly notes: readonly string[] }
  /** Which certificate, what is wrong with it, what to change. */
  | { readonly type: 'refused'; readonly explanation: string };
