/**
 * Runs the jobs of cryptography that the IKE core asks for (`ike/event.ts`). A pure function of the
 * job and of randomness, so that it runs in a pool, in place, or in a simulation alike.
 */

import { assertNever } from './assert-never.js';
import type { CryptoJob, CryptoJobResult } from './job.js';
import {
  deriveSharedSecret,
  generateKeyPair,
  isKeyExchangeDear,
  KeyExchangeError,
  type RandomBytes,
  respondTo,
} from './key-exchange.js';
import { signAuth } from './signature.js';

/** Does the job. A private key of a key exchange is wiped; the result's secrets are the caller's. */
export function runJob(job: CryptoJob, random?: RandomBytes): CryptoJobResult {
  try {
    switch (job.type) {
      case 'generate':
        return { type: 'generated', ...generateKeyPair(job.group, random) };
      case 'derive':
        return {
          type: 'derived',
          sharedSecret: deriveSharedSecret(job.group, job.privateKey, job.peerPublic),
        };
      case 'sign':
        return { type: 'signed', data: signAuth(job.key, job.scheme, job.octets) };
      case 'respond':
        return { type: 'responded', ...respondTo(job.group, job.peerPublic, random) };
      default:
        return assertNever(job);
    }
  } catch (error) {
    // OpenSSL's reasons for not signing say nothing of the key.
    if (job.type !== 'sign' && !(error instanceof KeyExchangeError)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const isPeers = job.type === 'derive' || job.type === 'respond';
    return { type: 'failed', reason, ...(isPeers && { badValue: true }) };
  } finally {
    if (job.type === 'derive') job.privateKey.wipe();
  }
}

/** Longer RSA keys take three milliseconds and more to sign with; this one takes one. */
const CHEAP_RSA_BITS = 2048;

/** Whether a pool should run the job; the others cost less than the way there. */
export function belongsInPool(job: CryptoJob): boolean {
  if (job.type !== 'sign') return isKeyExchangeDear(job.group);
  return (job.key.asymmetricKeyDetails?.modulusLength ?? 0) > CHEAP_RSA_BITS;
}
