/**
 * Certificate authorities for tests, made by the openssl command: what is verified here was not
 * made by us.
 */
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PrivateKey } from '../src/crypto/private-key.js';
import type { OwnCertificate, Trust } from '../src/policy/authentication.js';

/** In the words of `openssl genpkey`, with what follows the colon as its option. */
export type KeyKind =
  | `rsa:${number}`
  | `rsa-pss:${number}`
  | 'rsa-e3'
  | 'ec:P-256'
  | 'ec:P-384'
  | 'ec:P-521'
  | 'ed25519'
  | 'ed448';

/** For `openssl req`, with the size behind the last word. */
const GENERATE: Readonly<Record<string, readonly string[]>> = {
  rsa: ['rsa', 'rsa_keygen_bits:'],
  'rsa-pss': ['rsa-pss', 'rsa_keygen_bits:'],
  'rsa-e3': ['rsa', 'rsa_keygen_pubexp:3'],
  ec: ['ec', 'ec_paramgen_curve:'],
  ed25519: ['ed25519'],
  ed448: ['ed448'],
};

export interface CertificateOptions {
  readonly key?: KeyKind;
  /** Default: itself. */
  readonly issuer?: string;
  /** Default: `/C=CH/O=Example/CN=` and the name. */
  readonly subject?: string;
  readonly ca?: boolean;
  /** Lines of an openssl extension section, such as `subjectAltName = DNS:a.example.org`. */
  readonly extensions?: readonly string[];
  /** These lines and no others. */
  readonly only?: readonly string[];
  readonly days?: number;
  readonly hash?: string;
}

export class Authorities {
  readonly folder = mkdtempSync(join(tmpdir(), 'esplane-pki-'));
  #serial = 0;

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  write(file: string, text: string): void {
    writeFileSync(this.path(file), text);
  }

  /** Makes NAME.key and NAME.pem. */
  make(name: string, options: CertificateOptions = {}): this {
    const { key = 'ec:P-256', issuer, ca = false, days = 30, hash = 'sha256' } = options;
    const { subject = `/C=CH/O=Example/CN=${name}` } = options;
    const extensions = ca
      ? ['basicConstraints = critical, CA:TRUE', 'keyUsage = critical, keyCertSign, cRLSign']
      : ['basicConstraints = CA:FALSE'];
    const all = options.only ?? [...extensions, ...(options.extensions ?? [])];
    const config = `[req]\ndistinguished_name = dn\n[dn]\n[all]\n${all.join('\n')}\n`;
    this.write(`${name}.conf`, config);
    const [kind, size = ''] = key.split(':');
    const [algorithm, option] = GENERATE[kind!]!;
    const generate = option === undefined ? [] : ['-pkeyopt', `${option}${size}`];
    const signer =
      issuer === undefined
        ? []
        : ['-CA', this.path(`${issuer}.pem`), '-CAkey', this.path(`${issuer}.key`)];
    this.openssl(
      ['req', '-x509', '-new', '-noenc', '-newkey', algorithm!, ...generate, ...signer],
      ['-config', this.path(`${name}.conf`), '-extensions', 'all', `-${hash}`],
      ['-subj', subject, '-days', `${days}`, '-set_serial', `${1000 + ++this.#serial}`],
      ['-keyout', this.path(`${name}.key`), '-out', this.path(`${name}.pem`)],
    );
    return this;
  }

  /** Writes an index as `openssl ca` and `openssl ocsp` have it; the path of the file. */
  index(file: string, good: readonly string[], revoked: readonly string[]): string {
    const line = (name: string, state: string) =>
      `${state}\t${this.x509(name).serialNumber}\tunknown\t/CN=${name}\n`;
    const lines = [
      ...revoked.map((name) => line(name, 'R\t400101000000Z\t200101000000Z')),
      ...good
        .filter((name) => !revoked.includes(name))
        .map((name) => line(name, 'V\t400101000000Z\t')),
    ];
    this.write(file, lines.join(''));
    return this.path(file);
  }

  /** A CRL in DER, in which the certificates of these names are revoked. */
  crl(issuer: string, revoked: readonly string[], days = 30): Uint8Array {
    const config = `[ca]\ndefault_ca = it\n[it]\ndatabase = ${this.index('crl.txt', [], revoked)}\n`;
    writeFileSync(this.path('ca.conf'), `${config}default_md = sha256\n`);
    this.openssl(
      ['ca', '-config', this.path('ca.conf'), '-gencrl', '-crldays', `${days}`],
      ['-cert', this.path(`${issuer}.pem`), '-keyfile', this.path(`${issuer}.key`)],
      ['-out', this.path(`${issuer}.crl`)],
    );
    this.openssl(
      ['crl', '-in', this.path(`${issuer}.crl`), '-outform', 'DER'],
      ['-out', this.path('crl.der')],
    );
    return new Uint8Array(readFileSync(this.path('crl.der')));
  }

  x509(name: string): X509Certificate {
    return new X509Certificate(readFileSync(this.path(`${name}.pem`)));
  }

  der(name: string): Uint8Array {
    return new Uint8Array(this.x509(name).raw);
  }

  key(name: string): PrivateKey {
    return createPrivateKey(readFileSync(this.path(`${name}.key`)));
  }

  /** We prove ourselves with this certificate and those behind it. */
  own([leaf, ...others]: readonly [string, ...string[]]): OwnCertificate {
    const chain = [leaf, ...others].map((name) => this.der(name));
    return { type: 'certificate', key: this.key(leaf), chain, rsaPadding: 'pss' };
  }

  /** The peer has to have a certificate of one of these authorities. */
  trust(authorities: readonly string[], more: Partial<Trust> = {}): Trust {
    const anchors = authorities.map((name) => {
      const info = this.x509(name).publicKey.export({ type: 'spki', format: 'der' });
      const keyHash = new Uint8Array(createHash('sha1').update(info).digest());
      return { certificate: this.der(name), keyHash };
    });
    const none = {
      pinned: undefined,
      crls: [],
      revocation: 'relaxed',
      onRevocation: 'close',
    } as const;
    return { type: 'certificate', anchors, ...none, ...more };
  }

  openssl(...args: readonly (readonly string[])[]): void {
    execFileSync('openssl', args.flat(), { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
