/**
 * What each side says of the signatures that it verifies, so that the other signs with something
 * that it does: SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4) and SUPPORTED_AUTH_METHODS (RFC 9593).
 *
 * Left out of the latter: links to single authorities, which are neither made nor heeded, and its
 * way through IKE_INTERMEDIATE.
 */
import {
  ANNOUNCED_ALGORITHMS,
  ANNOUNCED_HASHES,
  type Announcement,
  readIdentifier,
  writeIdentifier,
} from '../../crypto/signature-scheme.js';
import { usesCertificates } from '../../policy/authentication.js';
import type { Connection } from '../../policy/connection.js';
import { AUTH_METHOD, NOTIFY, type Payload, type PayloadOf } from '../../wire/index.js';
import { notify, notifyOf } from '../messages/payloads.js';

/** Which hashes we verify signatures of, where a connection has use for it (RFC 7427 §4). */
export function announceHashes(connections: readonly Connection[]): PayloadOf<'N'>[] {
  if (!connections.some(usesCertificates)) return [];
  const data = Uint8Array.from(ANNOUNCED_HASHES.flatMap((hash) => [hash >> 8, hash & 0xff]));
  return [notify(NOTIFY.SIGNATURE_HASH_ALGORITHMS, data)];
}

/** The hashes that the peer verifies signatures of; undefined: it does not know RFC 7427. */
export function readHashes(payloads: readonly Payload[]): readonly number[] | undefined {
  const announced = notifyOf(payloads, NOTIFY.SIGNATURE_HASH_ALGORITHMS);
  if (announced === undefined) return undefined;
  const { data } = announced;
  const count = Math.floor(data.length / 2);
  return Array.from({ length: count }, (_, i) => data[2 * i]! * 256 + data[2 * i + 1]!);
}

/** No certificate authority in particular (RFC 9593 §3.2.2). */
const ANY_AUTHORITY = 0;

/** RFC 9593 §3.2.2: of methods with a key pair, other than Digital Signature. */
const OLDER_METHODS: readonly number[] = [
  AUTH_METHOD.ECDSA_SHA256_P256,
  AUTH_METHOD.ECDSA_SHA384_P384,
  AUTH_METHOD.ECDSA_SHA512_P521,
  AUTH_METHOD.RSA_DIGITAL_SIGNATURE,
];

/** RFC 9593 §3.2.3: Digital Signature, each with an algorithm's identifier. */
const DIGITAL_SIGNATURES: readonly (readonly number[])[] = ANNOUNCED_ALGORITHMS.map((algorithm) => {
  const identifier = writeIdentifier(algorithm);
  const head = [3 + identifier.length, AUTH_METHOD.DIGITAL_SIGNATURE, ANY_AUTHORITY];
  return [...head, ...identifier];
});

/** By which methods the peers of these connections may prove themselves, where one has a choice. */
export function announceMethods(connections: readonly Connection[]): PayloadOf<'N'>[] {
  const types = new Set(connections.map(({ remote }) => remote.authentication.type));
  if (!types.has('certificate')) return [];
  const announcements = [
    ...DIGITAL_SIGNATURES,
    ...OLDER_METHODS.map((method) => [3, method, ANY_AUTHORITY]),
    ...(types.has('psk') ? [[2, AUTH_METHOD.SHARED_KEY_MIC]] : []),
  ];
  return [notify(NOTIFY.SUPPORTED_AUTH_METHODS, Uint8Array.from(announcements.flat()))];
}

/** What the peer announces; undefined: nothing, or what cannot be read. */
export function readMethods(payloads: readonly Payload[]): readonly Announcement[] | undefined {
  const announced = notifyOf(payloads, NOTIFY.SUPPORTED_AUTH_METHODS);
  if (announced === undefined) return undefined;
  const { data } = announced;
  const announcements: Announcement[] = [];
  for (let at = 0; at < data.length; ) {
    const length = data[at]!;
    const method = data[at + 1];
    if (length < 2 || method === undefined || at + length > data.length) return undefined;
    if (method !== AUTH_METHOD.DIGITAL_SIGNATURE) announcements.push({ method });
    else {
      const algorithm = readIdentifier(data.subarray(at + 3, at + length));
      if (algorithm !== undefined) announcements.push({ method, algorithm });
    }
    at += length;
  }
  return announcements;
}
