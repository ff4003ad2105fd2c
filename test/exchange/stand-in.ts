/**
 * A stand-in for key exchange in simulations, some hundred times cheaper than the real one: both
 * sides get the same secret from both public values, under a key that the simulation holds. It has
 * the shape of the real one (lengths, failures) and no security whatsoever.
 */
import { createHmac } from 'node:crypto';
import { publicValueLength, type RandomBytes } from '../../src/crypto/key-exchange.js';
import { Secret } from '../../src/crypto/secret.js';
import type { Job, JobResult } from '../../src/ike/event.js';
import { realJob } from '../real-job.js';

const KEY = Buffer.from('the key of the simulation');

/** In the place of `realJob`; the private key is the public value. Signatures are real. */
export function standIn(job: Job, random: RandomBytes): JobResult {
  if (job.type === 'sign' || job.type === 'verify') return realJob(job);
  const length = publicValueLength(job.group);
  if (length === undefined) return { type: 'failed', reason: 'no such group' };
  if (job.type === 'generate') {
    const publicValue = new Uint8Array(length);
    publicValue.set(random(16));
    return { type: 'generated', privateKey: new Secret(publicValue), publicValue };
  }
  const own = Buffer.from(job.privateKey.bytes);
  const other = Buffer.from(job.peerPublic);
  job.privateKey.wipe();
  if (other.length !== length) return { type: 'failed', reason: 'the length of the public value' };
  const hmac = createHmac('sha256', KEY);
  for (const value of [own, other].sort(Buffer.compare)) hmac.update(value);
  return { type: 'derived', sharedSecret: new Secret(hmac.digest()) };
}
