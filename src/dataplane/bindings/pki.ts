/** The addon's certificates, typed: native/addon/pki_binding.cc. */

/** What a certificate says (native/pki/certificate.h). Names are in DER. */
export interface CertificateFacts {
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  /** Hexadecimal digits. */
  readonly serial: string;
  /** Tag of GeneralName (RFC 5280 §4.2.1.6): 1 mail, 2 host, 4 name, 6 URI, 7 address. */
  readonly altNames: readonly { readonly tag: number; readonly value: Uint8Array }[];
  readonly isCa: boolean;
  /** Bits as OpenSSL has them: 0x80 digitalSignature, 0x40 nonRepudiation. Absent: any use. */
  readonly keyUsage?: number;
  /** Object identifiers. */
  readonly extendedKeyUsage: readonly string[];
  /** Of CRL distribution points and of OCSP responders, by http. */
  readonly crlUrls: readonly string[];
  readonly ocspUrls: readonly string[];
}

/** Whether a certificate is revoked. 0: it is not; 23: it is; others: why nothing is known. */
export interface RevocationStatus {
  readonly code: number;
  readonly reason: string;
}

/** What was found about a path of certificates (native/pki/trust_store.h). */
export interface PathResult {
  /** An X509_V_ERR of OpenSSL for the certificate at `depth`, 0 being the leaf; 0: all is well. */
  readonly code: number;
  readonly reason: string;
  readonly depth: number;
  /** In DER, leaf first, the trust anchor last; as far as it was built. */
  readonly path: readonly Uint8Array[];
  /** What CRLs say of each but the anchor. */
  readonly revocation: readonly RevocationStatus[];
}

export interface NativeTrustStore {
  /** @param time seconds since 1970 */
  verify(certificates: readonly Uint8Array[], time: number): PathResult;
}

/** What `makeCertificate` makes (native/pki/issue.h). Times are seconds since 1970. */
export interface CertificateOrder {
  /** Name in DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** Absent: it is self-signed. */
  readonly issuer?: Uint8Array;
  /** The issuer's, PKCS #8 in DER. */
  readonly signingKey: Uint8Array;
  readonly serial: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  /** In the words of OpenSSL's x509v3_config(5). */
  readonly extensions: readonly { readonly name: string; readonly value: string }[];
}

export interface CrlOrder {
  readonly issuer: Uint8Array;
  readonly signingKey: Uint8Array;
  readonly number: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly revoked: readonly { readonly serial: Uint8Array; readonly time: number }[];
}

/** native/addon/pki_binding.cc. All certificates and CRLs are in DER. */
export interface PkiBinding {
  /** Null where it is no certificate. */
  certificateFacts(certificate: Uint8Array): CertificateFacts | null;
  /** An OCSPRequest in DER (native/pki/ocsp.h). */
  ocspRequest(certificate: Uint8Array, issuer: Uint8Array): Uint8Array;
  /** What a responder says; any octets may be given. `time`: seconds since 1970. */
  ocspStatus(
    response: Uint8Array,
    certificate: Uint8Array,
    issuer: Uint8Array,
    time: number,
  ): RevocationStatus;
  /** Both answer DER, and throw TypeError for what OpenSSL does not take. */
  makeCertificate(order: CertificateOrder): Uint8Array;
  makeCrl(order: CrlOrder): Uint8Array;
  /** Throws TypeError for what does not parse. */
  readonly TrustStore: new (
    anchors: readonly Uint8Array[],
    crls: readonly Uint8Array[],
  ) => NativeTrustStore;
}
