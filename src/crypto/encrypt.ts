/**
 * Protection of IKE messages (RFC 7296 §3.14): AES-GCM with a 16-octet ICV (RFC 5282), and
 * AES-CBC with HMAC-SHA2, encrypt then MAC (RFC 3602, RFC 4868). Where IV, ciphertext and ICV
 * stand in a message is known to `wire/encrypted.ts`; the ciphers are here.
 *
 * Left out: AES-GCM with shorter ICVs (RFC 8247 §2.1), AES-CTR, AES-CCM, ChaCha20-Poly1305.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import {
  beginEncrypted,
  type CipherShape,
  ENCR,
  type EncryptedPart,
  encodePayloads,
  type HeaderToSend,
  INTEG,
  type Payload,
  padPlaintext,
  sealedLength,
  splitBody,
  unpadPlaintext,
} from '../wire/index.js';
import type { RandomBytes } from './key-exchange.js';
import type { Secret } from './secret.js';

/** The algorithms that protect an IKE SA, with what they ask of the keymat; in octets. */
export interface SkSuite {
  readonly encryption: 'gcm' | 'cbc';
  readonly keyLength: number;
  /** RFC 5282 §4: the last four octets of SK_e are the salt. */
  readonly saltLength: number;
  readonly integrity: IntegrityAlgorithm | undefined;
  readonly shape: CipherShape;
}

interface IntegrityAlgorithm {
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  readonly keyLength: number;
  readonly icvLength: number;
}

const INTEGRITY: Readonly<Record<number, IntegrityAlgorithm>> = {
  [INTEG.HMAC_SHA2_256_128]: { hash: 'sha256', keyLength: 32, icvLength: 16 },
  [INTEG.HMAC_SHA2_384_192]: { hash: 'sha384', keyLength: 48, icvLength: 24 },
  [INTEG.HMAC_SHA2_512_256]: { hash: 'sha512', keyLength: 64, icvLength: 32 },
};

/** Octets of key of an integrity algorithm, or undefined where we do not have it. */
export function integrityKeyLength(id: number): number | undefined {
  return INTEGRITY[id]?.keyLength;
}

/** Octets of salt that follow the key in the keymat (RFC 4106 §8.1, RFC 5282 §7.1). */
export function saltLength(encryption: number): number {
  return encryption === ENCR.AES_GCM_16 ? 4 : 0;
}

/** The suite of these transforms; undefined where we do not have it. `integrity` 0: none. */
export function skSuite(
  encryption: number,
  keyBits: number,
  integrity: number,
): SkSuite | undefined {
  if (![128, 192, 256].includes(keyBits)) return undefined;
  const keyLength = keyBits / 8;
  if (encryption === ENCR.AES_GCM_16 && integrity === INTEG.NONE) {
    const shape = { ivLength: 8, blockLength: 1, icvLength: 16 };
    return { encryption: 'gcm', keyLength, saltLength: 4, integrity: undefined, shape };
  }
  const mac = INTEGRITY[integrity];
  if (encryption !== ENCR.AES_CBC || mac === undefined) return undefined;
  const shape = { ivLength: 16, blockLength: 16, icvLength: mac.icvLength };
  return { encryption: 'cbc', keyLength, saltLength: 0, integrity: mac, shape };
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
    const { shape } = this.#suite;
    const { firstType, bytes } = encodePayloads(payloads);
    const frame = beginEncrypted(header, firstType, sealedLength(bytes.length, shape));
    const plaintext = padPlaintext(bytes, shape);
    const iv = this.#nextIv();
    frame.body.set(iv);
    if (this.#suite.encryption === 'gcm') this.#sealGcm(frame, iv, plaintext);
    else this.#sealCbc(frame, iv, plaintext);
    return frame.message;
  }

  /**
   * RFC 5282 §3.1: the explicit IV of a counter mode only has to be unique, so it counts.
   * RFC 3602 §3: that of CBC has to be unpredictable.
   */
  #nextIv(): Uint8Array {
    if (this.#suite.encryption === 'cbc') return this.#random(16);
    const iv = new Uint8Array(8);
    new DataView(iv.buffer).setBigUint64(0, this.#counter++);
    return iv;
  }

  #sealGcm(
    { aad, body }: { aad: Uint8Array; body: Uint8Array },
    iv: Uint8Array,
    plaintext: Uint8Array,
  ): void {
    const { key, salt } = splitKey(this.#suite, this.#keys);
    const nonce = gcmNonce(salt, iv);
    const cipher = createCipheriv(gcmName(this.#suite), key, nonce, { authTagLength: 16 });
    cipher.setAAD(aad);
    body.set(cipher.update(plaintext), 8);
    cipher.final();
    body.set(cipher.getAuthTag(), body.length - 16);
  }

  #sealCbc(
    { message, body }: { message: Uint8Array; body: Uint8Array },
    iv: Uint8Array,
    plaintext: Uint8Array,
  ): void {
    const { key } = splitKey(this.#suite, this.#keys);
    const cipher = createCipheriv(cbcName(this.#suite), key, iv).setAutoPadding(false);
    body.set(cipher.update(plaintext), 16);
    cipher.final();
    const covered = message.subarray(0, message.length - this.#suite.shape.icvLength);
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
   * Authenticates and decrypts. Undefined where the ICV does not hold.
   * @throws WireError  where the body cannot hold IV, ciphertext and ICV, or, after the ICV held,
   *                    where the padding is wrong
   */
  open(part: EncryptedPart): Opened | undefined {
    const { iv, ciphertext, icv } = splitBody(part.body, this.#suite.shape);
    const padded =
      this.#suite.encryption === 'gcm'
        ? this.#openGcm(part.aad, iv, ciphertext, icv)
        : this.#openCbc(part.message, iv, ciphertext, icv);
    if (padded === undefined) return undefined;
    return { firstType: part.firstType, plaintext: unpadPlaintext(padded) };
  }

  #openGcm(aad: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array, icv: Uint8Array) {
    const { key, salt } = splitKey(this.#suite, this.#keys);
    const nonce = gcmNonce(salt, iv);
    const decipher = createDecipheriv(gcmName(this.#suite), key, nonce, { authTagLength: 16 });
    decipher.setAAD(aad);
    decipher.setAuthTag(icv);
    const plaintext = decipher.update(ciphertext);
    try {
      decipher.final();
      return plaintext;
    } catch {
      plaintext.fill(0);
      return undefined;
    }
  }

  #openCbc(message: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array, icv: Uint8Array) {
    const covered = message.subarray(0, message.length - icv.length);
    if (!timingSafeEqual(icvOf(this.#suite, this.#keys, covered), icv)) return undefined;
    const { key } = splitKey(this.#suite, this.#keys);
    const decipher = createDecipheriv(cbcName(this.#suite), key, iv).setAutoPadding(false);
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

/** RFC 5282 §4: salt | explicit IV. */
function gcmNonce(salt: Uint8Array, iv: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce.set(salt);
  nonce.set(iv, 4);
  return nonce;
}

function icvOf({ integrity }: SkSuite, keys: SkKeys, covered: Uint8Array): Uint8Array {
  if (integrity === undefined || keys.integrity === undefined) throw new Error('no integrity key');
  const mac = createHmac(integrity.hash, keys.integrity.bytes).update(covered).digest();
  return mac.subarray(0, integrity.icvLength);
}

function gcmName({ keyLength }: SkSuite) {
  return `aes-${(keyLength * 8) as 128 | 192 | 256}-gcm` as const;
}

function cbcName({ keyLength }: SkSuite): string {
  return `aes-${keyLength * 8}-cbc`;
}

function wipeKeys({ encryption, integrity }: SkKeys): void {
  encryption.wipe();
  integrity?.wipe();
}
