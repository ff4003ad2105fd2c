/**
 * A certificate authority for a test set-up or a small site (RFC 5280, RFC 4945 §5): certificates
 * and CRLs, made by OpenSSL. Files are for others.
 */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { addon } from '../dataplane/addon.js';
import { formatIdentity, type Identity } from '../policy/identity.js';
import { ID_TYPE } from '../wire/index.js';

/** The types of keys that peers know, preferred first. */
export const KEY_TYPES = [
  'ecdsa-p256',
  'ecdsa-p384',
  'ecdsa-p521',
  'ed25519',
  'ed448',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
] as const;
export type KeyType = (typeof KEY_TYPES)[number];

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export function makeKeyPair(type: KeyType): KeyPair {
  const [kind, size] = type.split('-') as [string, string?];
  switch (kind) {
    case 'ecdsa':
      return generateKeyPairSync('ec', { namedCurve: `P-${size!.slice(1)}` });
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: Number(size) });
    default:
      return kind === 'ed448' ? generateKeyPairSync('ed448') : generateKeyPairSync('ed25519');
  }
}

/** Who signs. */
export interface Signer {
  /** In DER; absent for what signs itself. */
  readonly certificate?: Uint8Array;
  readonly key: KeyObject;
}

export interface Order {
  /** Name in DER. */
  readonly subject: Uint8Array;
  readonly publicKey: KeyObject;
  readonly authority: boolean;
  /** What it proves besides its subject: host names, mail addresses, addresses. */
  readonly identities: readonly Identity[];
  readonly crlUrls: readonly string[];
  readonly ocspUrls: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly days: number;
}

/** Clocks that are slow take it at once all the same. */
const EARLY_SECONDS = 300;
const DAY_SECONDS = 86_400;

/** A certificate in DER. */
export function issueCertificate(order: Order, { certificate, key }: Signer): Uint8Array {
  const now = Math.floor(order.now / 1000);
  // RFC 5280 §4.1.2.2: positive, at most 20 octets; not to be foretold.
  const serial = new Uint8Array(randomBytes(16));
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return withKey(key, (signingKey) =>
    addon.makeCertificate({
      subject: order.subject,
      publicKey: order.publicKey.export({ type: 'spki', format: 'der' }),
      ...(certificate === undefined ? {} : { issuer: certificate }),
      signingKey,
      serial,
      notBefore: now - EARLY_SECONDS,
      notAfter: now + order.days * DAY_SECONDS,
      extensions: extensionsOf(order),
    }),
  );
}

function extensionsOf({ authority, identities, crlUrls, ocspUrls }: Order) {
  const names = identities.map(altName);
  const basic = authority ? 'critical,CA:TRUE' : 'critical,CA:FALSE';
  const usage = authority ? 'critical,keyCertSign,cRLSign' : 'critical,digitalSignature';
  const rows: readonly (readonly [string, string])[] = [
    ['basicConstraints', basic],
    ['keyUsage', usage],
    ['subjectKeyIdentifier', 'hash'],
    ['authorityKeyIdentifier', 'keyid:always'],
    ['subjectAltName', names.join(',')],
    ['crlDistributionPoints', crlUrls.map((url) => `URI:${url}`).join(',')],
    ['authorityInfoAccess', ocspUrls.map((url) => `OCSP;URI:${url}`).join(',')],
  ];
  return rows.filter(([, value]) => value !== '').map(([name, value]) => ({ name, value }));
}

/** As OpenSSL writes a subject alternative name (RFC 4945 §5.1.3.6). */
function altName(identity: Identity): string {
  const text = formatIdentity(identity);
  if (text.includes(',')) throw new RangeError(`an identity with a comma: "${text}"`);
  switch (identity.type) {
    case ID_TYPE.ID_FQDN:
      return `DNS:${text}`;
    case ID_TYPE.ID_RFC822_ADDR:
      return `email:${text}`;
    case ID_TYPE.ID_IPV4_ADDR:
    case ID_TYPE.ID_IPV6_ADDR:
      return `IP:${text}`;
    default:
      throw new RangeError(`no certificate proves an identity of this type: "${text}"`);
  }
}

export interface Revoked {
  /** Hexadecimal digits. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** A CRL in DER. */
export function issueCrl(
  { certificate, key }: Required<Signer>,
  revoked: readonly Revoked[],
  { now, days }: Pick<Order, 'now' | 'days'>,
): Uint8Array {
  const seconds = Math.floor(now / 1000);
  return withKey(key, (signingKey) =>
    addon.makeCrl({
      issuer: certificate,
      signingKey,
      // RFC 5280 §5.2.3: it grows with each.
      number: now,
      thisUpdate: seconds - EARLY_SECONDS,
      nextUpdate: seconds + days * DAY_SECONDS,
      revoked: revoked.map(({ serial, at }) => ({
        serial: Uint8Array.from(Buffer.from(serial, 'hex')),
        time: Math.floor(at / 1000),
      })),
    }),
  );
}

/** The key in DER, for as long as it takes. */
function withKey<T>(key: KeyObject, use: (pkcs8: Uint8Array) => T): T {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  try {
    return use(der);
  } finally {
    der.fill(0);
  }
}
