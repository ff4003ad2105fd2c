/**
 * IKE messages: the header and the chain of payloads (RFC 7296 §3.1, §3.2), decoded and encoded
 * by the tables of `payload.ts`.
 *
 * The encrypted payload is opaque here: `encrypted.ts` cuts it out and puts it in, and whoever
 * has the keys decodes what is inside with `decodePayloads`. Whether a message has the payloads
 * that its exchange asks for is for `content.ts`.
 */
import { Cursor } from './cursor.js';
import { decodeStruct } from './decode.js';
import { encodeStruct } from './encode.js';
import { invalidSyntax, WireError } from './error.js';
import type { Struct } from './field.js';
import { type IkeSpi, ikeSpiAt } from './ike-spi.js';
import {
  type Header,
  header as headerTable,
  PAYLOADS,
  type Payload,
  type PayloadKind,
  unknownPayload,
} from './payload.js';
import { NOTIFY, nameOf, PAYLOAD } from './registry/index.js';
import { Writer } from './writer.js';

export const HEADER_OCTETS = 28;

/** Most payloads in one chain. Certificates, notifies and vendor IDs repeat, but not so often. */
const MAX_PAYLOADS = 256;

export interface Message {
  readonly header: Header;
  readonly payloads: readonly Payload[];
}

type VersionField = 'majorVersion' | 'minorVersion' | 'higherVersion';

/** A header to be sent; the version is 2.0 unless a test says otherwise. */
export type HeaderToSend = Omit<Header, VersionField> & Partial<Pick<Header, VersionField>>;

export interface MessageToSend {
  readonly header: HeaderToSend;
  readonly payloads: readonly Payload[];
}

/** The payloads of a chain as octets, with the type for the Next Payload that points at them. */
export interface EncodedPayloads {
  readonly firstType: number;
  readonly bytes: Uint8Array;
}

/** What a dispatcher needs of a datagram before anything is decoded. */
export interface PeekedHeader {
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
  readonly majorVersion: number;
  readonly exchangeType: number;
  /** I: sent by the original initiator of the IKE SA. */
  readonly initiator: boolean;
  readonly response: boolean;
  readonly messageId: number;
  /** As the header claims it; compare with the datagram. */
  readonly length: number;
}

/** Reads the fixed places of the header without checks; undefined if 28 octets are not there. */
export function peekHeader(data: Uint8Array): PeekedHeader | undefined {
  if (data.length < HEADER_OCTETS) return undefined;
  const flags = data[19]!;
  return {
    initiatorSpi: ikeSpiAt(data, 0),
    responderSpi: ikeSpiAt(data, 8),
    majorVersion: data[17]! >>> 4,
    exchangeType: data[18]!,
    initiator: (flags & 0x08) !== 0,
    response: (flags & 0x20) !== 0,
    messageId: uint32At(data, 20),
    length: uint32At(data, 24),
  };
}

function uint32At(data: Uint8Array, at: number): number {
  return data[at]! * 2 ** 24 + ((data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!);
}

/**
 * Decodes a whole message; an encrypted payload stays closed. Unknown payloads are kept.
 * The result shares no memory with `data`, but for the body of an encrypted payload.
 * @throws WireError  INVALID_SYNTAX; INVALID_MAJOR_VERSION for a version above 2 (RFC 7296 §2.5);
 *                    without a notify type for one below
 */
export function decodeMessage(data: Uint8Array): Message {
  const cursor = new Cursor(data);
  cursor.path.push('header');
  checkVersion(data);
  const { record, next } = decodeStruct(cursor, headerTable, {}, true);
  if (cursor.end < data.length) {
    cursor.fail(`${data.length - cursor.end} octets after the message`, cursor.end);
  }
  cursor.path.pop();
  const payloads = decodeChain(cursor, next);
  return { header: record as unknown as Header, payloads };
}

/**
 * Decodes the payloads inside an encrypted payload, padding removed.
 * @param firstType  Next Payload of the encrypted payload's generic header
 * @throws WireError  INVALID_SYNTAX, also for an encrypted payload inside an encrypted one
 */
export function decodePayloads(firstType: number, data: Uint8Array): Payload[] {
  const payloads = decodeChain(new Cursor(data), firstType);
  if (payloads.some(({ kind }) => kind === 'SK' || kind === 'SKF')) {
    throw invalidSyntax('an encrypted payload inside an encrypted one', 'SK', 0);
  }
  return payloads;
}

/**
 * Encodes a message. With an encrypted payload, use `beginEncrypted` instead.
 * @param behind  writes what the last payload has behind its fields
 * @throws RangeError  where a value does not fit its field
 */
export function encodeMessage(
  { header, payloads }: MessageToSend,
  behind?: (writer: Writer) => void,
): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  const following = () => encodeChain(writer, payloads, behind);
  encodeStruct(writer, headerTable, wholeHeader(header), {
    next: firstTypeOf(payloads),
    following,
  });
  return writer.finish();
}

/** In the order of the table. */
function wholeHeader(header: HeaderToSend): Header {
  return {
    initiatorSpi: header.initiatorSpi,
    responderSpi: header.responderSpi,
    majorVersion: header.majorVersion ?? 2,
    minorVersion: header.minorVersion ?? 0,
    exchangeType: header.exchangeType,
    response: header.response,
    higherVersion: header.higherVersion ?? false,
    initiator: header.initiator,
    messageId: header.messageId,
  };
}

/** Encodes a chain of payloads, such as the plaintext of an encrypted payload. */
export function encodePayloads(payloads: readonly Payload[]): EncodedPayloads {
  const writer = new Writer();
  encodeChain(writer, payloads);
  return { firstType: firstTypeOf(payloads), bytes: writer.finish() };
}

/** @param behind  writes what the last payload has behind its fields */
function encodeChain(
  writer: Writer,
  payloads: readonly Payload[],
  behind?: (writer: Writer) => void,
): void {
  for (let i = 0; i < payloads.length; i++) {
    const payload = payloads[i]!;
    const next = payloads[i + 1];
    if (next !== undefined && endsChain(payload)) {
      throw new RangeError(`${payload.kind} has to be the last payload (RFC 7296 §3.14)`);
    }
    const following = next === undefined && behind !== undefined ? () => behind(writer) : undefined;
    const around = { next: next === undefined ? 0 : typeOf(next), following };
    encodeStruct(writer, tableOf(payload.kind), payload, around);
  }
}

function firstTypeOf([first]: readonly Payload[]): number {
  return first === undefined ? 0 : typeOf(first);
}

/**
 * A payload without its generic header: what AUTH covers of an ID payload (`RestOfInitIDPayload`,
 * RFC 7296 §2.15).
 */
export function payloadBody(payload: Payload): Uint8Array<ArrayBuffer> {
  return encodePayloads([payload]).bytes.slice(4);
}

/** The payload's number on the wire. */
export function typeOf(payload: Payload): number {
  return payload.kind === 'unknown' ? payload.type : PAYLOAD[payload.kind];
}

/** The table that a payload is decoded and encoded by. */
export function tableOf(kind: PayloadKind | 'unknown'): Struct {
  return kind === 'unknown' ? unknownPayload : PAYLOADS[kind];
}

const KIND_BY_TYPE: ReadonlyMap<number, PayloadKind> = new Map(
  (Object.keys(PAYLOADS) as PayloadKind[]).map((kind) => [PAYLOAD[kind], kind]),
);

function decodeChain(cursor: Cursor, firstType: number): Payload[] {
  const payloads: Payload[] = [];
  let type = firstType;
  while (type !== 0) {
    const kind = KIND_BY_TYPE.get(type) ?? 'unknown';
    cursor.path.push(kind === 'unknown' ? `payload ${nameOf(PAYLOAD, type)}` : kind);
    if (payloads.length === MAX_PAYLOADS) cursor.fail(`more than ${MAX_PAYLOADS} payloads`);
    const head = kind === 'unknown' ? { kind, type } : { kind };
    const { record, next } = decodeStruct(cursor, tableOf(kind), head);
    const payload = record as unknown as Payload;
    payloads.push(payload);
    cursor.path.pop();
    type = endsChain(payload) ? 0 : next;
  }
  if (cursor.left > 0) {
    cursor.path.push('payloads');
    cursor.fail(`${cursor.left} octets after the last payload`);
  }
  return payloads;
}

/** RFC 7296 §3.14: the encrypted payload is the last one; its Next Payload points inside. */
function endsChain(payload: Payload): boolean {
  return payload.kind === 'SK' || payload.kind === 'SKF';
}

/** RFC 7296 §2.5: a higher major version is answered, the minor version is ignored. */
function checkVersion(data: Uint8Array): void {
  if (data.length < HEADER_OCTETS) {
    throw invalidSyntax(`${data.length} octets, the header alone has 28`, 'header', 0);
  }
  const majorVersion = data[17]! >>> 4;
  if (majorVersion === 2) return;
  throw new WireError(`major version ${majorVersion}`, {
    where: 'header.majorVersion',
    offset: 17,
    notifyType: majorVersion > 2 ? NOTIFY.INVALID_MAJOR_VERSION : undefined,
    notifyData: new Uint8Array(0),
  });
}
