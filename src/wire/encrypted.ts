/**
 * The Encrypted payload (RFC 7296 §3.14) and its fragments (RFC 7383 §2.5) without the
 * cryptography: where IV, ciphertext, padding and ICV are, and what is authenticated.
 *
 * An AEAD authenticates from the IKE header to the end of the SK generic header as associated
 * data (RFC 5282 §5.1), of a fragment to the end of Total Fragments. Integrity algorithms cover
 * the whole message but the ICV (§3.14).
 *
 *     seal:  inner = padPlaintext(encodePayloads(payloads).bytes, shape)
 *            frame = beginEncrypted(header, firstType, shape.ivLength + inner.length + shape.icvLength)
 *            fill frame.body with IV, ciphertext, ICV; frame.message goes out
 *     open:  part = encryptedPart(data, decodeMessage(data))
 *            { iv, ciphertext, icv } = splitBody(part.body, shape); decrypt with part.aad
 *            decodePayloads(part.firstType, unpadPlaintext(plaintext))
 */
import { invalidSyntax } from './error.js';
import { encodeMessage, HEADER_OCTETS, type HeaderToSend, type Message } from './message.js';
import { PAYLOAD } from './registry/index.js';

const GENERIC_OCTETS = 4;
/** Generic header, Fragment Number and Total Fragments. */
const SKF_OCTETS = 8;
/** In the IKE header. */
const NEXT_PAYLOAD_AT = 16;
const LENGTH_AT = 24;

/** Sizes of a cipher with its integrity algorithm, in octets. */
export interface CipherShape {
  /** 8 for the counter modes, the block size for CBC. */
  readonly ivLength: number;
  /** Padding fills up to a multiple of this: 16 with AES-CBC, 1 with an AEAD or CTR. */
  readonly blockLength: number;
  readonly icvLength: number;
}

/** Place of a fragment in its message (RFC 7383 §2.5). */
export interface Fragment {
  readonly number: number;
  readonly total: number;
}

/** The encrypted payload of a received message. */
export interface EncryptedPart {
  /** Type of the first payload inside; of fragments, only the first one's counts. */
  readonly firstType: number;
  readonly aad: Uint8Array;
  /** IV, ciphertext and ICV. */
  readonly body: Uint8Array;
  /** All that an integrity algorithm covers, and the ICV after it: the message. */
  readonly message: Uint8Array;
  readonly fragment: Fragment | undefined;
}

/** A message about to be sealed; `aad` and `body` are views into `message`. */
export interface EncryptedFrame {
  readonly message: Uint8Array<ArrayBuffer>;
  readonly aad: Uint8Array<ArrayBuffer>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** The encrypted payload of a message, or undefined where it has none. */
export function encryptedPart(data: Uint8Array, message: Message): EncryptedPart | undefined {
  const last = message.payloads.at(-1);
  if (last?.kind !== 'SK' && last?.kind !== 'SKF') return undefined;
  return {
    firstType: last.nextPayload,
    aad: data.subarray(0, data.length - last.body.length),
    body: last.body,
    message: data,
    fragment:
      last.kind === 'SKF' ? { number: last.fragmentNumber, total: last.totalFragments } : undefined,
  };
}

/**
 * A message with room for the body of its encrypted payload, all lengths already right.
 * @param firstType   type of the first payload inside, as `encodePayloads` tells it
 * @param bodyLength  octets of IV, ciphertext and ICV together: `sealedLength`
 */
export function beginEncrypted(
  header: HeaderToSend,
  firstType: number,
  bodyLength: number,
  fragment?: Fragment,
): EncryptedFrame {
  const common = { nextPayload: firstType, body: new Uint8Array(bodyLength) };
  const message = encodeMessage({
    header,
    payloads: [
      fragment === undefined
        ? { kind: 'SK', ...common }
        : {
            kind: 'SKF',
            ...common,
            fragmentNumber: fragment.number,
            totalFragments: fragment.total,
          },
    ],
  });
  const bodyStart = message.length - bodyLength;
  return { message, aad: message.subarray(0, bodyStart), body: message.subarray(bodyStart) };
}

/**
 * A message of ours as if its encrypted payload were one in clear, and whole: what IntAuth covers.
 * Its lengths count neither IV nor padding nor ICV (RFC 9242 §3.3.2).
 * @param firstType  type of the first payload of `inner`
 */
export function unencryptedMessage(
  header: HeaderToSend,
  firstType: number,
  inner: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const payload = { kind: 'SK', nextPayload: firstType, body: inner } as const;
  return encodeMessage({ header, payloads: [payload] });
}

/**
 * The same of a message that was received: the octets are as they came, those that are reserved too,
 * but for the lengths, and for the type of a fragment.
 * @param received  the message, or its first fragment; it has decoded
 * @param inner     payloads of the whole; where they do not fit a payload, its length is no use
 */
export function asUnencrypted(received: Uint8Array, inner: Uint8Array): Uint8Array<ArrayBuffer> {
  const from = new DataView(received.buffer, received.byteOffset, received.length);
  let typeAt = NEXT_PAYLOAD_AT;
  let at = HEADER_OCTETS;
  while (received[typeAt] !== PAYLOAD.SK && received[typeAt] !== PAYLOAD.SKF) {
    typeAt = at;
    at += from.getUint16(at + 2);
  }
  const message = new Uint8Array(at + GENERIC_OCTETS + inner.length);
  message.set(received.subarray(0, at + GENERIC_OCTETS));
  message.set(inner, at + GENERIC_OCTETS);
  message[typeAt] = PAYLOAD.SK;
  const view = new DataView(message.buffer);
  view.setUint32(LENGTH_AT, message.length);
  view.setUint16(at + 2, GENERIC_OCTETS + inner.length);
  return message;
}

/** Octets of an encrypted payload's body for so many octets of payloads inside. */
export function sealedLength(innerLength: number, shape: CipherShape): number {
  const padded = Math.ceil((innerLength + 1) / shape.blockLength) * shape.blockLength;
  return shape.ivLength + padded + shape.icvLength;
}

/**
 * Octets of payloads that a fragment of a message has room for (RFC 7383 §2.5).
 * @param length  octets of the fragment's message at most, its IKE header included
 */
export function fragmentCapacity(length: number, shape: CipherShape): number {
  const ciphertext = length - HEADER_OCTETS - SKF_OCTETS - shape.ivLength - shape.icvLength;
  return Math.floor(ciphertext / shape.blockLength) * shape.blockLength - 1;
}

/** Adds Padding, all zero, and Pad Length, up to the block size (RFC 7296 §3.14). */
export function padPlaintext(inner: Uint8Array, shape: CipherShape): Uint8Array<ArrayBuffer> {
  const length = sealedLength(inner.length, shape) - shape.ivLength - shape.icvLength;
  const padded = new Uint8Array(length);
  padded.set(inner);
  padded[length - 1] = length - 1 - inner.length;
  return padded;
}

/**
 * Removes Padding and Pad Length from an authentic plaintext; any padding is accepted
 * (RFC 7296 §3.14). Returns a view.
 * @throws WireError  where the padding is longer than the plaintext
 */
export function unpadPlaintext<T extends Uint8Array>(plaintext: T): T {
  const padLength = plaintext.at(-1);
  if (padLength === undefined || padLength + 1 > plaintext.length) {
    const problem = `Pad Length ${padLength ?? 'missing'} in ${plaintext.length} octets`;
    throw invalidSyntax(problem, 'SK.padLength', Math.max(0, plaintext.length - 1));
  }
  return plaintext.subarray(0, plaintext.length - 1 - padLength) as T;
}

/**
 * Cuts a body into IV, ciphertext and ICV; views. Undefined where it is too short, or the
 * ciphertext no multiple of the block size.
 */
export function splitBody(body: Uint8Array, shape: CipherShape) {
  const { ivLength, blockLength, icvLength } = shape;
  const length = body.length - ivLength - icvLength;
  if (length < 1 || length % blockLength !== 0) return undefined;
  return {
    iv: body.subarray(0, ivLength),
    ciphertext: body.subarray(ivLength, ivLength + length),
    icv: body.subarray(ivLength + length),
  };
}
