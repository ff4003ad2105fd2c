/**
 * What a peer has sent to prove its identity with a certificate, and what it is held against: a job
 * that `pki/` does, outside of the protocol core.
 */
import type { Trust } from './authentication.js';
import type { Identity } from './identity.js';

export interface VerifyJob {
  readonly type: 'verify';
  /** What the peer calls itself, as in its ID payload. */
  readonly identity: Identity;
  readonly trust: Trust;
  /** Of its CERT payloads of encoding 4, in DER: the first one is its own (RFC 7296 §3.6). */
  readonly certificates: readonly Uint8Array[];
  /** Authentication Method and Authentication Data of its AUTH payload. */
  readonly method: number;
  readonly data: Uint8Array;
  /** What it has to have signed. */
  readonly octets: Uint8Array;
}

export type VerifyResult =
  /** `notes`: what a person should know, such as that revocation could not be asked for. */
  | { readonly type: 'verified'; readonly notes: readonly string[] }
  /** Which certificate, what is wrong with it, what to change. */
  | { readonly type: 'refused'; readonly explanation: string };
