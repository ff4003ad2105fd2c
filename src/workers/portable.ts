/**
 * Secrets on their way between threads. They are moved, never copied: the memory is transferred,
 * so that the sender has none left, and the receiver wipes what arrived once it is a `Secret`.
 */
import type { CryptoJob, CryptoJobResult } from '../crypto/job.js';
import { Secret } from '../crypto/secret.js';
import type { OwnCertificate, PreSharedKey, Trust } from '../policy/authentication.js';
import type { Connection, Ppk } from '../policy/connection.js';

/** The memory of a secret, to be named in the transfer list. */
export type PortableSecret = ArrayBuffer;

type Portable<T, Key extends keyof T> = Omit<T, Key> & { readonly [K in Key]: PortableSecret };

type PortableSide<T, Authentication> = Omit<T, 'authentication'> & {
  readonly authentication: Portable<PreSharedKey, 'psk'> | Authentication;
};

/** Private keys go as they are: their memory is OpenSSL's, and the threads share it. */
export type PortableConnection = Omit<Connection, 'local' | 'remote' | 'ppk'> & {
  readonly ppk: Portable<Ppk, 'secret'> | undefined;
  readonly local: PortableSide<Connection['local'], OwnCertificate>;
  readonly remote: PortableSide<Connection['remote'], Trust>;
};

export type PortableJob =
  | Exclude<CryptoJob, { type: 'derive' }>
  | Portable<Extract<CryptoJob, { type: 'derive' }>, 'privateKey'>;

export type PortableJobResult =
  | Portable<Extract<CryptoJobResult, { type: 'generated' }>, 'privateKey'>
  | Portable<Extract<CryptoJobResult, { type: 'derived' }>, 'sharedSecret'>
  | Portable<Extract<CryptoJobResult, { type: 'responded' }>, 'sharedSecret'>
  | Exclude<CryptoJobResult, { type: 'generated' | 'derived' | 'responded' }>;

/** Takes the secret's memory; the secret is empty afterwards. */
export function packJob(job: CryptoJob): PortableJob {
  return job.type === 'derive' ? { ...job, privateKey: job.privateKey.release() } : job;
}

export function unpackJob(job: PortableJob): CryptoJob {
  return job.type === 'derive' ? { ...job, privateKey: unpackSecret(job.privateKey) } : job;
}

export function packResult(result: CryptoJobResult): PortableJobResult {
  switch (result.type) {
    case 'generated':
      return { ...result, privateKey: result.privateKey.release() };
    case 'derived':
    case 'responded':
      return { ...result, sharedSecret: result.sharedSecret.release() };
    default:
      return result;
  }
}

export function unpackResult(result: PortableJobResult): CryptoJobResult {
  switch (result.type) {
    case 'generated':
      return { ...result, privateKey: unpackSecret(result.privateKey) };
    case 'derived':
    case 'responded':
      return { ...result, sharedSecret: unpackSecret(result.sharedSecret) };
    default:
      return result;
  }
}

/**
 * The connection with a copy of its key: each worker has one of its own. A core would keep up what
 * has `start: 'always'`; but it sees its own IKE SAs only, so the keeper of all workers does that.
 */
export function packConnection(connection: Connection): PortableConnection {
  const children = connection.children.map((child) => ({ ...child, start: 'wait' as const }));
  const { local, remote, ppk } = connection;
  return {
    ...connection,
    children,
    ppk: ppk && { ...ppk, secret: new Secret(ppk.secret.bytes).release() },
    local: { ...local, authentication: packKey(local.authentication) },
    remote: { ...remote, authentication: packKey(remote.authentication) },
  };
}

export function unpackConnection(connection: PortableConnection): Connection {
  const { local, remote, ppk } = connection;
  return {
    ...connection,
    ppk: ppk && { ...ppk, secret: unpackSecret(ppk.secret) },
    local: { ...local, authentication: unpackKey(local.authentication) },
    remote: { ...remote, authentication: unpackKey(remote.authentication) },
  };
}

function packKey<T extends { readonly type: 'certificate' }>(authentication: PreSharedKey | T) {
  if (authentication.type === 'certificate') return authentication;
  return { ...authentication, psk: new Secret(authentication.psk.bytes).release() };
}

function unpackKey<T extends { readonly type: 'certificate' }>(
  authentication: Portable<PreSharedKey, 'psk'> | T,
) {
  if (authentication.type === 'certificate') return authentication;
  return { ...authentication, psk: unpackSecret(authentication.psk) };
}

/** The keys' memory in these connections, for the transfer list of their message. */
export function keysOf(connections: readonly PortableConnection[]): ArrayBuffer[] {
  return connections.flatMap(({ local, remote, ppk }) => [
    ...(ppk === undefined ? [] : [ppk.secret]),
    ...[local, remote].flatMap(({ authentication }) =>
      authentication.type === 'psk' ? [authentication.psk] : [],
    ),
  ]);
}

/** The secrets' memory in a message, for its transfer list. */
export function transferOf(message: PortableJob | PortableJobResult): ArrayBuffer[] {
  switch (message.type) {
    case 'derive':
    case 'generated':
      return [message.privateKey];
    case 'derived':
    case 'responded':
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
