/**
 * How each side of a connection proves itself, from the keys of the file: with `local.cert` we do
 * so by a signature, with `remote.ca` or `remote.cert` the peer has to; else the pre-shared key
 * serves (RFC 7296 §2.15).
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Secret } from '../crypto/secret.js';
import { weaknessOf } from '../crypto/signature.js';
import { type Certificate, identitiesOf, refuseUsage } from '../pki/certificate.js';
import type {
  LocalAuthentication,
  OwnCertificate,
  RemoteAuthentication,
  Trust,
} from '../policy/authentication.js';
import type { Ppk } from '../policy/connection.js';
import type { Identity } from '../policy/identity.js';
import { readCertificateFile, readCrlFile, readPrivateKey } from './certificate-file.js';
import type { FolderOf } from './config-file.js';
import type { KeyPath } from './key-locator.js';
import type { ConnectionFile } from './schema.js';
import { type AssumeCredential, readSecretFile, secretReader } from './secret-file.js';
import type { Complain } from './semantics.js';

/** One side's proof, and what its certificate says whose it is; nothing where there is none. */
interface Side<T> {
  readonly authentication: T;
  /** The first one is what the side calls itself unless the file says otherwise. */
  readonly identities: readonly Identity[];
}

export interface SidesOfFile {
  readonly local: Side<LocalAuthentication>;
  readonly remote: Side<RemoteAuthentication>;
  readonly ppk: Ppk | undefined;
}

/** Complains and answers undefined where a key or a certificate cannot be had. */
export type ReadAuthentication = (
  name: string,
  entry: ConnectionFile,
  complain: Complain,
) => SidesOfFile | undefined;

/**
 * @param folderOf  what the paths of a connection's files are relative to
 * @param assume    as `secretReader` has it
 */
export function authenticationReader(
  folderOf: FolderOf,
  assume?: AssumeCredential,
): ReadAuthentication {
  const readSecret = secretReader(folderOf, assume);
  return (name, entry, complain) => {
    const at: Complain = (path, ...rest) => complain(['connection', name, ...path], ...rest);
    const { local, remote } = readCertificates(folderOf(name), entry, at);
    const bySecret = [local, remote].includes('psk');
    const psk = bySecret ? readSecret(name, entry, complain) : undefined;
    if (!bySecret) refuseSecret(entry, at);
    const sides = { local: orSecret(local, psk), remote: orSecret(remote, psk) };
    const ppk = entry.ppk && readPpk(folderOf(name), entry.ppk, at);
    const complete = entry.ppk === undefined || ppk !== undefined;
    if (sides.local !== undefined && sides.remote !== undefined && complete) {
      return { local: sides.local, remote: sides.remote, ppk };
    }
    for (const secret of [psk, ppk?.secret]) secret?.wipe();
    return undefined;
  };
}

function readPpk(
  folder: string,
  { id, file, required }: NonNullable<ConnectionFile['ppk']>,
  complain: Complain,
): Ppk | undefined {
  const at: Complain = (_, ...rest) => complain(['ppk', 'file'], ...rest);
  const secret = readSecretFile(resolve(folder, file), true, at);
  return secret && { id, secret, required };
}

function orSecret<T>(side: Side<T> | 'psk' | undefined, psk: Secret | undefined) {
  if (side !== 'psk') return side;
  return psk && { authentication: { type: 'psk', psk } as const, identities: [] };
}

/** A key that nobody uses is a mistake. */
function refuseSecret(entry: ConnectionFile, complain: Complain): void {
  for (const key of ['psk_file', 'psk_credential'] as const) {
    if (entry[key] === undefined) continue;
    const allowed = 'a pre-shared key only where one side has no certificate';
    complain([key], 'found beside certificates of both sides', allowed);
  }
}

/** The keys of a connection that are about certificates. */
export interface CertificateKeys {
  readonly local: Pick<ConnectionFile['local'], 'cert' | 'key' | 'rsa_padding'>;
  readonly remote: Pick<
    ConnectionFile['remote'],
    'ca' | 'cert' | 'crl' | 'revocation' | 'on_revocation'
  >;
}

/**
 * What each side has in place of the pre-shared key. `psk`: nothing; undefined: it should have, and
 * cannot.
 * @param complain  is given paths within the connection
 */
export function readCertificates(folder: string, keys: CertificateKeys, complain: Complain) {
  const reader = new CertificateReader(folder, keys, complain);
  return { local: reader.local(), remote: reader.remote() };
}

class CertificateReader {
  readonly #folder: string;
  readonly #keys: CertificateKeys;
  readonly #complain: Complain;

  constructor(folder: string, keys: CertificateKeys, complain: Complain) {
    this.#folder = folder;
    this.#keys = keys;
    this.#complain = complain;
  }

  #complainAt(path: KeyPath): Complain {
    return (_, ...rest) => this.#complain(path, ...rest);
  }

  #path(file: string): string {
    return resolve(this.#folder, file);
  }

  local(): Side<OwnCertificate> | 'psk' | undefined {
    const { cert, key, rsa_padding: rsaPadding } = this.#keys.local;
    if (cert === undefined || key === undefined) {
      if (cert === undefined && key === undefined) return 'psk';
      const missing = cert === undefined ? 'cert' : 'key';
      this.#complainAt(['local'])([], `${missing} is missing`, 'cert and key, or neither');
      return undefined;
    }
    const complain = this.#complainAt(['local', 'cert']);
    const chain = readCertificateFile(this.#path(cert), complain);
    const [leaf] = chain ?? [];
    if (chain === undefined || leaf === undefined) return undefined;
    const problem = weaknessOf(leaf.publicKey) ?? refuseUsage(leaf);
    if (problem !== undefined) complain([], problem, 'a certificate that peers may accept');
    const keyPath = this.#path(key);
    const privateKey = readPrivateKey(keyPath, leaf, this.#complainAt(['local', 'key']));
    if (privateKey === undefined) return undefined;
    const authentication: OwnCertificate = {
      type: 'certificate',
      key: privateKey,
      chain: chain.map(({ der }) => der),
      rsaPadding,
    };
    return { authentication, identities: identitiesOf(leaf) };
  }

  remote(): Side<Trust> | 'psk' | undefined {
    const { ca, cert, crl = [], revocation, on_revocation } = this.#keys.remote;
    if (ca === undefined && cert === undefined) {
      for (const key of ['crl', 'revocation', 'on_revocation'] as const) {
        if (this.#keys.remote[key] === undefined) continue;
        this.#complainAt(['remote', key])([], 'found without certificates', '"ca" beside it');
      }
      return 'psk';
    }
    const anchors = ca?.map((file, i) => this.#anchors(file, ['remote', 'ca', i])) ?? [];
    const at = this.#complainAt(['remote', 'cert']);
    const pinned = cert === undefined ? undefined : readCertificateFile(this.#path(cert), at)?.[0];
    const crls = crl.map((file, i) => {
      return readCrlFile(this.#path(file), this.#complainAt(['remote', 'crl', i]));
    });
    if ([...anchors, ...crls].includes(undefined)) return undefined;
    if (cert !== undefined && pinned === undefined) return undefined;
    const authentication: Trust = {
      type: 'certificate',
      anchors: anchors.flatMap((each) => each ?? []).map(anchorOf),
      pinned: pinned?.der,
      crls: crls.flatMap((each) => each ?? []),
      revocation: revocation ?? 'relaxed',
      onRevocation: on_revocation ?? 'close',
    };
    return { authentication, identities: pinned === undefined ? [] : identitiesOf(pinned) };
  }

  #anchors(file: string, path: KeyPath): Certificate[] | undefined {
    const complain = this.#complainAt(path);
    const certificates = readCertificateFile(this.#path(file), complain);
    for (const { facts, publicKey } of certificates ?? []) {
      const weakness = weaknessOf(publicKey);
      if (!facts.isCa)
        complain([], `${file} is no certificate of an authority`, 'one with CA:TRUE');
      else if (weakness !== undefined) complain([], weakness, 'an authority that can be trusted');
    }
    return certificates;
  }
}

function anchorOf({ der, publicKey }: Certificate) {
  const info = publicKey.export({ type: 'spki', format: 'der' });
  return { certificate: der, keyHash: new Uint8Array(createHash('sha1').update(info).digest()) };
}
