/** The version of package.json, which stands one folder up from both src/ and dist/. */
import { readFileSync } from 'node:fs';

const packageFile = new URL('../package.json', import.meta.url);

export const version: string = JSON.parse(readFileSync(packageFile, 'utf8')).version;
