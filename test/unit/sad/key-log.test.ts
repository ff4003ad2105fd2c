import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';
import { logKeys, wiresharkLines } from '../../../src/sad/key-log.js';
import type { ChildSa } from '../../../src/sad/sad.js';
import { ENCR, INTEG } from '../../../src/wire/index.js';

/** Of so many octets of key for each direction: 1, 2, ... and 101, 102, ... */
function childSa(octets: number, algorithms: Partial<ChildSa>): ChildSa {
  const key = (from: number) => new Secret(Uint8Array.from({ length: octets }, (_, i) => from + i));
  return {
    ...{ protocol: 'esp', local: { address: '2001:db8::1', port: 0 } },
    ...{ inboundSpi: 0x1001, outboundSpi: 0xfedcba98, inboundKey: key(1), outboundKey: key(101) },
    ...{ integrity: 0, ...algorithms },
  } as unknown as ChildSa;
}

describe('the key log', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'esplane-key-log-'));
    file = join(folder, 'esp_sa');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('has a line for each direction: key with salt, then that of integrity (RFC 7296 §2.17)', () => {
    const gcm = childSa(20, { encryption: ENCR.AES_GCM_16, keyBits: 128 });
    expect(wiresharkLines(gcm)).toEqual([
      '"IPv6","*","*","0x00001001","AES-GCM with 16 octet ICV [RFC4106]","0x0102030405060708090a0b0c0d0e0f1011121314","NULL",""',
      '"IPv6","*","*","0xfedcba98","AES-GCM with 16 octet ICV [RFC4106]","0x65666768696a6b6c6d6e6f707172737475767778","NULL",""',
    ]);
    const integrity = INTEG.HMAC_SHA1_96;
    const cbc = childSa(36, { encryption: ENCR.AES_CBC, keyBits: 128, integrity });
    expect(wiresharkLines(cbc)[0]).toBe(
      '"IPv6","*","*","0x00001001","AES-CBC [RFC3602]","0x0102030405060708090a0b0c0d0e0f10","HMAC-SHA-1-96 [RFC2404]","0x1112131415161718191a1b1c1d1e1f2021222324"',
    );
  });

  it('leaves out what Wireshark cannot decrypt', () => {
    const chacha = childSa(36, { encryption: ENCR.CHACHA20_POLY1305, keyBits: 0 });
    expect(wiresharkLines(chacha)).toEqual([]);
    expect(wiresharkLines(childSa(32, { protocol: 'ah', encryption: 0, keyBits: 0 }))).toEqual([]);
  });

  it('is for its owner alone, and grows', () => {
    logKeys(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    logKeys(file, childSa(20, { encryption: ENCR.AES_GCM_16, keyBits: 128 }));
    logKeys(file, childSa(36, { encryption: ENCR.AES_GCM_8, keyBits: 256 }));
    expect(readFileSync(file, 'utf8').match(/\n/g)).toHaveLength(4);
  });

  it('refuses a file that others may read, and a link', () => {
    logKeys(file);
    chmodSync(file, 0o640);
    expect(() => logKeys(file)).toThrow(/is to be a file that only its owner may read/);
    const link = join(folder, 'link');
    symlinkSync(file, link);
    expect(() => logKeys(link)).toThrow(/ELOOP/);
  });
});
