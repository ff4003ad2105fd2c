/**
 * Reads a pre-shared key: from a file that only its owner may read, or from a systemd credential
 * (systemd.exec(5), $CREDENTIALS_DIRECTORY). The key is the file's bytes without one line end at
 * the end, or after `0x` the octets of hexadecimal digits (RFC 7296 §2.15 wants both forms). It
 * never appears in a message.
 */
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { Secret } from '../crypto/secret.js';
import { type FolderOf, readConfigFile } from './config-file.js';
import type { ConnectionFile } from './schema.js';
import type { Complain } from './semantics.js';

/** More than any hash block; a larger file is a mistake. */
const MAX_SECRET_BYTES = 4096;

/** RFC 7296 §2.15 wants a key of the strength of a random one; less is not worth starting. */
const MIN_SECRET_BYTES = 8;

/** Reads the pre-shared key of a connection; complains and answers undefined where it cannot. */
export type ReadSecret = (
  name: string,
  connection: ConnectionFile,
  complain: Complain,
) => Secret | undefined;

/** Hears of a connection whose credential only the daemon's unit has. */
export type AssumeCredential = (connection: string, credential: string) => void;

/**
 * @param folderOf  what the paths of a connection's keys are relative to
 * @param assume    who does not need the keys: outside of the unit any may stand for a credential
 */
export function secretReader(folderOf: FolderOf, assume?: AssumeCredential): ReadSecret {
  return (name, entry, complain) => {
    const at = (key: string) => ['connection', name, key];
    const { psk_file: file, psk_credential: credential } = entry;
    if (file !== undefined && credential !== undefined) {
      complain(at('psk_credential'), 'found beside psk_file', 'one of the two');
      return undefined;
    }
    if (file !== undefined) {
      const path = resolve(folderOf(name), file);
      return readSecretFile(path, true, (_, ...rest) => complain(at('psk_file'), ...rest));
    }
    if (credential === undefined) {
      complain(['connection', name], 'no key', '"psk_file" or "psk_credential"');
      return undefined;
    }
    // biome-ignore lint/complexity/useLiteralKeys: an index signature
    const directory = process.env['CREDENTIALS_DIRECTORY'];
    if (directory === undefined && assume !== undefined) {
      assume(name, credential);
      return new Secret(randomBytes(MIN_SECRET_BYTES));
    }
    if (directory === undefined) {
      const allowed = 'a credential only under systemd (LoadCredential=, $CREDENTIALS_DIRECTORY)';
      complain(at('psk_credential'), `found "${credential}"`, allowed);
      return undefined;
    }
    const path = join(directory, credential);
    return readSecretFile(path, false, (_, ...rest) => complain(at('psk_credential'), ...rest));
  };
}

/** @param checkMode  whether nobody but its owner may read it */
export function readSecretFile(
  path: string,
  checkMode: boolean,
  complain: Complain,
): Secret | undefined {
  const wanted = 'a file that holds the key (head -c 32 /dev/random | base64)';
  const rules = { maxBytes: MAX_SECRET_BYTES, private: checkMode, wanted };
  const bytes = readConfigFile(path, rules, complain);
  if (bytes === undefined) return undefined;
  try {
    const key = keyOf(bytes.subarray(0, withoutLineEnd(bytes)));
    if (key === undefined) {
      complain([], `${path} begins with 0x`, 'pairs of hexadecimal digits after it');
      return undefined;
    }
    if (key.length >= MIN_SECRET_BYTES) return new Secret(key);
    complain([], `${path} holds ${key.length} bytes`, `at least ${MIN_SECRET_BYTES} bytes`);
    return undefined;
  } finally {
    bytes.fill(0);
  }
}

/** The key that a text stands for, in the text's own memory; undefined after 0x for what is none. */
function keyOf(text: Uint8Array): Uint8Array | undefined {
  if (text[0] !== 0x30 || text[1] !== 0x78) return text;
  if (text.length % 2 !== 0) return undefined;
  for (let i = 2; i < text.length; i += 2) {
    const [high, low] = [digit(text[i]!), digit(text[i + 1]!)];
    if (high === undefined || low === undefined) return undefined;
    text[i / 2 - 1] = high * 16 + low;
  }
  return text.subarray(0, text.length / 2 - 1);
}

function digit(octet: number): number | undefined {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const letter = octet | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined;
}

function withoutLineEnd(bytes: Uint8Array): number {
  const { length } = bytes;
  if (bytes[length - 1] !== 0x0a) return length;
  return bytes[length - 2] === 0x0d ? length - 2 : length - 1;
}
