/**
 * Loads the native addon. This is the only file that does; `dataplane/addon.ts` and
 * `crypto/libcrypto.ts` say what is in it.
 *
 * The addon is context-aware: each worker thread that loads it gets exports of its own over the
 * same process-wide native state.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with package.json above this file, be it run from src/ or compiled. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('no package.json above the native addon’s loader');
    folder = parent;
  }
  return folder;
}

/** The addon's exports. */
export function loadAddon(): unknown {
  const path = join(packageRoot(), 'build/Release/esplane.node');
  try {
    return createRequire(import.meta.url)(path) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Error(`cannot load the native addon, run "npm run build:addon" (${reason})`, {
      cause: error,
    });
  }
}
