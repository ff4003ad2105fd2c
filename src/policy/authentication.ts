/**
 * How the two sides of a connection prove who they are (RFC 7296 §2.15). Each side has its own
 * way; they need not be the same.
 */
import type { PrivateKey } from '../crypto/private-key.js';
import type { Secret } from '../crypto/secret.js';
import type { RsaPadding } from '../crypto/signature-scheme.js';

/** By the key that both share. */
export interface PreSharedKey {
  readonly type: 'psk';
  readonly psk: Secret;
}

/** We, by a signature. */
export interface OwnCertificate {
  readonly type: 'certificate';
  readonly key: PrivateKey;
  /** In DER. The first one is the key's, the others lead towards what the peer trusts. */
  readonly chain: readonly Uint8Array[];
  /** Of signatures with an RSA key, where the peer knows RFC 7427. */
  readonly rsaPadding: RsaPadding;
}

/** The peer, by a signature and a certificate that we trust. */
export interface Trust {
  readonly type: 'certificate';
  /** Where paths of certificates may end. */
  readonly anchors: readonly TrustAnchor[];
  /** In DER: the peer's certificate has to be this one, and then may be for any identity. */
  readonly pinned: Uint8Array | undefined;
  /** In DER. */
  readonly crls: readonly Uint8Array[];
  readonly revocation: Revocation;
  /** Of the SAs of a peer whose certificate is revoked, or over, after they were set up. */
  readonly onRevocation: 'close' | 'keep';
}

export interface TrustAnchor {
  /** In DER. */
  readonly certificate: Uint8Array;
  /** SHA-1 of its SubjectPublicKeyInfo, as a CERTREQ payload has it (RFC 7296 §3.7). */
  readonly keyHash: Uint8Array;
}

/**
 * What it takes, besides a certificate not being known as revoked. strict: each of the path is
 * known to be good. ifuri: so is each that says where that can be asked. relaxed: nothing.
 */
export type Revocation = 'strict' | 'ifuri' | 'relaxed';

export type LocalAuthentication = PreSharedKey | OwnCertificate;
export type RemoteAuthentication = PreSharedKey | Trust;

/** The sides of a connection, as far as they prove something. */
export interface Sides {
  readonly local: { readonly authentication: LocalAuthentication };
  readonly remote: { readonly authentication: RemoteAuthentication };
  readonly ppk?: { readonly secret: Secret } | undefined;
}

/** Overwrites the pre-shared keys, PPKs included. May be called twice. */
export function wipeKeys(connections: readonly Sides[]): void {
  for (const { ppk } of connections) ppk?.secret.wipe();
  for (const { authentication } of connections.flatMap(({ local, remote }) => [local, remote])) {
    if (authentication.type === 'psk') authentication.psk.wipe();
  }
}

/** Whether a certificate plays a part in proving either side. */
export function usesCertificates({ local, remote }: Sides): boolean {
  return [local, remote].some(({ authentication }) => authentication.type === 'certificate');
}
