/** SHA-256 of a message as text: tells two messages apart without keeping them (RFC 7296 §2.1). */
import { hash } from 'node:crypto';

export function fingerprint(data: Uint8Array): string {
  return hash('sha256', data, 'base64');
}
