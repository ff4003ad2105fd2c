/** Reads a configuration and the keys that it names. */
import { dirname } from 'node:path';
import { authenticationReader } from './authentication.js';
import { buildGateway } from './build.js';
import type { GatewayConfig } from './gateway-config.js';
import { parseConfig } from './parse.js';
import type { AssumeCredential } from './secret-file.js';
import { readSources } from './source.js';

/**
 * Throws `ConfigError` with every problem found. The caller owns, and wipes, the keys.
 * @param path    a file, or a folder of files
 * @param assume  of who only looks at it: is told of the keys that only the daemon's unit has
 */
export function loadConfig(path: string, assume?: AssumeCredential): GatewayConfig {
  const parsed = parseConfig(readSources(path));
  const folderOf = (connection: string) => dirname(parsed.fileOf(['connection', connection]));
  return buildGateway(parsed, authenticationReader(folderOf, assume));
}
