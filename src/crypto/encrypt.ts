/**
 * Protection of IKE messages (RFC 7296 §3.14): AEADs, which are AES-GCM and AES-CCM (RFC 5282) and
 * ChaCha20-Poly1305 (RFC 7634), and AES-CBC and AES-CTR (RFC 3602, RFC 5930) with an integrity
 * algorithm, encrypt then MAC. Where IV, ciphertext and ICV stand in a message is known to
 * `wire/encrypted.ts`; the ciphers are here.
 */
import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  beginEncrypted,
  type CipherShape,
  ENCR,
  type EncryptedPart,
  encodePayloads,
  type Fragment,
  fragmentCapacity,
  HEADER_OCTETS,
  type HeaderToSend,
  INTEG,
  type Payload,
  padPlaintext,
  sealedLength,
  splitBody,
  unpadPlaintext,
} from '../wire/index.js';
import type { RandomBytes } from './key-exchange.js';
import { cipherKey, integrityKeyLength } from './key-length.js';
import { libcrypto } from './libcrypto.js';
import { type Mac, mac } from './mac.js';
import type { Secret } from './secret.js';

/** The generic header of the Encrypted payload. */
const SK_OCTETS = 4;

/** The algorithms that protect an IKE SA, with what they ask of the keymat; in octets. */
export interface SkSuite {
  readonly mode: 'aead' | 'cbc' | 'ctr';
  /** Of `libcrypto.aeads`. */
  readonly aead: number | undefined;
  /** OpenSSL's name. */
  readonly cipher: string;
  readonly keyLength: number;
  /** The last octets of SK_e are the salt (RFC 5282 §4, RFC 5930 §2.2, RFC 7634 §2). */
  readonly saltLength: number;
  readonly integrity: IntegrityAlgorithm | undefined;
  readonly shape: CipherShape;
}

interface IntegrityAlgorithm {
  readonly mac: Mac;
  readonly keyLength: number;
  readonly icvLength: number;
}

const integrity = (id: number, mac: Mac, icvLength: number) =>
  [id, { mac, keyLength: integrityKeyLength(id)!, icvLength }] as const;

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
  const found = AEADS[encryption];
  if (found !== undefined) {
    if (integrityId !== INTEG.NONE) return undefined;
    const [nameOf, icvLength] = found;
    const shape = { ivLength: 8, blockLength: 1, icvLength };
    const cipher = nameOf(bits);
    const aead = libcrypto.aeads.indexOf(cipher);
    return { mode: 'aead', aead, cipher, ...key, integrity: undefined, shape };
  }
  const algorithm = INTEGRITY.get(integrityId);
  if (algorithm === undefined) return undefined;
  const { icvLength } = algorithm;
  const aead = undefined;
  switch (encryption) {
    case ENCR.AES_CBC: {
      const shape = { ivLength: 16, blockLength: 16, icvLength };
      return { mode: 'cbc', aead, cipher: `aes-${bits}-cbc`, ...key, integrity: algorithm, shape };
    }
    case ENCR.AES_CTR: {
      const shape = { ivLength: 8, blockLength: 1, icvLength };
      return { mode: 'ctr', aead, cipher: `aes-${bits}-ctr`, ...key, integrity: algorithm, shape };
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
  #counter = 0n;

  constructor(suite: SkSuite, keys: SkKeys, random: RandomBytes = randomBytes) {
    this.#suite = suite;
    this.#keys = keys;
    this.#random = random;
  }

  /** A whole message with these payloads inside its encrypted payload. */
  seal(header: HeaderToSend, payloads: readonly Payload[]): Uint8Array<ArrayBuffer> {
    const { firstType, bytes } = encodePayloads(payloads);
    return this.#seal(header, firstType, bytes);
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
    const { firstType, bytes } = encodePayloads(payloads);
    if (HEADER_OCTETS + SK_OCTETS + sealedLength(bytes.length, shape) <= most) {
      return [this.#seal(header, firstType, bytes)];
    }
    const room = fragmentCapacity(most, shape);
    const total = Math.ceil(bytes.length / room);
    return Array.from({ length: total }, (_, i) =>
      // Only the first fragment says what the payloads begin with.
      this.#seal(header, i === 0 ? firstType : 0, bytes.subarray(i * room, (i + 1) * room), {
        number: i + 1,
        total,
      }),
    );
  }

  #seal(
    header: HeaderToSend,
    firstType: number,
    bytes: Uint8Array,
    fragment?: Fragment,
  ): Uint8Array<ArrayBuffer> {
    const { shape } = this.#suite;
    const frame = beginEncrypted(header, firstType, sealedLength(bytes.length, shape), fragment);
    const plaintext = padPlaintext(bytes, shape);
    const iv = this.#nextIv();
    frame.body.set(iv);
    const { aead } = this.#suite;
    if (aead !== undefined) {
      const skE = this.#keys.encryption.bytes;
      libcrypto.seal(aead, skE, frame.aad, plaintext, frame.body);
    } else this.#sealWithMac(frame, iv, plaintext);
    return frame.message;
  }

  /**
   * RFC 5282 §3.1: the explicit IV of a counter mode only has to be unique, so it counts.
   * RFC 3602 §3: that of CBC has to be unpredictable.
   */
  #nextIv(): Uint8Array {
    if (this.#suite.mode === 'cbc') return this.#random(16);
    const iv = new Uint8Array(8);
    new DataView(iv.buffer).setBigUint64(0, this.#counter++);
    return iv;
  }

  #sealWithMac(
    { message, body }: { message: Uint8Array; body: Uint8Array },
    iv: Uint8Array,
    plaintext: Uint8Array,
  ): void {
    const { cipher: name, shape } = this.#suite;
    const { key, salt } = splitKey(this.#suite, this.#keys);
    const cipher = createCipheriv(name, key, startOf(this.#suite, salt, iv)).setAutoPadding(false);
    body.set(cipher.update(plaintext), iv.length);
    cipher.final();
    const covered = message.subarray(0, message.length - shape.icvLength);
    message.set(icvOf(this.#suite, this.#keys, covered), covered.length);
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
    const { aead, shape } = this.#suite;
    const body = splitBody(part.body, shape);
    if (body === undefined) return undefined;
    const { iv, ciphertext, icv } = body;
    const skE = this.#keys.encryption.bytes;
    const padded =
      aead === undefined
        ? this.#openWithMac(part.message, iv, ciphertext, icv)
        : libcrypto.open(aead, skE, part.aad, part.body, shape.icvLength);
    if (padded === undefined) return undefined;
    return { firstType: part.firstType, plaintext: unpadPlaintext(padded) };
  }

  #openWithMac(message: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array, icv: Uint8Array) {
    const covered = message.subarray(0, message.length - icv.length);
    if (!timingSafeEqual(icvOf(this.#suite, this.#keys, covered), icv)) return undefined;
    const { key, salt } = splitKey(this.#suite, this.#keys);
    const start = startOf(this.#suite, salt, iv);
    const decipher = createDecipheriv(this.#suite.cipher, key, start).setAutoPadding(false);
    const plaintext = decipher.update(ciphertext);
    decipher.final();
    return plaintext;
  }

  wipe(): void {
    wipeKeys(this.#keys);
  }
}

function splitKey({ keyLength }: SkSuite, { encryption }: SkKeys) {
  const { bytes } = encryption;
  return { key: bytes.subarray(0, keyLength), salt: bytes.subarray(keyLength) };
}

/** The IV of CBC, or the first counter block of CTR: salt | explicit IV | 1 (RFC 5930 §2.3). */
function startOf({ mode }: SkSuite, salt: Uint8Array, iv: Uint8Array): Uint8Array {
  return mode === 'cbc' ? iv : Buffer.concat([salt, iv, Uint8Array.of(0, 0, 0, 1)]);
}

function icvOf({ integrity }: SkSuite, keys: SkKeys, covered: Uint8Array): Uint8Array {
  if (integrity === undefined || keys.integrity === undefined) throw new Error('no integrity key');
  return mac(integrity.mac, keys.integrity.bytes, covered).subarray(0, integrity.icvLength);
}

function wipeKeys({ encryption, integrity }: SkKeys): void {
  encryption.wipe();
  integrity?.wipe();
}
