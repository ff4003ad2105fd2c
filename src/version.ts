/** The version of package.json, which stands above this file, be it run from src/ or compiled. */
import { existsSync, readFileSync } from 'node:fs';

function packageFile(folder: URL): URL {
  const file = new URL('package.json', folder);
  return existsSync(file) ? file : packageFile(new URL('../', folder));
}

const text = readFileSync(packageFile(new URL('../', import.meta.url)), 'utf8');
export const version: string = JSON.parse(text).version;
