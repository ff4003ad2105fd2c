/** Messages of other implementations, with what tshark reads in them (test/vectors/ike). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CipherShape, EncryptedPart } from '../../../src/wire/index.js';

/** A tshark field: its name and the digits that stand in the message. */
export type TsharkField = readonly [name: string, digits: string];

export interface TsharkPayload {
  readonly type: number;
  readonly octets: string;
  readonly fields: readonly TsharkField[];
  /** Inside an encrypted payload; not there if tshark had no key. */
  readonly inner?: readonly TsharkPayload[];
  /** Inside all fragments of a message, with the last one that arrived. */
  readonly reassembled?: readonly TsharkPayload[];
}

export interface FixtureMessage {
  readonly marker: boolean;
  readonly data: string;
  readonly header: Readonly<Record<string, string>>;
  readonly payloads: readonly TsharkPayload[];
}

export interface FixtureKeys {
  readonly spiI: string;
  readonly spiR: string;
  readonly skEi: string;
  readonly skEr: string;
  readonly encryption: string;
  readonly skAi: string;
  readonly skAr: string;
  readonly integrity: string;
}

export interface Fixture {
  readonly name: string;
  readonly source: string;
  readonly keys: FixtureKeys | null;
  readonly messages: readonly FixtureMessage[];
}

/** Below the project's root, where npm runs scripts: compiled, this file is elsewhere. */
const directory = join(process.cwd(), 'test/vectors/ike');

export const fixtures: readonly Fixture[] = readdirSync(directory)
  .filter((file) => file.endsWith('.json'))
  .sort()
  .map((file) => ({
    name: file.replace('.json', ''),
    ...(JSON.parse(readFileSync(join(directory, file), 'utf8')) as Omit<Fixture, 'name'>),
  }));

export function bytesOf(digits: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

export function digitsOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** What an encrypted payload has in its body. */
export function cutBody({ message, bodyAt }: EncryptedPart, shape: CipherShape) {
  const [textAt, icvAt] = [bodyAt + shape.ivLength, message.length - shape.icvLength];
  return {
    iv: message.subarray(bodyAt, textAt),
    ciphertext: message.subarray(textAt, icvAt),
    icv: message.subarray(icvAt),
  };
}
