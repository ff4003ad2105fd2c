/**
 * Protection of IKE messages (RFC 7296 §3.14): AEADs, which are AES-GCM and AES-CCM (RFC 5282) and
 * ChaCha20-Poly1305 (RFC 7634), and AES-CBC and AES-CTR (RFC 3602, RFC 5930) with an integrity
 * algorithm, encrypt then MAC. Where IV, ciphertext and ICV stand in a message is known to
 * `wire/encrypted.ts`; the ciphers are here.
 */
import { randomBytes } from 'node:crypto';
import {
  beginEncrypted,
  type CipherShape,
  ENCR,
  type EncryptedFrame,
  type EncryptedPart,
  encodePayloads,
  fragmentCapacity,
  type HeaderToSend,
  hasCiphertext,
  INTEG,
  type Payload,
  sealedLength,
  unpadPlaintext,
} from '../wire/index.js';
import type { RandomBytes } from './key-exchange.js';
import { cipherKey, integrityKeyLength } from './key-length.js';
import { libcrypto, MAC, type Mac, type MacNumber } from './libcrypto.js';
import type { Secret } from './secret.js';

/** The algorithms that protect an IKE SA, with what they ask of the keymat; in octets. */
export interface SkSuite {
  /** Of `libcrypto.ciphers`. */
  readonly cipher: number;
  readonly keyLength: number;
  /** The last octets of SK_e are the salt (RFC 5282 §4, RFC 5930 §2.2, RFC 7634 §2). */
  readonly saltLength: number;
  /** What an AEAD does without. */
  readonly integrity: IntegrityAlgorithm | undefined;
  readonly shape: CipherShape;
}

interface IntegrityAlgorithm {
  readonly mac: MacNumber;
  readonly keyLength: number;
  readonly icvLength: number;
}

const integrity = (id: number, mac: Mac, icvLength: number) =>
  [id, { mac: MAC[mac], keyLength: integrityKeyLength(id)!, icvLength }] as const;

const INTEGRITY: ReadonlyMap<number, IntegrityAlgorithm> = new Map([
  integrity(INTEG.HMAC_SHA1_96, 'sha1', 12),
  integrity(INTEG.AES_XCBC_96, 'xcbc', 12),
  integrity(INTEG.AES_CMAC_96, 'cmac', 12),
  integrity(INTEG.HMAC_SHA2_256_128, 'sha256', 16),
  integrity(INTEG.HMAC_SHA2_384_192, 'sha384', 24),
  integrity(INTEG.HMAC_SHA2_512_256, 'sha512', 32),
]);

/** OpenSSL's name of an AEAD, for a key of so many bits, and the length of its ICV. */
const AEADS: Readonly<Record<number, readonly [(bits: number) => string, number]>> = {
  [ENCR.AES_GCM_8]: [(bits) => `aes-${bits}-gcm`, 8],
  [ENCR.AES_GCM_12]: [(bits) => `aes-${bits}-gcm`, 12],
  [ENCR.AES_GCM_16]: [(bits) => `aes-${bits}-gcm`, 16],
  [ENCR.AES_CCM_8]: [(bits) => `aes-${bits}-ccm`, 8],
  [ENCR.AES_CCM_12]: [(bits) => `aes-${bits}-ccm`, 12],
  [ENCR.AES_CCM_16]: [(bits) => `aes-${bits}-ccm`, 16],
  [ENCR.CHACHA20_POLY1305]: [() => 'chacha20-poly1305', 16],
};

/** The suite of these transforms; undefined where we do not have it. `integrityId` 0: none. */
export function skSuite(
  encryption: number,
  keyBits: number | undefined,
  integrityId: number,
): SkSuite | undefined {
  const key = cipherKey(encryption, keyBits);
  if (key === undefined) return undefined;
  const bits = key.keyLength * 8;
  const cipher = (name: string) => libcrypto.ciphers.indexOf(name);
  const found = AEADS[encryption];
  if (found !== undefined) {
    if (integrityId !== INTEG.NONE) return undefined;
    const [nameOf, icvLength] = found;
    const shape = { ivLength: 8, blockLength: 1, icvLength };
    return { cipher: cipher(nameOf(bits)), ...key, integrity: undefined, shape };
  }
  const algorithm = INTEGRITY.get(integrityId);
  if (algorithm === undefined) return undefined;
  const { icvLength } = algorithm;
  switch (encryption) {
    case ENCR.AES_CBC: {
      const shape = { ivLength: 16, blockLength: 16, icvLength };
      return { cipher: cipher(`aes-${bits}-cbc`), ...key, integrity: algorithm, shape };
    }
    case ENCR.AES_CTR: {
      const shape = { ivLength: 8, blockLength: 1, icvLength };
      return { cipher: cipher(`aes-${bits}-ctr`), ...key, integrity: algorithm, shape };
    }
    default:
      return undefined;
  }
}

/** SK_e and SK_a of one direction. */
export interface SkKeys {
  readonly encryption: Secret;
  readonly integrity: Secret | undefined;
}

/** An authentic message whose inside does not decode; RFC 7296 §2.21.2 has it answered. */
export interface Opened {
  readonly firstType: number;
  readonly plaintext: Uint8Array;
}

/** Seals what we send under one key. The only user of its key, so that no IV comes twice. */
export class Sealer {
  readonly #suite: SkSuite;
  readonly #keys: SkKeys;
  readonly #random: RandomBytes;
  #counter = 0;

  constructor(suite: SkSuite, keys: SkKeys, random: RandomBytes = randomBytes) {
    this.#suite = suite;
    this.#keys = keys;
    this.#random = random;
  }

  /** A whole message with these payloads inside its encrypted payload. */
  seal(header: HeaderToSend, payloads: readonly Payload[]): Uint8Array<ArrayBuffer> {
    return this.#seal(beginEncrypted(header, encodePayloads(payloads), this.#suite.shape));
  }

  /**
   * The message as it is where it has `most` octets at most, else in fragments of no more
   * (RFC 7383 §2.5).
   */
  sealInFragments(
    header: HeaderToSend,
    payloads: readonly Payload[],
    most: number,
  ): Uint8Array<ArrayBuffer>[] {
    const { shape } = this.#suite;
    const inner = encodePayloads(payloads);
    const { bytes } = inner;
    if (sealedLength(bytes.length, shape) <= most) {
      return [this.#seal(beginEncrypted(header, inner, shape))];
    }
    const room = fragmentCapacity(most, shape);
    const total = Math.ceil(bytes.length / room);
    return Array.from({ length: total }, (_, i) => {
      // Only the first fragment says what the payloads begin with.
      const firstType = i === 0 ? inner.firstType : 0;
      const part = { firstType, bytes: bytes.subarray(i * room, (i + 1) * room) };
      return this.#seal(beginEncrypted(header, part, shape, { number: i + 1, total }));
    });
  }

  #seal({ message, bodyAt }: EncryptedFrame): Uint8Array<ArrayBuffer> {
    this.#putIv(message, bodyAt);
    const { cipher, integrity, shape } = this.#suite;
    const { encryption, integrity: skA } = this.#keys;
    const { icvLength } = shape;
    libcrypto.seal(
      cipher,
      integrity?.mac,
      encryption.bytes,
      skA?.bytes,
      icvLength,
      message,
      bodyAt,
    );
    return message;
  }

  /**
   * RFC 5282 §3.1: the explicit IV of a counter mode only has to be unique, so it counts.
   * RFC 3602 §3: that of CBC has to be unpredictable.
   */
  #putIv(message: Uint8Array, at: number): void {
    const { ivLength, blockLength } = this.#suite.shape;
    const isCbc = blockLength > 1;
    if (isCbc) {
      message.set(this.#random(ivLength), at);
      return;
    }
    let count = this.#counter++;
    for (let i = at + ivLength - 1; count > 0; i--) {
      message[i] = count % 256;
      count = Math.floor(count / 256);
    }
  }

  wipe(): void {
    wipeKeys(this.#keys);
  }
}

/** Opens what the peer sends under one key. */
export class Opener {
  readonly #suite: SkSuite;
  readonly #keys: SkKeys;

  constructor(suite: SkSuite, keys: SkKeys) {
    this.#suite = suite;
    this.#keys = keys;
  }

  /**
   * Authenticates and decrypts. Undefined where the ICV does not hold, or there is none.
   * @throws WireError  where the ICV holds and the padding is wrong
   */
  open(part: EncryptedPart): Opened | undefined {
    const { cipher, integrity, shape } = this.#suite;
    if (!hasCiphertext(part, shape)) return undefined;
    const { encryption, integrity: skA } = this.#keys;
    const padded = libcrypto.open(
      cipher,
      integrity?.mac,
      encryption.bytes,
      skA?.bytes,
      shape.icvLength,
      part.message,
      part.bodyAt,
    );
    if (padded === undefined) return undefined;
    return { firstType: part.firstType, plaintext: unpadPlaintext(padded) };
  }

  wipe(): void {
    wipeKeys(this.#keys);
  }
}

function wipeKeys({ encryption, integrity }: SkKeys): void {
  encryption.wipe();
  integrity?.wipe();
}
