/**
 * The folder of `esplane pki`: for each name a certificate `NAME.pem`, behind which stand those of
 * the authorities between it and the root, and its key `NAME.key`; for an authority its CRL
 * `NAME.crl`, and what is revoked, line by line, in `NAME.revoked`.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { decodePem, encodePem } from '../config/pem.js';
import { issueCrl, type Revoked } from '../pki/authority.js';
import { type Certificate, readCertificate } from '../pki/certificate.js';
import { EXIT_CODES, ExitError } from './exit.js';

const CRL_DAYS = 30;
/** Name of the authority that vouches for all others. */
export const ROOT = 'ca';

export class PkiFolder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  file(name: string): string {
    return join(this.#path, name);
  }

  #existing(name: string, kind: 'pem' | 'key'): string {
    const path = this.file(`${name}.${kind}`);
    if (existsSync(path)) return path;
    const hint = name === ROOT ? ': "esplane pki init" makes one' : '';
    throw new ExitError(EXIT_CODES.failed, `there is no ${path}${hint}`);
  }

  /** Writes a certificate and its key, which only their owner may read; never over others. */
  store(name: string, chain: readonly Uint8Array[], key: KeyObject): void {
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) {
      throw new ExitError(EXIT_CODES.usage, `not a name for a file: "${name}"`);
    }
    for (const file of [`${name}.key`, `${name}.pem`]) {
      if (existsSync(this.file(file))) {
        throw new ExitError(EXIT_CODES.failed, `${this.file(file)} is there already`);
      }
    }
    const pem = key.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(this.file(`${name}.key`), pem, { mode: 0o600, flag: 'wx' });
    const text = chain.map((der) => encodePem('CERTIFICATE', der)).join('');
    writeFileSync(this.file(`${name}.pem`), text, { flag: 'wx' });
  }

  /** The certificates of a name, its own first. */
  chain(name: string): readonly [Certificate, ...Certificate[]] {
    const path = this.#existing(name, 'pem');
    const [first, ...others] = certificatesIn(path);
    if (first === undefined) throw new ExitError(EXIT_CODES.failed, `${path} is no certificate`);
    return [first, ...others];
  }

  key(name: string): KeyObject {
    const path = this.#existing(name, 'key');
    const pem = readFileSync(path);
    try {
      return createPrivateKey(pem);
    } finally {
      pem.fill(0);
    }
  }

  /** The name of the authority in this folder that has issued a certificate. */
  issuerOf(certificate: Certificate): string {
    const issuer = this.#issuerIn(certificate);
    if (issuer !== undefined) return issuer;
    throw new ExitError(EXIT_CODES.failed, 'its authority is not in this folder');
  }

  #issuerIn({ facts }: Certificate): string | undefined {
    const names = readdirSync(this.#path).flatMap((file) => /^(.+)\.pem$/.exec(file)?.[1] ?? []);
    return names.find((name) => {
      // Others may keep other files here.
      const [candidate] = certificatesIn(this.file(`${name}.pem`));
      if (candidate === undefined || !candidate.facts.isCa) return false;
      return Buffer.compare(candidate.facts.subject, facts.issuer) === 0;
    });
  }

  /** When its authority in this folder has revoked it, by Date.now(). */
  revokedAt(certificate: Certificate): number | undefined {
    const issuer = this.#issuerIn(certificate);
    const revoked = issuer === undefined ? [] : this.#revoked(issuer);
    return revoked.find(({ serial }) => serial === certificate.facts.serial)?.at;
  }

  revoke(name: string, now: number): string {
    const [certificate] = this.chain(name);
    const authority = this.issuerOf(certificate);
    const { serial } = certificate.facts;
    if (!this.#revoked(authority).some((one) => one.serial === serial)) {
      const line = `${serial} ${new Date(now).toISOString()} ${name}\n`;
      appendFileSync(this.file(`${authority}.revoked`), line);
    }
    this.writeCrl(authority, now);
    return authority;
  }

  /** Makes the CRL of an authority anew. */
  writeCrl(authority: string, now: number): void {
    const [{ der }] = this.chain(authority);
    const signer = { certificate: der, key: this.key(authority) };
    const crl = issueCrl(signer, this.#revoked(authority), { now, days: CRL_DAYS });
    writeFileSync(this.file(`${authority}.crl`), encodePem('X509 CRL', crl));
  }

  #revoked(authority: string): Revoked[] {
    const path = this.file(`${authority}.revoked`);
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
    return lines.filter(Boolean).map((line) => {
      const [serial = '', at = ''] = line.split(' ');
      return { serial, at: Date.parse(at) };
    });
  }
}

/** None where the file holds something else, such as a key. */
function certificatesIn(path: string): Certificate[] {
  const blocks = decodePem('CERTIFICATE', readFileSync(path, 'latin1'));
  return blocks.flatMap((der) => readCertificate(der) ?? []);
}
