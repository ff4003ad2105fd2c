/**
 * The Encrypted payload (RFC 7296 §3.14) and its fragments (RFC 7383 §2.5) without the
 * cryptography: where IV, ciphertext, padding and ICV are, and what is authenticated.
 *
 * An AEAD authenticates from the IKE header to the end of the SK generic header as associated
 * data (RFC 5282 §5.1), of a fragment to the end of Total Fragments. Integrity algorithms cover
 * the whole message but the ICV (§3.14).
 *
 *     seal:  frame = beginEncrypted(header, encodePayloads(payloads), shape)
 *            put the IV at frame.bodyAt, encrypt what is between it and the ICV, put the ICV at the
 *            end; frame.message goes out
 *     open:  part = encryptedPart(data, decodeMessage(data))
 *            decrypt what is between the IV at part.bodyAt and the ICV at the end
 *            decodePayloads(part.firstType, unpadPlaintext(plaintext))
 */
import { invalidSyntax } from './error.js';
import {
  type EncodedPayloads,
  encodeMessage,
  HEADER_OCTETS,
  type HeaderToSend,
  type Message,
} from './message.js';
import type { Payload } from './payload.js';
import { PAYLOAD } from './registry/index.js';

const NOTHING = new Uint8Array(0);

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
  /** All that an integrity algorithm covers, and the ICV after it. */
  readonly message: Uint8Array;
  /** Octet of the message at which IV, ciphertext and ICV begin; all before it is associated data. */
  readonly bodyAt: number;
  readonly fragment: Fragment | undefined;
}

/**
 * A message about to be sealed, all lengths already right. It has room for IV and ICV, all zero,
 * and the padded plaintext between them.
 */
export interface EncryptedFrame {
  readonly message: Uint8Array<ArrayBuffer>;
  /** Octet of the message at which the room for the IV begins. */
  readonly bodyAt: number;
}

/** The encrypted payload of a message, or undefined where it has none. */
export function encryptedPart(data: Uint8Array, message: Message): EncryptedPart | undefined {
  const last = message.payloads.at(-1);
  if (last?.kind !== 'SK' && last?.kind !== 'SKF') return undefined;
  return {
    firstType: last.nextPayload,
    message: data,
    bodyAt: data.length - last.body.length,
    fragment:
      last.kind === 'SKF' ? { number: last.fragmentNumber, total: last.totalFragments } : undefined,
  };
}

/**
 * A message with these payloads inside its encrypted payload, or a fragment of such a message.
 * @param inner  of a fragment, what it has of the payloads' octets; its type is 0 but in the first
 */
export function beginEncrypted(
  header: HeaderToSend,
  { firstType, bytes }: EncodedPayloads,
  shape: CipherShape,
  fragment?: Fragment,
): EncryptedFrame {
  let bodyAt = 0;
  // The body is written behind the fields of its payload, so that it is written once.
  const payloads = [encryptedPayload(firstType, fragment)];
  const message = encodeMessage({ header, payloads }, (writer) => {
    bodyAt = writer.offset;
    writer.zeros(shape.ivLength);
    writer.octets(bytes);
    const padLength = padLengthOf(bytes.length, shape);
    writer.zeros(padLength);
    writer.uint(8, padLength, 'Pad Length');
    writer.zeros(shape.icvLength);
  });
  return { message, bodyAt };
}

/** Without its body. */
function encryptedPayload(nextPayload: number, fragment: Fragment | undefined): Payload {
  if (fragment === undefined) return { kind: 'SK', nextPayload, body: NOTHING };
  const { number, total } = fragment;
  return { kind: 'SKF', nextPayload, fragmentNumber: number, totalFragments: total, body: NOTHING };
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

/** Octets of a message with so many octets of payloads inside. */
export function sealedLength(innerLength: number, shape: CipherShape): number {
  const text = innerLength + padLengthOf(innerLength, shape) + 1;
  return HEADER_OCTETS + GENERIC_OCTETS + shape.ivLength + text + shape.icvLength;
}

/**
 * Octets of payloads that a fragment of a message has room for (RFC 7383 §2.5).
 * @param length  octets of the fragment's message at most, its IKE header included
 */
export function fragmentCapacity(length: number, shape: CipherShape): number {
  const ciphertext = length - HEADER_OCTETS - SKF_OCTETS - shape.ivLength - shape.icvLength;
  return Math.floor(ciphertext / shape.blockLength) * shape.blockLength - 1;
}

/**
 * Octets of Padding, all zero, that fill up to the block size with the Pad Length behind them
 * (RFC 7296 §3.14).
 */
function padLengthOf(innerLength: number, { blockLength }: CipherShape): number {
  return blockLength - 1 - (innerLength % blockLength);
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

/** Whether the body has ciphertext between IV and ICV, in whole blocks. */
export function hasCiphertext({ message, bodyAt }: EncryptedPart, shape: CipherShape): boolean {
  const length = message.length - bodyAt - shape.ivLength - shape.icvLength;
  return length > 0 && length % shape.blockLength === 0;
}
