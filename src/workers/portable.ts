/**
 * Secrets on their way between threads. They are moved, never copied: the memory is transferred,
 * so that the sender has none left, and the receiver wipes what arrived once it is a `Secret`.
 */
import { Secret } from '../crypto/secret.js';
import type { Job, JobResult } from '../ike/event.js';
import type { Connection } from '../policy/connection.js';

/** The memory of a secret, to be named in the transfer list. */
export type PortableSecret = ArrayBuffer;

type Portable<T, Key extends keyof T> = Omit<T, Key> & { readonly [K in Key]: PortableSecret };

export type PortableConnection = Portable<Connection, 'psk'>;

export type PortableJob =
  | Extract<Job, { type: 'generate' }>
  | Portable<Extract<Job, { type: 'derive' }>, 'privateKey'>;

export type PortableJobResult =
  | Portable<Extract<JobResult, { type: 'generated' }>, 'privateKey'>
  | Portable<Extract<JobResult, { type: 'derived' }>, 'sharedSecret'>
  | Extract<JobResult, { type: 'failed' }>;

/** Takes the secret's memory; the secret is empty afterwards. */
export function packJob(job: Job): PortableJob {
  return job.type === 'generate' ? job : { ...job, privateKey: job.privateKey.release() };
}

export function unpackJob(job: PortableJob): Job {
  return job.type === 'generate' ? job : { ...job, privateKey: unpackSecret(job.privateKey) };
}

export function packResult(result: JobResult): PortableJobResult {
  switch (result.type) {
    case 'generated':
      return { ...result, privateKey: result.privateKey.release() };
    case 'derived':
      return { ...result, sharedSecret: result.sharedSecret.release() };
    case 'failed':
      return result;
  }
}

export function unpackResult(result: PortableJobResult): JobResult {
  switch (result.type) {
    case 'generated':
      return { ...result, privateKey: unpackSecret(result.privateKey) };
    case 'derived':
      return { ...result, sharedSecret: unpackSecret(result.sharedSecret) };
    case 'failed':
      return result;
  }
}

/**
 * The connection with a copy of its key: each worker has one of its own. A core would keep up what
 * has `start: 'always'`; but it sees its own IKE SAs only, so the keeper of all workers does that.
 */
export function packConnection(connection: Connection): PortableConnection {
  const children = connection.children.map((child) => ({ ...child, start: 'wait' as const }));
  return { ...connection, children, psk: new Secret(connection.psk.bytes).release() };
}

export function unpackConnection(connection: PortableConnection): Connection {
  return { ...connection, psk: unpackSecret(connection.psk) };
}

/** The secrets' memory in a message, for its transfer list. */
export function transferOf(message: PortableJob | PortableJobResult): ArrayBuffer[] {
  switch (message.type) {
    case 'derive':
    case 'generated':
      return [message.privateKey];
    case 'derived':
      return [message.sharedSecret];
    default:
      return [];
  }
}

function unpackSecret(memory: PortableSecret): Secret {
  const bytes = new Uint8Array(memory);
  const secret = new Secret(bytes);
  bytes.fill(0);
  return secret;
}
