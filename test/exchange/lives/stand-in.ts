/**
 * A stand-in for key exchange and signatures in simulations, some hundred times cheaper than the
 * real ones: both sides get the same secret from both public values, and the same signature from
 * the public key and what is signed, under a key that the simulation holds. It has the shape of
 * the real ones (lengths, failures) and no security whatsoever; certificates are not validated.
 */
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import {
  publicValueLength,
  type RandomBytes,
  responseLength,
} from '../../../src/crypto/key-exchange.js';
import { Secret } from '../../../src/crypto/secret.js';
import type { Job, JobResult } from '../../../src/ike/event.js';
import { SeededRandom } from '../harness/random.js';

/** The key of the simulation: what its digests begin with. */
const KEY = 0x5eed_1e55;

/** In the place of `realJob`; the private key of a key exchange is the public value. */
export function standIn(job: Job, random: RandomBytes): JobResult {
  if (job.type === 'sign') {
    return { type: 'signed', data: signature(publicOctets(job.key), job.octets) };
  }
  if (job.type === 'verify') return verify(job);
  if (job.type === 'recheck') return { type: 'verified', notes: [] };
  const [length, answered] = [publicValueLength(job.group), responseLength(job.group)];
  if (length === undefined || answered === undefined) return { type: 'failed', reason: 'no group' };
  switch (job.type) {
    case 'generate': {
      const publicValue = freshValue(length, random);
      return { type: 'generated', privateKey: new Secret(publicValue), publicValue };
    }
    case 'derive': {
      const { privateKey, peerPublic } = job;
      const fits = peerPublic.length === answered;
      const sharedSecret = fits ? secretOf(privateKey.bytes, peerPublic) : undefined;
      privateKey.wipe();
      return sharedSecret === undefined ? WRONG_LENGTH : { type: 'derived', sharedSecret };
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
  return new Secret(digest(...[own, other].sort(Buffer.compare)));
}

/** 32 octets of what all octets have in common with the key; of no use against anybody. */
function digest(...values: readonly Uint8Array[]): Uint8Array {
  let state = KEY;
  for (const value of values) {
    for (const octet of value) state = Math.imul(state ^ octet, 0x01000193) + 0x9e3779b9;
    state = Math.imul(state ^ (state >>> 15), 0x735a2d97);
  }
  return new SeededRandom(state).bytes(32);
}

function verify({
  certificates: [own],
  octets,
  data,
}: Extract<Job, { type: 'verify' }>): JobResult {
  const good = own && Buffer.compare(signature(certifiedOctets(own), octets), data) === 0;
  return good
    ? { type: 'verified', notes: [] }
    : { type: 'refused', explanation: 'AUTH does not verify' };
}

/** As long as one of RSA with 2048 bits. */
function signature(publicKey: Uint8Array, octets: Uint8Array): Uint8Array {
  const data = new Uint8Array(256);
  data.set(digest(publicKey, octets));
  return data;
}

const publicKeys = new WeakMap<KeyObject, Uint8Array>();
const certifiedKeys = new Map<string, Uint8Array>();

/** The public key of a private one, as a certificate has it. */
function publicOctets(key: KeyObject): Uint8Array {
  let found = publicKeys.get(key);
  if (found === undefined) {
    found = createPublicKey(key).export({ type: 'spki', format: 'der' });
    publicKeys.set(key, found);
  }
  return found;
}

function certifiedOctets(der: Uint8Array): Uint8Array {
  const name = Buffer.from(der).toString('latin1');
  let found = certifiedKeys.get(name);
  if (found === undefined) {
    found = new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' });
    certifiedKeys.set(name, found);
  }
  return found;
}
