import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as registries from '../../../src/wire/registry/index.js';
import {
  isErrorNotify,
  isRegistered,
  nameOf,
  type Registry,
} from '../../../src/wire/registry/index.js';

const tables = Object.entries<unknown>({ ...registries }).filter(
  (entry): entry is [string, Registry] =>
    typeof entry[1] === 'object' && entry[0] !== 'TRANSFORM_IDS',
);

/** Where Wireshark 4.0 is older than the registry, or mistaken. */
const DIFFERENT = new Set([
  'CFG_ATTRIBUTE 5', // INTERNAL_ADDRESS_EXPIRY, withdrawn by RFC 5996
  'CFG_ATTRIBUTE 11', // INTERNAL_IP6_NBNS, withdrawn by RFC 5996
  'NOTIFY 46', // AUTHORIZATION_FAILED
  'NOTIFY 16429', // GROUP_SENDER since RFC 9838
  'PRF 4', // PRF_AES128_XCBC
  'PRF 8', // PRF_AES128_CMAC, once PRF_AES128_CMAC6
]);

const theirs = readFileSync(new URL('../../vectors/ike/tshark-names.tsv', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t') as [string, string, string])
  .filter(([registry, number]) => !DIFFERENT.has(`${registry} ${number}`));

describe('the registries', () => {
  it.each(tables)('%s gives no number two names', (_, table) => {
    const numbers = Object.values(table);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it.each(theirs)('%s %s is %s, as tshark has it', (registry, number, name) => {
    const ours = new Map(tables).get(registry)!;
    const bare = name.replaceAll('-', '_').replace(/^(ENCR|AUTH)_(?!LIFETIME)/, '');
    expect(nameOf(ours, Number(number))).toBe(bare);
  });

  it('print numbers that have no name as numbers', () => {
    expect(nameOf(registries.ENCR, 1024)).toBe('1024');
    expect(isRegistered(registries.ENCR, 1024)).toBe(false);
    expect(isRegistered(registries.ENCR, 20)).toBe(true);
  });

  it('divide notifies into errors and statuses at 16384', () => {
    expect(isErrorNotify(16383)).toBe(true);
    expect(isErrorNotify(16384)).toBe(false);
  });
});
