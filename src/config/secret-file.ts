/**
 * Reads a pre-shared key: from a file that only its owner may read, or from a systemd credential
 * (systemd.exec(5), $CREDENTIALS_DIRECTORY). The key is the file's bytes without one line end at
 * the end. It never appears in a message.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { Secret } from '../crypto/secret.js';
import type { ReadSecret } from './build.js';
import type { Complain } from './semantics.js';

/** More than any hash block; a larger file is a mistake. */
const MAX_SECRET_BYTES = 4096;

/** RFC 7296 §2.15 wants a key of the strength of a random one; less is not worth starting. */
const MIN_SECRET_BYTES = 8;

/** @param configFile paths of keys are relative to its directory */
export function secretReader(configFile: string): ReadSecret {
  return (name, entry, complain) => {
    const at = (key: string) => ['connection', name, key];
    const { psk_file: file, psk_credential: credential } = entry;
    if (file !== undefined && credential !== undefined) {
      complain(at('psk_credential'), 'found beside psk_file', 'one of the two');
      return undefined;
    }
    if (file !== undefined) {
      const path = isAbsolute(file) ? file : join(dirname(configFile), file);
      return readSecretFile(path, true, (_, ...rest) => complain(at('psk_file'), ...rest));
    }
    if (credential === undefined) {
      complain(['connection', name], 'no key', '"psk_file" or "psk_credential"');
      return undefined;
    }
    // biome-ignore lint/complexity/useLiteralKeys: an index signature
    const directory = process.env['CREDENTIALS_DIRECTORY'];
    if (directory === undefined) {
      const allowed = 'a credential only under systemd (LoadCredential=, $CREDENTIALS_DIRECTORY)';
      complain(at('psk_credential'), `found "${credential}"`, allowed);
      return undefined;
    }
    const path = join(directory, credential);
    return readSecretFile(path, false, (_, ...rest) => complain(at('psk_credential'), ...rest));
  };
}

function readSecretFile(path: string, checkMode: boolean, complain: Complain): Secret | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no file' : 'cannot read';
    complain(
      [],
      `${reason} ${path}`,
      'a file that holds the key (head -c 32 /dev/random | base64)',
    );
    return undefined;
  }
  const bytes = new Uint8Array(MAX_SECRET_BYTES + 1);
  try {
    const { mode, size } = fstatSync(descriptor);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > MAX_SECRET_BYTES) {
      complain([], `found ${path}`, `a regular file of at most ${MAX_SECRET_BYTES} bytes`);
      return undefined;
    }
    if (checkMode && (mode & 0o077) !== 0) {
      const found = `${path} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}`;
      complain([], found, `nothing for group and others: chmod 600 ${path}`);
      return undefined;
    }
    const length = readSync(descriptor, bytes, 0, bytes.length, 0);
    const key = bytes.subarray(0, withoutLineEnd(bytes, length));
    if (key.length >= MIN_SECRET_BYTES) return new Secret(key);
    complain([], `${path} holds ${key.length} bytes`, `at least ${MIN_SECRET_BYTES} bytes`);
    return undefined;
  } finally {
    bytes.fill(0);
    closeSync(descriptor);
  }
}

function withoutLineEnd(bytes: Uint8Array, length: number): number {
  if (bytes[length - 1] !== 0x0a) return length;
  return bytes[length - 2] === 0x0d ? length - 2 : length - 1;
}
