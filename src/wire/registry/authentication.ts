/** Identities, certificates, authentication methods, signature hashes and EAP (RFC 7296 §3.5-3.8). */
import type { Registry } from './registry.js';

/** IKEv2 Identification Payload ID Types (RFC 7296 §3.5). */
export const ID_TYPE = {
  ID_IPV4_ADDR: 1,
  ID_FQDN: 2,
  ID_RFC822_ADDR: 3,
  ID_IPV6_ADDR: 5,
  ID_DER_ASN1_DN: 9,
  ID_DER_ASN1_GN: 10,
  ID_KEY_ID: 11,
  ID_FC_NAME: 12, // RFC 4595
  ID_NULL: 13, // RFC 7619
} as const satisfies Registry;

/** IKEv2 Certificate Encodings (RFC 7296 §3.6). */
export const CERT_ENCODING = {
  PKCS7_WRAPPED_X509: 1,
  PGP: 2,
  DNS_SIGNED_KEY: 3,
  X509_SIGNATURE: 4,
  KERBEROS_TOKEN: 6,
  CRL: 7,
  ARL: 8,
  SPKI: 9,
  X509_ATTRIBUTE: 10,
  RAW_RSA_KEY: 11, // deprecated by RFC 7670
  HASH_AND_URL_X509: 12,
  HASH_AND_URL_X509_BUNDLE: 13,
  OCSP_CONTENT: 14, // RFC 4806
  RAW_PUBLIC_KEY: 15, // RFC 7670
} as const satisfies Registry;

/** IKEv2 Authentication Method (RFC 7296 §3.8). */
export const AUTH_METHOD = {
  RSA_DIGITAL_SIGNATURE: 1,
  SHARED_KEY_MIC: 2,
  DSS_DIGITAL_SIGNATURE: 3,
  ECDSA_SHA256_P256: 9, // RFC 4754
  ECDSA_SHA384_P384: 10,
  ECDSA_SHA512_P521: 11,
  GENERIC_SECURE_PASSWORD: 12, // RFC 6467
  NULL: 13, // RFC 7619
  DIGITAL_SIGNATURE: 14, // RFC 7427
} as const satisfies Registry;

/** IKEv2 Hash Algorithms, in SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4). */
export const HASH = {
  SHA1: 1,
  SHA2_256: 2,
  SHA2_384: 3,
  SHA2_512: 4,
  IDENTITY: 5, // RFC 8420
  STREEBOG_256: 6, // RFC 9385
  STREEBOG_512: 7,
} as const satisfies Registry;

/** EAP codes (RFC 3748 §4). */
export const EAP_CODE = {
  REQUEST: 1,
  RESPONSE: 2,
  SUCCESS: 3,
  FAILURE: 4,
} as const satisfies Registry;

/** EAP method types (RFC 3748 §5 and the EAP registry), those that are met with IKEv2. */
export const EAP_TYPE = {
  IDENTITY: 1,
  NOTIFICATION: 2,
  NAK: 3,
  MD5_CHALLENGE: 4,
  OTP: 5,
  GTC: 6,
  TLS: 13, // RFC 5216
  SIM: 18, // RFC 4186
  TTLS: 21, // RFC 5281
  AKA: 23, // RFC 4187
  PEAP: 25,
  MSCHAPV2: 26,
  FAST: 43, // RFC 4851
  GPSK: 51, // RFC 5433
  AKA_PRIME: 50, // RFC 9048
  PWD: 52, // RFC 5931
  TEAP: 55, // RFC 9930
  EXPANDED: 254,
} as const satisfies Registry;
