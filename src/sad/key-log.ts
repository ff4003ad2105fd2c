/**
 * Keys of ESP SAs for Wireshark, in a laboratory: the file `esp_sa` of its configuration folder
 * (esp.enable_encryption_decode), a line for each SA, in the words of Wireshark 4.0. It cannot
 * check the ICV of packets with extended sequence numbers, whose high half it does not see.
 *
 * Nobody but the file's owner may read it, and no key gets anywhere else.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { cipherKey, integrityKeyLength } from '../crypto/key-length.js';
import { ENCR, INTEG } from '../wire/index.js';
import type { ChildSa } from './sad.js';

const ENCRYPTION: Readonly<Record<number, string>> = {
  [ENCR.NULL]: 'NULL',
  [ENCR.AES_CBC]: 'AES-CBC [RFC3602]',
  [ENCR.AES_CTR]: 'AES-CTR [RFC3686]',
  [ENCR.AES_GCM_8]: 'AES-GCM with 8 octet ICV [RFC4106]',
  [ENCR.AES_GCM_12]: 'AES-GCM with 12 octet ICV [RFC4106]',
  [ENCR.AES_GCM_16]: 'AES-GCM with 16 octet ICV [RFC4106]',
};

const INTEGRITY: Readonly<Record<number, string>> = {
  0: 'NULL',
  [INTEG.HMAC_SHA1_96]: 'HMAC-SHA-1-96 [RFC2404]',
  [INTEG.AES_XCBC_96]: 'ANY 96 bit authentication [no checking]',
  [INTEG.AES_CMAC_96]: 'ANY 96 bit authentication [no checking]',
  [INTEG.HMAC_SHA2_256_128]: 'HMAC-SHA-256-128 [RFC4868]',
  [INTEG.HMAC_SHA2_384_192]: 'HMAC-SHA-384-192 [RFC4868]',
  [INTEG.HMAC_SHA2_512_256]: 'HMAC-SHA-512-256 [RFC4868]',
};

/**
 * The lines of both SAs; none where Wireshark has no such algorithm.
 * Addresses are left open: the SPI says which SA it is, wherever its ends have moved.
 */
export function wiresharkLines(sa: ChildSa): string[] {
  const encryption = ENCRYPTION[sa.encryption];
  const integrity = INTEGRITY[sa.integrity];
  if (sa.protocol !== 'esp' || encryption === undefined || integrity === undefined) return [];
  const family = sa.local.address.includes(':') ? 'IPv6' : 'IPv4';
  const line = (spi: number, key: Uint8Array) => {
    const { cipherBytes, integrityBytes } = partsOf(sa, key);
    const cells = [family, '*', '*', hex(spi), encryption, bytes(cipherBytes), integrity];
    return [...cells, bytes(integrityBytes)].map((cell) => `"${cell}"`).join(',');
  };
  return [line(sa.inboundSpi, sa.inboundKey.bytes), line(sa.outboundSpi, sa.outboundKey.bytes)];
}

/** RFC 7296 §2.17: the key of encryption with its salt, then that of integrity. */
function partsOf({ encryption, keyBits, integrity }: ChildSa, key: Uint8Array) {
  const cipher = cipherKey(encryption, keyBits || undefined);
  const length = cipher === undefined ? 0 : cipher.keyLength + cipher.saltLength;
  const integrityLength = integrity === 0 ? 0 : (integrityKeyLength(integrity) ?? 0);
  return {
    cipherBytes: key.subarray(0, length),
    integrityBytes: key.subarray(length, length + integrityLength),
  };
}

const hex = (spi: number) => `0x${spi.toString(16).padStart(8, '0')}`;
const bytes = (key: Uint8Array) =>
  key.length === 0 ? '' : `0x${Buffer.from(key).toString('hex')}`;

/**
 * Appends what Wireshark needs for an SA; without one, it only sees to the file.
 * Throws where it cannot be written, is a link, or may be read by others.
 */
export function logKeys(file: string, sa?: ChildSa): void {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  const descriptor = openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || (stat.mode & 0o077) !== 0) {
      throw new Error(`${file} is to be a file that only its owner may read: chmod 600 ${file}`);
    }
    // In one piece, as several threads append.
    const lines = sa === undefined ? [] : wiresharkLines(sa);
    if (lines.length > 0) writeSync(descriptor, `${lines.join('\n')}\n`);
  } finally {
    closeSync(descriptor);
  }
}
