/**
 * A stand-in for key exchange in simulations, some hundred times cheaper than the real one: both
 * sides get the same secret from both public values, under a key that the simulation holds. It has
 * the shape of the real one (lengths, failures) and no security whatsoever.
 */
import { createHmac } from 'node:crypto';
import {
  publicValueLength,
  type RandomBytes,
  responseLength,
} from '../../src/crypto/key-exchange.js';
import { Secret } from '../../src/crypto/secret.js';
import type { Job, JobResult } from '../../src/ike/event.js';
import { realJob } from '../real-job.js';

const KEY = Buffer.from('the key of the simulation');

/** In the place of `realJob`; the private key is the public value. Signatures are real. */
export function standIn(job: Job, random: RandomBytes): JobResult {
  if (job.type === 'sign' || job.type === 'verify') return realJob(job);
  const [length, answered] = [publicValueLength(job.group), responseLength(job.group)];
  if (length === undefined || answered === undefined) return { type: 'failed', reason: 'no group' };
  switch (job.type) {
    case 'generate': {
      const publicValue = freshValue(length, random);
      return { type: 'generated', privateKey: new Secret(publicValue), publicValue };
    }
    case 'derive': {
      const own = Buffer.from(job.privateKey.bytes);
      job.privateKey.wipe();
      if (job.peerPublic.length !== answered) return WRONG_LENGTH;
      return { type: 'derived', sharedSecret: secretOf(own, job.peerPublic) };
    }
    case 'respond': {
      const publicValue = freshValue(answered, random);
      if (job.peerPublic.length !== length) return WRONG_LENGTH;
      return {
        type: 'responded',
        publicValue,
        sharedSecret: secretOf(publicValue, job.peerPublic),
      };
    }
  }
}

const WRONG_LENGTH: JobResult = {
  type: 'failed',
  reason: 'the length of the public value',
  badValue: true,
};

function freshValue(length: number, random: RandomBytes): Uint8Array {
  const value = new Uint8Array(length);
  value.set(random(16));
  return value;
}

function secretOf(own: Uint8Array, other: Uint8Array): Secret {
  const hmac = createHmac('sha256', KEY);
  for (const value of [own, other].sort(Buffer.compare)) hmac.update(value);
  return new Secret(hmac.digest());
}
