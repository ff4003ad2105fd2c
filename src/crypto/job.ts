/**
 * A key exchange as a job (RFC 7296 §2.12): the IKE core asks for it by an effect and gets its
 * result as an event. MODP runs in a pool, cheap curves in place.
 */
import type { Secret } from './secret.js';

export type Job =
  | { readonly type: 'generate'; readonly group: number }
  | {
      readonly type: 'derive';
      readonly group: number;
      readonly privateKey: Secret;
      readonly peerPublic: Uint8Array;
    };

export type JobResult =
  | { readonly type: 'generated'; readonly privateKey: Secret; readonly publicValue: Uint8Array }
  | { readonly type: 'derived'; readonly sharedSecret: Secret }
  | { readonly type: 'failed'; readonly reason: string };
