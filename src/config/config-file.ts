/** Reads files of the configuration: those with secrets only where nobody else may read them. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Complain } from './semantics.js';

/** The folder that the paths of a connection are relative to. */
export type FolderOf = (connection: string) => string;

export interface FileRules {
  readonly maxBytes: number;
  /** Group and others must have no part in it. */
  readonly private: boolean;
  /** What the file is to be, for whoever has none. */
  readonly wanted: string;
}

/** The file's bytes, which the caller wipes if they are secret; complains where there are none. */
export function readConfigFile(
  path: string,
  { maxBytes, private: checkMode, wanted }: FileRules,
  complain: Complain,
): Uint8Array | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no file' : 'cannot read';
    complain([], `${reason} ${path}`, wanted);
    return undefined;
  }
  try {
    const { mode, size } = fstatSync(descriptor);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > maxBytes) {
      complain([], `found ${path}`, `a regular file of at most ${maxBytes} bytes`);
      return undefined;
    }
    if (checkMode && (mode & 0o077) !== 0) {
      const found = `${path} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}`;
      complain([], found, `nothing for group and others: chmod 600 ${path}`);
      return undefined;
    }
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, size, 0));
  } finally {
    closeSync(descriptor);
  }
}
