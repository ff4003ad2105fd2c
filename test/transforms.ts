/**
 * Every transform of ESP and AH, by the numbers that IKE negotiates (IANA, RFC 7296 §3.3.2), and the
 * words by which `ip xfrm` knows it. Its sizes are from the RFCs, not from the dataplane's table.
 */

export interface Transform {
  /** As the dataplane calls it (native/crypto/suite.cc). */
  readonly name: string;
  readonly protocol: 'esp' | 'ah';
  readonly encryption: number;
  readonly keyBits: number;
  readonly integrity: number;
  /** Encryption key | salt | integrity key (RFC 7296 §2.17). */
  readonly keymatBytes: number;
  /** Arguments of `ip xfrm state add`; undefined: Linux has no such transform. */
  readonly linux?: (keymat: Buffer) => string;
}

const AES_KEY_BITS = [128, 192, 256] as const;

const key = (bytes: Buffer): string => `0x${bytes.toString('hex')}`;

interface Aead {
  readonly name: string;
  readonly encryption: number;
  readonly saltBytes: number;
  readonly linux?: readonly [name: string, icvBits: number];
}

/** RFC 4106, 4309, 4543, 8750. */
const AES_AEADS: readonly Aead[] = [
  aesAead('AES-GCM-8', 18, 4, ['rfc4106(gcm(aes))', 64]),
  aesAead('AES-GCM-12', 19, 4, ['rfc4106(gcm(aes))', 96]),
  aesAead('AES-GCM-16', 20, 4, ['rfc4106(gcm(aes))', 128]),
  aesAead('AES-GCM-16-IIV', 30, 4),
  aesAead('AES-GMAC', 21, 4, ['rfc4543(gcm(aes))', 128]),
  aesAead('AES-CCM-8', 14, 3, ['rfc4309(ccm(aes))', 64]),
  aesAead('AES-CCM-12', 15, 3, ['rfc4309(ccm(aes))', 96]),
  aesAead('AES-CCM-16', 16, 3, ['rfc4309(ccm(aes))', 128]),
  aesAead('AES-CCM-8-IIV', 29, 3),
];

function aesAead(
  name: string,
  encryption: number,
  saltBytes: number,
  linux?: readonly [string, number],
): Aead {
  return { name, encryption, saltBytes, ...(linux && { linux }) };
}

function withAead(aead: Aead, name: string, keyBits: number): Transform {
  const { encryption, saltBytes, linux } = aead;
  return {
    name,
    protocol: 'esp',
    encryption,
    keyBits,
    integrity: 0,
    keymatBytes: keyBits / 8 + saltBytes,
    ...(linux && { linux: (keymat) => `aead '${linux[0]}' ${key(keymat)} ${linux[1]}` }),
  };
}

/** RFC 2404, 4868, 3566, 4494: name, number, key bytes, Linux' name and ICV bits. */
const INTEGRITIES = [
  ['HMAC-SHA1-96', 2, 20, 'hmac(sha1)', 96],
  ['HMAC-SHA2-256-128', 12, 32, 'hmac(sha256)', 128],
  ['HMAC-SHA2-384-192', 13, 48, 'hmac(sha384)', 192],
  ['HMAC-SHA2-512-256', 14, 64, 'hmac(sha512)', 256],
  ['AES-XCBC-96', 5, 16, 'xcbc(aes)', 96],
  ['AES-CMAC-96', 8, 16, 'cmac(aes)', 96],
] as const;

type Integrity = (typeof INTEGRITIES)[number];

const linuxIntegrity = ([, , , linux, icvBits]: Integrity, bytes: Buffer): string =>
  `auth-trunc '${linux}' ${key(bytes)} ${icvBits}`;

/** RFC 3602, 3686, 2410. */
interface Cipher {
  readonly name: string;
  readonly encryption: number;
  readonly keyBits: number;
  readonly saltBytes: number;
  readonly linux: string;
}

const CIPHERS: readonly Cipher[] = [
  ...AES_KEY_BITS.map((keyBits) => ({
    name: `AES-CBC-${keyBits}`,
    encryption: 12,
    keyBits,
    saltBytes: 0,
    linux: 'cbc(aes)',
  })),
  ...AES_KEY_BITS.map((keyBits) => ({
    name: `AES-CTR-${keyBits}`,
    encryption: 13,
    keyBits,
    saltBytes: 4,
    linux: 'rfc3686(ctr(aes))',
  })),
  { name: 'NULL', encryption: 11, keyBits: 0, saltBytes: 0, linux: 'ecb(cipher_null)' },
];

function withCipher(cipher: Cipher, integrity: Integrity): Transform {
  const cipherBytes = cipher.keyBits / 8 + cipher.saltBytes;
  return {
    name: `${cipher.name}/${integrity[0]}`,
    protocol: 'esp',
    encryption: cipher.encryption,
    keyBits: cipher.keyBits,
    integrity: integrity[1],
    keymatBytes: cipherBytes + integrity[2],
    linux: (keymat) => {
      const secret = cipherBytes === 0 ? '""' : key(keymat.subarray(0, cipherBytes));
      return `enc '${cipher.linux}' ${secret} ${linuxIntegrity(integrity, keymat.subarray(cipherBytes))}`;
    },
  };
}

function withAh(integrity: Integrity): Transform {
  return {
    name: `AH ${integrity[0]}`,
    protocol: 'ah',
    encryption: 0,
    keyBits: 0,
    integrity: integrity[1],
    keymatBytes: integrity[2],
    linux: (keymat) => linuxIntegrity(integrity, keymat),
  };
}

/** RFC 4543 §4; numbers 9, 10, 11 by key size. */
function withAhGmac(keyBits: number, i: number): Transform {
  return {
    name: `AH AES-GMAC-${keyBits}`,
    protocol: 'ah',
    encryption: 0,
    keyBits: 0,
    integrity: 9 + i,
    keymatBytes: keyBits / 8 + 4,
  };
}

const CHACHA: Aead = {
  name: 'ChaCha20-Poly1305',
  encryption: 28,
  saltBytes: 4,
  linux: ['rfc7539esp(chacha20,poly1305)', 128],
};
const CHACHA_IIV: Aead = { name: 'ChaCha20-Poly1305-IIV', encryption: 31, saltBytes: 4 };

export const TRANSFORMS: readonly Transform[] = [
  ...AES_AEADS.flatMap((aead) =>
    AES_KEY_BITS.map((bits) => withAead(aead, `${aead.name}-${bits}`, bits)),
  ),
  ...[CHACHA, CHACHA_IIV].map((aead) => withAead(aead, aead.name, 256)),
  ...CIPHERS.flatMap((cipher) => INTEGRITIES.map((integrity) => withCipher(cipher, integrity))),
  ...INTEGRITIES.map(withAh),
  ...AES_KEY_BITS.map(withAhGmac),
];
