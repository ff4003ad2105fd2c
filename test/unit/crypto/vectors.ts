/** Reads the files below test/vectors. */
import { readFileSync } from 'node:fs';

export function readVectors(name: string): string {
  return readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8');
}

export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export interface WycheproofTest {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly result: 'valid' | 'invalid' | 'acceptable';
  readonly [field: string]: unknown;
}

export interface WycheproofGroup {
  readonly tests: readonly WycheproofTest[];
  readonly [field: string]: unknown;
}

export function readWycheproof(name: string): readonly WycheproofGroup[] {
  const file = JSON.parse(readVectors(`wycheproof/${name}.json`)) as {
    testGroups: readonly WycheproofGroup[];
  };
  return file.testGroups;
}

/** A recorded session of two strongSwan daemons, all octets in hexadecimal. */
export interface StrongswanSession {
  readonly name: string;
  readonly encryption: number;
  readonly keyBits: number;
  readonly integrity: number;
  readonly prf: number;
  readonly group: number;
  readonly psk: string;
  /** IKE_SA_INIT and IKE_AUTH, request and response each. */
  readonly messages: readonly [string, string, string, string];
  readonly sharedSecret: string;
  readonly skeyseed: string;
  readonly natDetection: readonly { readonly data: string; readonly hash: string }[];
  readonly skD: string;
  readonly skAi?: string;
  readonly skAr?: string;
  readonly skEi: string;
  readonly skEr: string;
  readonly skPi: string;
  readonly skPr: string;
  readonly idI: string;
  readonly idR: string;
  readonly octetsI: string;
  readonly octetsR: string;
  readonly authI: string;
  readonly authR: string;
  /** Ni | Nr, 32 octets each. */
  readonly childSeed: string;
  readonly childEncryptionI: string;
  readonly childEncryptionR: string;
  readonly childIntegrityI?: string;
  readonly childIntegrityR?: string;
}

export function strongswanSessions(): readonly StrongswanSession[] {
  const file = JSON.parse(readVectors('ike-crypto/strongswan-sessions.json')) as {
    sessions: readonly StrongswanSession[];
  };
  return file.sessions;
}
