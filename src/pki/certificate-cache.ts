/**
 * Certificates that were read before: reading one takes OpenSSL longer than verifying a signature,
 * and peers come back with the same ones. What a peer sends is kept in bounded memory.
 */
import { type Certificate, readCertificate } from './certificate.js';

const MAX_CERTIFICATES = 256;
const MAX_OCTETS = 16_384;

export class CertificateCache {
  /** The one that was used last stands at the end. */
  readonly #known = new Map<string, Certificate>();

  /** Undefined where it is no certificate. */
  read(der: Uint8Array): Certificate | undefined {
    const key = Buffer.from(der.buffer, der.byteOffset, der.length).toString('latin1');
    const certificate = this.#known.get(key) ?? readCertificate(der);
    if (certificate === undefined || der.length > MAX_OCTETS) return certificate;
    this.#known.delete(key);
    this.#known.set(key, certificate);
    if (this.#known.size > MAX_CERTIFICATES) {
      const [oldest] = this.#known.keys();
      this.#known.delete(oldest!);
    }
    return certificate;
  }
}
