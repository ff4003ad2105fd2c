/** Reads a configuration file and the keys that it names. */
import { readFileSync } from 'node:fs';
import { buildGateway } from './build.js';
import type { GatewayConfig } from './gateway-config.js';
import { parseConfig } from './parse.js';
import { ConfigError } from './problem.js';
import { secretReader } from './secret-file.js';

/** Throws `ConfigError` with every problem found. The caller owns, and wipes, the keys. */
export function loadConfig(path: string): GatewayConfig {
  return buildGateway(parseConfig(readConfig(path), path), secretReader(path));
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const found = code === 'ENOENT' ? 'there is no such file' : `cannot read it (${code})`;
    throw new ConfigError([
      { file: path, line: 1, column: 1, key: '', found, allowed: 'a configuration file' },
    ]);
  }
}
