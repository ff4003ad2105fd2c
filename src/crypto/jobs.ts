/**
 * Runs the key exchange jobs that the IKE core asks for (`ike/event.ts`). A pure function of the
 * job and of randomness, so that it runs in a pool, in place, or in a simulation alike.
 */

import { assertNever } from './assert-never.js';
import type { Job, JobResult } from './job.js';
import {
  deriveSharedSecret,
  generateKeyPair,
  isKeyExchangeDear,
  KeyExchangeError,
  type RandomBytes,
} from './key-exchange.js';

/** Does the job. The job's private key is wiped; the result's secrets are the caller's. */
export function runJob(job: Job, random?: RandomBytes): JobResult {
  try {
    switch (job.type) {
      case 'generate':
        return { type: 'generated', ...generateKeyPair(job.group, random) };
      case 'derive':
        return {
          type: 'derived',
          sharedSecret: deriveSharedSecret(job.group, job.privateKey, job.peerPublic),
        };
      default:
        return assertNever(job);
    }
  } catch (error) {
    if (!(error instanceof KeyExchangeError)) throw error;
    return { type: 'failed', reason: error.message };
  } finally {
    if (job.type === 'derive') job.privateKey.wipe();
  }
}

/** Whether a pool should run the job; the others cost less than the way there. */
export function belongsInPool(job: Job): boolean {
  return isKeyExchangeDear(job.group);
}
