/**
 * A certificate as authentication sees it: what it says, its public key, and whether it may be used
 * for IKE and for an identity (RFC 4945 §3, §5).
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { addon } from '../dataplane/addon.js';
import type { CertificateFacts } from '../dataplane/bindings/pki.js';
import { formatIdentity, type Identity, nameIdentity, sameIdentity } from '../policy/identity.js';
import { ID_TYPE } from '../wire/index.js';

export interface Certificate {
  readonly der: Uint8Array;
  readonly facts: CertificateFacts;
  readonly publicKey: KeyObject;
}

/** OpenSSL's KU_ bits. */
const DIGITAL_SIGNATURE = 0x80;
const NON_REPUDIATION = 0x40;

/**
 * RFC 4945 §5.1.3.12 wants ipsecIKE or anyExtendedKeyUsage, and the field also has certificates for
 * servers and clients of TLS, and Microsoft's ikeIntermediate.
 */
const IKE_USAGES: readonly string[] = [
  '1.3.6.1.5.5.7.3.17', // id-kp-ipsecIKE
  '2.5.29.37.0', // anyExtendedKeyUsage
  '1.3.6.1.5.5.8.2.2', // ikeIntermediate
  '1.3.6.1.5.5.7.3.1', // serverAuth
  '1.3.6.1.5.5.7.3.2', // clientAuth
];

/** The ID types that a subject alternative name can stand for (RFC 4945 §3.1), by its tag. */
const ALT_NAME_TYPES: Readonly<Record<number, (value: Uint8Array) => number>> = {
  1: () => ID_TYPE.ID_RFC822_ADDR,
  2: () => ID_TYPE.ID_FQDN,
  4: () => ID_TYPE.ID_DER_ASN1_DN,
  7: ({ length }) => (length === 4 ? ID_TYPE.ID_IPV4_ADDR : ID_TYPE.ID_IPV6_ADDR),
};

/** Undefined where it is no certificate, or has a key that OpenSSL does not know. */
export function readCertificate(der: Uint8Array): Certificate | undefined {
  const facts = addon.certificateFacts(der);
  if (facts === null) return undefined;
  try {
    return { der, facts, publicKey: new X509Certificate(der).publicKey };
  } catch {
    return undefined;
  }
}

/** Whose certificate it is, such as `C=CH, O=Example, CN=gw`; its serial number where it has no name. */
export function describeCertificate({ facts }: Certificate): string {
  const name = formatIdentity(nameIdentity(facts.subject));
  return name === '' ? `number ${facts.serial}` : `"${name}"`;
}

/** The identities that it proves: its subject and its subject alternative names. */
export function identitiesOf({ facts }: Certificate): Identity[] {
  const subject = nameIdentity(facts.subject);
  const alternatives = facts.altNames.flatMap(({ tag, value }) => {
    const type = ALT_NAME_TYPES[tag]?.(value);
    return type === undefined ? [] : [{ type, data: value }];
  });
  // An empty subject is no name (RFC 5280 §4.1.2.6).
  return facts.subject.length > 2 ? [subject, ...alternatives] : alternatives;
}

/** RFC 4945 §3.1: equal to one of them; no wildcard, and no host name from a common name. */
export function provesIdentity(certificate: Certificate, identity: Identity): boolean {
  return identitiesOf(certificate).some((own) => sameIdentity(own, identity));
}

/** Why its key may not sign in IKE, as it says itself. */
export function refuseUsage({ facts }: Certificate): string | undefined {
  const { keyUsage, extendedKeyUsage } = facts;
  // RFC 4945 §5.1.3.2.
  if (keyUsage !== undefined && (keyUsage & (DIGITAL_SIGNATURE | NON_REPUDIATION)) === 0) {
    return 'its key usage has neither digitalSignature nor nonRepudiation';
  }
  if (extendedKeyUsage.length > 0 && !extendedKeyUsage.some((oid) => IKE_USAGES.includes(oid))) {
    return `its extended key usage is not for IKE: ${extendedKeyUsage.join(', ')}`;
  }
  return undefined;
}
