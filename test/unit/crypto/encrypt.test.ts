import { describe, expect, it } from 'vitest';
import { Opener, Sealer, type SkKeys, skSuite } from '../../../src/crypto/encrypt.js';
import { Secret } from '../../../src/crypto/secret.js';
import {
  decodeMessage,
  decodePayloads,
  encryptedPart,
  type HeaderToSend,
  type IkeSpi,
  NOTIFY,
  type Payload,
} from '../../../src/wire/index.js';
import { hex, readVectors, strongswanSessions, toHex } from './vectors.js';

const HEADER: HeaderToSend = {
  initiatorSpi: '0102030405060708' as IkeSpi,
  responderSpi: '1112131415161718' as IkeSpi,
  exchangeType: 37,
  response: false,
  initiator: true,
  messageId: 2,
};
const PAYLOADS: Payload[] = [{ kind: 'D', protocolId: 1, spis: [] }];

function keys(encryptionLength: number, integrityLength: number): SkKeys {
  const secret = (length: number, value: number) => new Secret(new Uint8Array(length).fill(value));
  return {
    encryption: secret(encryptionLength, 0x11),
    integrity: integrityLength > 0 ? secret(integrityLength, 0x22) : undefined,
  };
}

const SUITES = [
  [20, 128, 0, 20, 0],
  [20, 192, 0, 28, 0],
  [20, 256, 0, 36, 0],
  [12, 128, 12, 16, 32],
  [12, 192, 13, 24, 48],
  [12, 256, 14, 32, 64],
  [18, 128, 0, 20, 0],
  [19, 256, 0, 36, 0],
  [14, 128, 0, 19, 0],
  [15, 192, 0, 27, 0],
  [16, 256, 0, 35, 0],
  [28, undefined, 0, 36, 0],
  [13, 128, 2, 20, 20],
  [13, 256, 12, 36, 32],
  [12, 128, 5, 16, 16],
  [12, 128, 8, 16, 16],
] as const;

describe.each(strongswanSessions())('the session $name', (session) => {
  const suite = skSuite(session.encryption, session.keyBits, session.integrity)!;
  const key = (encryption: string, integrity: string | undefined): SkKeys => ({
    encryption: new Secret(hex(encryption)),
    integrity: integrity === undefined ? undefined : new Secret(hex(integrity)),
  });
  const initiator = key(session.skEi, session.skAi);
  const responder = key(session.skEr, session.skAr);

  it.each([
    [2, initiator, 'IDi'],
    [3, responder, 'IDr'],
  ] as const)('opens message %i', (index, skKeys, first) => {
    const data = hex(session.messages[index]);
    const part = encryptedPart(data, decodeMessage(data))!;
    const opened = new Opener(suite, skKeys).open(part)!;
    const payloads = decodePayloads(opened.firstType, opened.plaintext);
    expect(payloads[0]?.kind).toBe(first);
    const auth = payloads.find((payload) => payload.kind === 'AUTH');
    expect(toHex(auth!.data)).toBe(index === 2 ? session.authI : session.authR);
  });

  it('refuses both messages with the keys of the other direction', () => {
    for (const [index, skKeys] of [
      [2, responder],
      [3, initiator],
    ] as const) {
      const data = hex(session.messages[index]);
      const part = encryptedPart(data, decodeMessage(data))!;
      expect(new Opener(suite, skKeys).open(part)).toBeUndefined();
    }
  });
});

describe.each(SUITES)('suite %i with %i bits and integrity %i', (encr, bits, integ, e, a) => {
  const suite = skSuite(encr, bits, integ)!;

  it('opens what it seals', () => {
    const message = new Sealer(suite, keys(e, a)).seal(HEADER, PAYLOADS);
    const opened = new Opener(suite, keys(e, a)).open(
      encryptedPart(message, decodeMessage(message))!,
    )!;
    expect(decodePayloads(opened.firstType, opened.plaintext)).toEqual(PAYLOADS);
  });

  it('refuses a message with any one octet changed', () => {
    const message = new Sealer(suite, keys(e, a)).seal(HEADER, PAYLOADS);
    const opener = new Opener(suite, keys(e, a));
    const sane = decodeMessage(message);
    const { bodyAt } = encryptedPart(message, sane)!;
    for (let i = 0; i < message.length; i++) {
      const changed = message.slice();
      changed[i]! ^= 0x40;
      const part = { firstType: 42, message: changed, bodyAt, fragment: undefined };
      expect(opener.open(part), `octet ${i}`).toBeUndefined();
    }
  });

  it('never uses an IV twice', () => {
    const sealer = new Sealer(suite, keys(e, a));
    const ivs = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const message = sealer.seal(HEADER, PAYLOADS);
      const { bodyAt } = encryptedPart(message, decodeMessage(message))!;
      ivs.add(toHex(message.subarray(bodyAt, bodyAt + suite.shape.ivLength)));
    }
    expect(ivs.size).toBe(300);
  });

  it('seals an empty INFORMATIONAL', () => {
    const message = new Sealer(suite, keys(e, a)).seal(HEADER, []);
    const part = encryptedPart(message, decodeMessage(message))!;
    const opened = new Opener(suite, keys(e, a)).open(part)!;
    expect(opened.firstType).toBe(0);
    expect(opened.plaintext.length).toBe(0);
  });

  it('cannot be used after its keys were wiped', () => {
    const sealer = new Sealer(suite, keys(e, a));
    sealer.wipe();
    expect(() => sealer.seal(HEADER, PAYLOADS)).toThrow('wiped');
  });
});

it('opens the message of RFC 7634, appendix B', () => {
  const { tests } = JSON.parse(readVectors('rfc/esp-kat.json')) as {
    tests: readonly Readonly<Record<string, string>>[];
  };
  const vector = tests.find(({ alg }) => alg === 'rfc7634-ike')!;
  const suite = skSuite(28, undefined, 0)!;
  const key = { encryption: new Secret(hex(vector.key! + vector.salt!)), integrity: undefined };
  const message = hex(vector.packet!);
  const part = encryptedPart(message, decodeMessage(message))!;
  const opened = new Opener(suite, key).open(part)!;
  // Its Pad Length stands last in the plaintext.
  expect(`${toHex(opened.plaintext)}00`).toBe(vector.plaintext);
  const [notify] = decodePayloads(opened.firstType, opened.plaintext);
  expect(notify).toMatchObject({ kind: 'N', notifyType: NOTIFY.SET_WINDOW_SIZE });
});

it('has no suite of an AEAD with integrity, of CBC without, and of unknown algorithms', () => {
  for (const [encr, bits, integ] of [
    [20, 128, 12],
    [12, 128, 0],
    [13, 128, 0],
    [20, 64, 0],
    [20, undefined, 0],
    [28, 256, 0],
    [3, 192, 12],
    // Of ESP only: NULL, GMAC and what sends no IV.
    [11, undefined, 12],
    [21, 128, 0],
    [30, 128, 0],
  ] as const) {
    expect(skSuite(encr, bits, integ)).toBeUndefined();
  }
});
