/**
 * The signature schemes of AUTH payloads: Digital Signature (RFC 7427, and RFC 8420 for the Edwards
 * curves), and the older methods 1 (RSA, RFC 7296 §3.8) and 9 to 11 (ECDSA, RFC 4754) for peers
 * that do not know it.
 *
 * SHA-1 occurs with method 1 alone, where peers know nothing else (RFC 8247 §4.1, §4.2). Left out:
 * DSS, which RFC 8247 does not want.
 */
import type { KeyObject } from 'node:crypto';
import {
  AUTH_METHOD,
  DER_TAG,
  type DerElement,
  formatOid,
  HASH,
  nameOf,
  readDer,
  readDerOnly,
  writeDer,
  writeOid,
} from '../wire/index.js';

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';
export type RsaPadding = 'pss' | 'pkcs1';

/** What a signature is made with; the key says the rest. Salt lengths are in octets. */
export type SignatureAlgorithm =
  | { readonly type: 'rsa'; readonly hash: HashName; readonly padding: 'pkcs1' }
  | {
      readonly type: 'rsa';
      readonly hash: HashName;
      readonly padding: 'pss';
      readonly saltLength: number;
    }
  /** In method 14 as DER; in methods 9 to 11 both numbers side by side, on a curve of its own. */
  | { readonly type: 'ecdsa'; readonly hash: HashName; readonly curve?: string }
  | { readonly type: 'ed25519' | 'ed448' };

/** A method by which a peer says that we may prove ourselves; the algorithm with method 14. */
export interface Announcement {
  readonly method: number;
  readonly algorithm?: SignatureAlgorithm;
}

/** What a peer has said of the signatures that it verifies. */
export interface PeerKnows {
  /** SIGNATURE_HASH_ALGORITHMS; undefined: it does not know RFC 7427. */
  readonly hashes: readonly number[] | undefined;
  /** SUPPORTED_AUTH_METHODS (RFC 9593); undefined: it has not said. */
  readonly methods: readonly Announcement[] | undefined;
}

/** How an AUTH payload is made. */
export interface SignatureScheme {
  /** Authentication Method of the payload. */
  readonly method: number;
  readonly algorithm: SignatureAlgorithm;
}

const HASH_OCTETS = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;
const SHA2 = ['sha256', 'sha384', 'sha512'] as const;

/** What we announce in SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4, RFC 8420 §2). */
export const ANNOUNCED_HASHES: readonly number[] = [
  HASH.SHA2_256,
  HASH.SHA2_384,
  HASH.SHA2_512,
  HASH.IDENTITY,
];

/** What we announce of Digital Signature in SUPPORTED_AUTH_METHODS, preferred first. */
export const ANNOUNCED_ALGORITHMS: readonly SignatureAlgorithm[] = [
  { type: 'ed25519' },
  { type: 'ed448' },
  ...SHA2.map((hash) => ({ type: 'ecdsa', hash }) as const),
  ...SHA2.map(pssWith),
  ...SHA2.map((hash) => ({ type: 'rsa', hash, padding: 'pkcs1' }) as const),
];

const HASH_IDS: Readonly<Record<HashName, number>> = {
  sha1: HASH.SHA1,
  sha256: HASH.SHA2_256,
  sha384: HASH.SHA2_384,
  sha512: HASH.SHA2_512,
};

const ECDSA_METHODS: Readonly<Record<number, SignatureAlgorithm>> = {
  [AUTH_METHOD.ECDSA_SHA256_P256]: { type: 'ecdsa', hash: 'sha256', curve: 'prime256v1' },
  [AUTH_METHOD.ECDSA_SHA384_P384]: { type: 'ecdsa', hash: 'sha384', curve: 'secp384r1' },
  [AUTH_METHOD.ECDSA_SHA512_P521]: { type: 'ecdsa', hash: 'sha512', curve: 'secp521r1' },
};

// --- the choice -------------------------------------------------------------------------------

/**
 * What to sign with: what the peer has announced, in our order, else what it should know.
 * @param padding  of RSA, unless the peer announces the other one alone
 * @returns undefined: the peer cannot verify what this key signs
 */
export function chooseScheme(
  key: KeyObject,
  padding: RsaPadding,
  { hashes, methods }: PeerKnows,
): SignatureScheme | undefined {
  const known = schemesOf(key, padding).filter(
    ({ method, algorithm }) =>
      method !== AUTH_METHOD.DIGITAL_SIGNATURE || hashes?.includes(hashIdOf(algorithm)) === true,
  );
  // Nothing is authentic yet: nobody may have us sign with SHA-1 where the peer knows better.
  const schemes = known.filter(({ algorithm }) => known.length === 1 || !usesSha1(algorithm));
  return schemes.find((scheme) => methods?.some((one) => announces(one, scheme))) ?? schemes[0];
}

function announces(announced: Announcement, { method, algorithm }: SignatureScheme): boolean {
  if (announced.method !== method) return false;
  if (announced.algorithm === undefined) return true;
  return describeAlgorithm(announced.algorithm) === describeAlgorithm(algorithm);
}

/** All that a key can sign with, preferred first. */
function schemesOf(key: KeyObject, padding: RsaPadding): SignatureScheme[] {
  const paddings: RsaPadding[] = padding === 'pss' ? ['pss', 'pkcs1'] : ['pkcs1', 'pss'];
  const digital = paddings.flatMap((one) => algorithmsOf(key, one));
  const older = olderScheme(key);
  return [
    ...digital.map((algorithm) => ({ method: AUTH_METHOD.DIGITAL_SIGNATURE, algorithm })),
    ...(older === undefined ? [] : [older]),
  ];
}

/** What a key can sign with by RFC 7427, the hash that suits its strength first. */
function algorithmsOf(key: KeyObject, padding: RsaPadding): SignatureAlgorithm[] {
  const details = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss': {
      const pss = padding === 'pss' || key.asymmetricKeyType === 'rsa-pss';
      const hashes = strongFrom((details.modulusLength ?? 0) > 3072 ? 1 : 0);
      return hashes.map((hash) => (pss ? pssWith(hash) : { type: 'rsa', hash, padding: 'pkcs1' }));
    }
    case 'ec': {
      const curves = Object.values(ECDSA_METHODS).map((row) => 'curve' in row && row.curve);
      const strength = curves.indexOf(details.namedCurve ?? '');
      return strength < 0 ? [] : strongFrom(strength).map((hash) => ({ type: 'ecdsa', hash }));
    }
    case 'ed25519':
    case 'ed448':
      return [{ type: key.asymmetricKeyType }];
    default:
      return [];
  }
}

/** From this strength upwards, then the weaker ones. */
function strongFrom(strength: number): HashName[] {
  return [...SHA2.slice(strength), ...SHA2.slice(0, strength).reverse()];
}

function pssWith(hash: HashName): SignatureAlgorithm {
  return { type: 'rsa', hash, padding: 'pss', saltLength: HASH_OCTETS[hash] };
}

/** RFC 7296 §3.8: SHA-1 is what each peer of method 1 knows. */
function olderScheme(key: KeyObject): SignatureScheme | undefined {
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = { type: 'rsa', hash: 'sha1', padding: 'pkcs1' } as const;
    return { method: AUTH_METHOD.RSA_DIGITAL_SIGNATURE, algorithm };
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  for (const [method, algorithm] of Object.entries(ECDSA_METHODS)) {
    if (curve !== undefined && 'curve' in algorithm && algorithm.curve === curve) {
      return { method: Number(method), algorithm };
    }
  }
  return undefined;
}

function usesSha1(algorithm: SignatureAlgorithm): boolean {
  return 'hash' in algorithm && algorithm.hash === 'sha1';
}

function hashIdOf(algorithm: SignatureAlgorithm): number {
  return 'hash' in algorithm ? HASH_IDS[algorithm.hash] : HASH.IDENTITY;
}

// --- the octets of AUTH -----------------------------------------------------------------------

/** Authentication Data of a signature: with method 14 its algorithm stands before it (§3). */
export function authData({ method, algorithm }: SignatureScheme, signature: Uint8Array) {
  if (method !== AUTH_METHOD.DIGITAL_SIGNATURE) return signature;
  const identifier = writeIdentifier(algorithm);
  return Uint8Array.of(identifier.length, ...identifier, ...signature);
}

/** A signature as it came, and what it may have been made with: one of these, with method 1. */
export interface ReceivedSignature {
  readonly algorithms: readonly SignatureAlgorithm[];
  readonly signature: Uint8Array;
}

/** Reads Authentication Data; undefined: no signature that we know. */
export function readAuthData(method: number, data: Uint8Array): ReceivedSignature | undefined {
  switch (method) {
    case AUTH_METHOD.DIGITAL_SIGNATURE: {
      const length = data[0] ?? 0;
      const algorithm = readIdentifier(data.subarray(1, 1 + length));
      if (algorithm === undefined || data.length < 1 + length) return undefined;
      return { algorithms: [algorithm], signature: data.subarray(1 + length) };
    }
    case AUTH_METHOD.RSA_DIGITAL_SIGNATURE: {
      const hashes = ['sha1', ...SHA2] as const;
      const algorithms = hashes.map((hash) => ({ type: 'rsa', hash, padding: 'pkcs1' }) as const);
      return { algorithms, signature: data };
    }
    default: {
      const algorithm = ECDSA_METHODS[method];
      return algorithm && { algorithms: [algorithm], signature: data };
    }
  }
}

/** Such as `RSASSA-PSS with SHA2_256`; what is no identifier we know, by its number. */
export function describeAuthData(method: number, data: Uint8Array): string {
  const received = readAuthData(method, data);
  if (method !== AUTH_METHOD.DIGITAL_SIGNATURE) return `method ${nameOf(AUTH_METHOD, method)}`;
  if (received !== undefined) return describeAlgorithm(received.algorithms[0]!);
  const [oid] = readDerOnly(DER_TAG.SEQUENCE, data.subarray(1, 1 + (data[0] ?? 0))) ?? [];
  return `algorithm ${oid?.tag === DER_TAG.OBJECT_IDENTIFIER ? formatOid(oid.content) : 'unknown'}`;
}

export function describeAlgorithm(algorithm: SignatureAlgorithm): string {
  if (!('hash' in algorithm)) return algorithm.type === 'ed25519' ? 'Ed25519' : 'Ed448';
  const hash = nameOf(HASH, HASH_IDS[algorithm.hash]);
  if (algorithm.type === 'ecdsa') return `ECDSA with ${hash}`;
  return `${algorithm.padding === 'pss' ? 'RSASSA-PSS' : 'RSASSA-PKCS1-v1_5'} with ${hash}`;
}

// --- AlgorithmIdentifier ----------------------------------------------------------------------

const RSASSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';
const NULL = writeDer(DER_TAG.NULL);

/** Those whose parameters are NULL (RSA) or absent. */
const PLAIN: readonly (readonly [string, SignatureAlgorithm])[] = [
  ['1.2.840.113549.1.1.11', { type: 'rsa', hash: 'sha256', padding: 'pkcs1' }],
  ['1.2.840.113549.1.1.12', { type: 'rsa', hash: 'sha384', padding: 'pkcs1' }],
  ['1.2.840.113549.1.1.13', { type: 'rsa', hash: 'sha512', padding: 'pkcs1' }],
  ['1.2.840.10045.4.3.2', { type: 'ecdsa', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { type: 'ecdsa', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { type: 'ecdsa', hash: 'sha512' }],
  ['1.3.101.112', { type: 'ed25519' }],
  ['1.3.101.113', { type: 'ed448' }],
];

const HASH_OIDS: readonly (readonly [string, HashName])[] = [
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
];

/** The octets of RFC 7427 App. A and RFC 8420 App. A. */
export function writeIdentifier(algorithm: SignatureAlgorithm): Uint8Array {
  if (algorithm.type === 'rsa' && algorithm.padding === 'pss') {
    const [oid] = HASH_OIDS.find(([, hash]) => hash === algorithm.hash)!;
    const hash = writeDer(DER_TAG.SEQUENCE, writeOid(oid), NULL);
    const mgf = writeDer(DER_TAG.SEQUENCE, writeOid(MGF1), hash);
    const salt = writeDer(DER_TAG.INTEGER, Uint8Array.of(algorithm.saltLength));
    const fields = [hash, mgf, salt].map((field, i) => writeDer(0xa0 + i, field));
    const parameters = writeDer(DER_TAG.SEQUENCE, ...fields);
    return writeDer(DER_TAG.SEQUENCE, writeOid(RSASSA_PSS), parameters);
  }
  const [oid] = PLAIN.find(([, plain]) => sameAlgorithm(plain, algorithm))!;
  const parameters = algorithm.type === 'rsa' ? [NULL] : [];
  return writeDer(DER_TAG.SEQUENCE, writeOid(oid), ...parameters);
}

function sameAlgorithm(a: SignatureAlgorithm, b: SignatureAlgorithm): boolean {
  const hash = (algorithm: SignatureAlgorithm) => 'hash' in algorithm && algorithm.hash;
  return a.type === b.type && hash(a) === hash(b);
}

/** Undefined where these octets are no identifier of an algorithm that we take. */
export function readIdentifier(octets: Uint8Array): SignatureAlgorithm | undefined {
  const [oid, parameters, ...more] = readDerOnly(DER_TAG.SEQUENCE, octets) ?? [];
  if (oid?.tag !== DER_TAG.OBJECT_IDENTIFIER || more.length > 0) return undefined;
  const name = formatOid(oid.content);
  if (name === RSASSA_PSS) return readPss(parameters);
  const [, algorithm] = PLAIN.find(([plain]) => plain === name) ?? [];
  // RFC 4055 §5: of RSA they are NULL, and absent has to be taken too.
  const good = parameters === undefined || (algorithm?.type === 'rsa' && isNull(parameters));
  return good ? algorithm : undefined;
}

function isNull({ tag, content }: DerElement): boolean {
  return tag === DER_TAG.NULL && content.length === 0;
}

/** RFC 4055 §3.1. Where a field is absent it stands for SHA-1, which is not taken. */
function readPss(parameters: DerElement | undefined): SignatureAlgorithm | undefined {
  if (parameters?.tag !== DER_TAG.SEQUENCE) return undefined;
  const fields = new Map((readDer(parameters.content) ?? []).map((field) => [field.tag, field]));
  const [hashField, mgfField, saltField] = [0xa0, 0xa1, 0xa2].map((tag) => fields.get(tag));
  if (hashField === undefined || mgfField === undefined) return undefined;
  const [mgf, mgfHash] = readDerOnly(DER_TAG.SEQUENCE, mgfField.content) ?? [];
  const hash = readHash(readDerOnly(DER_TAG.SEQUENCE, hashField.content));
  if (mgf === undefined || mgfHash?.tag !== DER_TAG.SEQUENCE) return undefined;
  if (formatOid(mgf.content) !== MGF1 || hash === undefined) return undefined;
  if (readHash(readDer(mgfHash.content)) !== hash) return undefined;
  const saltLength = saltField === undefined ? 20 : readSmallInteger(saltField.content);
  return saltLength === undefined ? undefined : { type: 'rsa', hash, padding: 'pss', saltLength };
}

function readHash(identifier: DerElement[] | undefined): HashName | undefined {
  const [oid, parameters, ...more] = identifier ?? [];
  if (oid?.tag !== DER_TAG.OBJECT_IDENTIFIER || more.length > 0) return undefined;
  if (parameters !== undefined && !isNull(parameters)) return undefined;
  return HASH_OIDS.find(([known]) => known === formatOid(oid.content))?.[1];
}

function readSmallInteger(octets: Uint8Array): number | undefined {
  const [element, ...more] = readDer(octets) ?? [];
  if (element?.tag !== DER_TAG.INTEGER || more.length > 0) return undefined;
  const [value] = element.content;
  return element.content.length === 1 && value! < 0x80 ? value : undefined;
}
