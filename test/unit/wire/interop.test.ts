/**
 * Captured messages of other implementations: what we decode is what tshark decodes, what we
 * encode again is what came, and what is encrypted opens with the keys that the peer logged.
 */
import { createDecipheriv, createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  beginEncrypted,
  type CipherShape,
  decodeMessage,
  decodePayloads,
  type EncryptedPart,
  encodeMessage,
  encodePayloads,
  encryptedPart,
  hasCiphertext,
  type Payload,
  peekHeader,
  typeOf,
  unpadPlaintext,
  validate,
  ZERO_IKE_SPI,
} from '../../../src/wire/index.js';
import {
  bytesOf,
  cutBody,
  digitsOf,
  type Fixture,
  type FixtureKeys,
  fixtures,
  type TsharkPayload,
} from './fixtures.js';
import { asTshark, compared } from './tshark.js';

/** One whose octets do not matter. */
const ANY_HEADER = {
  initiatorSpi: ZERO_IKE_SPI,
  responderSpi: ZERO_IKE_SPI,
  exchangeType: 0,
  response: false,
  initiator: false,
  messageId: 0,
};

const messages = fixtures.flatMap((fixture) =>
  fixture.messages.map((message, i) => ({
    title: `${fixture.name} message ${i}`,
    fixture,
    message,
    data: bytesOf(message.data),
  })),
);

describe.each(messages)('$title', ({ fixture, message, data }) => {
  const decoded = decodeMessage(data);

  it('has the header that tshark sees', () => {
    const { header } = decoded;
    const flag = (value: boolean) => (value ? '1' : '0');
    expect({
      'isakmp.ispi': header.initiatorSpi,
      'isakmp.rspi': header.responderSpi,
      'isakmp.nextpayload': typeOf(decoded.payloads[0]!).toString(16).padStart(2, '0'),
      'isakmp.mjver': `${header.majorVersion}`,
      'isakmp.mnver': `${header.minorVersion}`,
      'isakmp.exchangetype': header.exchangeType.toString(16),
      'isakmp.flag_i': flag(header.initiator),
      'isakmp.flag_v': flag(header.higherVersion),
      'isakmp.flag_r': flag(header.response),
      'isakmp.messageid': header.messageId.toString(16).padStart(8, '0'),
      'isakmp.length': data.length.toString(16).padStart(8, '0'),
    }).toEqual(message.header);
  });

  it('has a header that peekHeader reads the same', () => {
    const { minorVersion, higherVersion, ...header } = decoded.header;
    expect(peekHeader(data)).toEqual({ ...header, length: data.length });
  });

  it('has the payloads that tshark sees', () => {
    expectSame(decoded.payloads, message.payloads);
  });

  it('is the same octets when it is encoded again', () => {
    expect(digitsOf(encodeMessage(decoded))).toBe(message.data);
  });

  const outer = message.payloads.at(-1);
  if (outer?.inner !== undefined) {
    it('opens with the logged keys, and has the payloads inside that tshark sees', () => {
      const { plaintext, firstType } = open(
        fixture.keys!,
        encryptedPart(data, decoded)!,
        decoded.header.initiator,
      );
      const inner = decodePayloads(firstType, plaintext);
      expectSame(inner, outer.inner!);
      const again = encodePayloads(inner);
      expect(again.firstType).toBe(firstType);
      expect(digitsOf(again.bytes)).toBe(digitsOf(plaintext));
    });

    it('has the payloads of its exchange', () => {
      const { plaintext, firstType } = open(
        fixture.keys!,
        encryptedPart(data, decoded)!,
        decoded.header.initiator,
      );
      const { exchangeType, response } = decoded.header;
      const inner = decodePayloads(firstType, plaintext);
      expect(validate({ exchangeType, response, encrypted: true }, inner).story).toBeTypeOf(
        'string',
      );
    });
  }

  if (outer?.type !== 46 && outer?.type !== 53) {
    it('has the payloads of its exchange', () => {
      const { exchangeType, response } = decoded.header;
      const { story } = validate({ exchangeType, response, encrypted: false }, decoded.payloads);
      expect(story).toBeTypeOf('string');
    });
  }
});

describe.each(fixtures.filter(hasFragments))('the fragments of $name', (fixture) => {
  it('open one by one, and together have the payloads that tshark reassembles', () => {
    let plaintexts: Uint8Array[] = [];
    let first = 0;
    let reassembled = 0;
    for (const { data: digits, payloads } of fixture.messages) {
      const data = bytesOf(digits);
      const message = decodeMessage(data);
      const part = encryptedPart(data, message);
      if (part?.fragment === undefined) continue;
      if (part.fragment.number === 1) [first, plaintexts] = [part.firstType, []];
      plaintexts.push(open(fixture.keys!, part, message.header.initiator).plaintext);
      if (part.fragment.number < part.fragment.total) continue;
      const expected = payloads.at(-1)!.reassembled!;
      expectSame(decodePayloads(first, Buffer.concat(plaintexts)), expected);
      reassembled++;
    }
    expect(reassembled).toBe(2);
  });
});

function hasFragments(fixture: Fixture): boolean {
  return fixture.messages.some(({ payloads }) => payloads.some(({ type }) => type === 53));
}

function expectSame(payloads: readonly Payload[], expected: readonly TsharkPayload[]): void {
  expect(payloads.map(typeOf)).toEqual(expected.map(({ type }) => type));
  payloads.forEach((payload, i) => {
    const { fields, octets } = expected[i]!;
    expect(asTshark(payload)).toEqual(compared(fields));
    // All that follows the generic header, the fields that tshark has no octets for included.
    if (payload.kind !== 'SK' && payload.kind !== 'SKF') {
      expect(digitsOf(encodePayloads([payload]).bytes).slice(8)).toBe(octets.slice(8));
    }
  });
}

/** Decrypts by node:crypto: GCM (RFC 5282), or CBC and HMAC-SHA2-256-128 (RFC 7296 §3.14). */
function open(keys: FixtureKeys, part: EncryptedPart, fromInitiator: boolean) {
  const key = bytesOf(fromInitiator ? keys.skEi : keys.skEr);
  const bits = (key.length & ~7) * 8;
  const gcm = keys.encryption.startsWith('AES-GCM');
  const shape: CipherShape = gcm
    ? { ivLength: 8, blockLength: 1, icvLength: 16 }
    : { ivLength: 16, blockLength: 16, icvLength: 16 };
  expect(hasCiphertext(part, shape)).toBe(true);
  const { iv, ciphertext, icv } = cutBody(part, shape);
  let padded: Buffer;
  if (gcm) {
    const nonce = Buffer.concat([key.subarray(-4), iv]);
    const aes = createDecipheriv(`aes-${bits as 128}-gcm`, key.subarray(0, -4), nonce);
    aes.setAAD(part.message.subarray(0, part.bodyAt)).setAuthTag(icv);
    padded = Buffer.concat([aes.update(ciphertext), aes.final()]);
  } else {
    const hmac = createHmac('sha256', bytesOf(fromInitiator ? keys.skAi : keys.skAr));
    hmac.update(part.message.subarray(0, -shape.icvLength));
    expect(digitsOf(hmac.digest().subarray(0, shape.icvLength))).toBe(digitsOf(icv));
    const aes = createDecipheriv(`aes-${bits}-cbc`, key, iv).setAutoPadding(false);
    padded = Buffer.concat([aes.update(ciphertext), aes.final()]);
  }
  const plaintext = unpadPlaintext(padded);
  // strongSwan pads minimally, as we do, if not with zeros.
  const again = { firstType: 0, bytes: plaintext };
  const frame = beginEncrypted(ANY_HEADER, again, shape, part.fragment);
  expect(frame.message.length - frame.bodyAt).toBe(part.message.length - part.bodyAt);
  return { plaintext, firstType: part.firstType };
}
