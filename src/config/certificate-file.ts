/**
 * Reads certificates, CRLs and private keys: in PEM, where a file may hold several of the former
 * two, or in DER. A private key is a file that only its owner may read, and never in a message.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { PrivateKey } from '../crypto/private-key.js';
import { addon } from '../dataplane/addon.js';
import { type Certificate, readCertificate } from '../pki/certificate.js';
import { readConfigFile } from './config-file.js';
import { decodePem } from './pem.js';
import type { Complain } from './semantics.js';

const MAX_BYTES = 4 << 20;
const MAX_KEY_BYTES = 1 << 16;

/** The certificates of a file, at least one; complains and answers undefined where it has none. */
export function readCertificateFile(path: string, complain: Complain): Certificate[] | undefined {
  const blocks = readBlocks(path, 'CERTIFICATE', 'certificates in PEM or DER', complain);
  const certificates = blocks?.flatMap((der) => readCertificate(der) ?? []);
  if (certificates?.length === blocks?.length) return certificates;
  complain([], `${path} holds what is no certificate`, 'certificates in PEM or DER');
  return undefined;
}

export function readCrlFile(path: string, complain: Complain): Uint8Array[] | undefined {
  const crls = readBlocks(path, 'X509 CRL', 'CRLs in PEM or DER', complain);
  if (crls === undefined) return undefined;
  try {
    new addon.TrustStore([], crls);
    return crls;
  } catch {
    complain([], `${path} holds what is no CRL`, 'CRLs in PEM or DER');
    return undefined;
  }
}

/** The private key of a certificate. */
export function readPrivateKey(
  path: string,
  certificate: Certificate,
  complain: Complain,
): PrivateKey | undefined {
  const wanted = 'a private key in PEM (openssl genpkey)';
  const rules = { maxBytes: MAX_KEY_BYTES, private: true, wanted };
  const pem = readConfigFile(path, rules, complain);
  if (pem === undefined) return undefined;
  try {
    const octets = Buffer.from(pem.buffer, 0, pem.length);
    // In PKCS #8 as in the older form of OpenSSL.
    if (octets.includes('ENCRYPTED')) {
      complain([], `${path} is encrypted`, 'a key that is not; the mode of the file protects it');
      return undefined;
    }
    const key = createPrivateKey({ key: octets, format: 'pem' });
    if (createPublicKey(key).equals(certificate.publicKey)) return key;
    complain([], `${path} is not the key of the certificate`, 'the key that it was made for');
  } catch {
    complain([], `${path} is no private key`, wanted);
  } finally {
    pem.fill(0);
  }
  return undefined;
}

/** The PEM blocks of a kind, decoded; or the file itself, which then is DER. */
function readBlocks(
  path: string,
  kind: string,
  wanted: string,
  complain: Complain,
): Uint8Array[] | undefined {
  const bytes = readConfigFile(path, { maxBytes: MAX_BYTES, private: false, wanted }, complain);
  if (bytes === undefined) return undefined;
  const text = Buffer.from(bytes).toString('latin1');
  if (!text.includes('-----BEGIN ')) return [bytes];
  const blocks = decodePem(kind, text);
  if (blocks.length > 0) return blocks;
  complain([], `${path} holds none`, wanted);
  return undefined;
}
