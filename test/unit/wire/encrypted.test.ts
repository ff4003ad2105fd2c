import { createCipheriv, createDecipheriv } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  beginEncrypted,
  type CipherShape,
  decodeMessage,
  decodePayloads,
  EXCHANGE,
  encodePayloads,
  encryptedPart,
  hasCiphertext,
  type IkeSpi,
  sealedLength,
  unpadPlaintext,
  WireError,
} from '../../../src/wire/index.js';
import { clearPayload } from './arbitrary.js';
import { cutBody } from './fixtures.js';

const gcm: CipherShape = { ivLength: 8, blockLength: 1, icvLength: 16 };
const cbc: CipherShape = { ivLength: 16, blockLength: 16, icvLength: 16 };

const header = {
  initiatorSpi: '0123456789abcdef' as IkeSpi,
  responderSpi: 'fedcba9876543210' as IkeSpi,
  exchangeType: EXCHANGE.IKE_AUTH,
  initiator: true,
  response: false,
  messageId: 1,
};

/** A message with so many octets inside, all of them 7. */
function frameOf(innerLength: number, shape: CipherShape) {
  const inner = { firstType: 0, bytes: new Uint8Array(innerLength).fill(7) };
  return beginEncrypted(header, inner, shape);
}

describe('padding', () => {
  // RFC 7296 §3.14: at least the Pad Length octet, up to a multiple of the block size.
  it.each([
    [gcm, 0, 1],
    [gcm, 100, 101],
    [cbc, 0, 16],
    [cbc, 15, 16],
    [cbc, 16, 32],
    [cbc, 31, 32],
  ])('of %j makes %i octets %i', (shape, inner, padded) => {
    const { message, bodyAt } = frameOf(inner, shape);
    const [from, to] = [bodyAt + shape.ivLength, message.length - shape.icvLength];
    const plaintext = message.subarray(from, to);
    expect(sealedLength(inner, shape)).toBe(message.length);
    expect(plaintext.length).toBe(padded);
    expect(plaintext.at(-1)).toBe(padded - 1 - inner);
    expect(plaintext.subarray(inner, -1)).toEqual(new Uint8Array(padded - 1 - inner));
    expect(unpadPlaintext(plaintext)).toEqual(new Uint8Array(inner).fill(7));
  });

  it('of any content and more than needed is removed', () => {
    expect(unpadPlaintext(Uint8Array.of(1, 2, 9, 9, 9, 3))).toEqual(Uint8Array.of(1, 2));
    expect(unpadPlaintext(Uint8Array.of(5, 5, 2))).toEqual(new Uint8Array(0));
  });

  it('longer than the plaintext is refused', () => {
    expect(() => unpadPlaintext(Uint8Array.of(1, 2, 3))).toThrow(WireError);
    expect(() => unpadPlaintext(new Uint8Array(0))).toThrow(WireError);
  });
});

describe('the body of an encrypted payload', () => {
  it.each([
    [gcm, 24, false],
    [gcm, 25, true],
    [gcm, 0, false],
    [cbc, 32, false],
    [cbc, 47, false],
    [cbc, 48, true],
    [cbc, 49, false],
    [cbc, 64, true],
  ])('of %j with %i octets has ciphertext: %s', (shape, length, has) => {
    const message = new Uint8Array(32 + length);
    const part = { firstType: 0, message, bodyAt: 32, fragment: undefined };
    expect(hasCiphertext(part, shape)).toBe(has);
  });
});

describe('a message sealed through beginEncrypted', () => {
  const key = new Uint8Array(16).fill(3);
  const salt = Uint8Array.of(1, 2, 3, 4);

  it.each([undefined, { number: 2, total: 3 }])('opens again, as fragment %j', (fragment) => {
    fc.assert(
      fc.property(fc.array(clearPayload, { maxLength: 4 }), (payloads) => {
        const inner = encodePayloads(payloads);
        const { message, bodyAt } = beginEncrypted(header, inner, gcm, fragment);
        const iv = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 9);
        const aes = createCipheriv('aes-128-gcm', key, Buffer.concat([salt, iv]));
        aes.setAAD(message.subarray(0, bodyAt));
        const padded = message.subarray(bodyAt + 8, message.length - 16);
        const ciphertext = Buffer.concat([aes.update(padded), aes.final()]);
        message.set(Buffer.concat([iv, ciphertext, aes.getAuthTag()]), bodyAt);

        const part = encryptedPart(message, decodeMessage(message))!;
        expect(part.fragment).toEqual(fragment);
        // Header, generic header, and of a fragment its two numbers (RFC 7383 §2.5).
        expect(part.bodyAt).toBe(fragment === undefined ? 32 : 36);
        const cut = cutBody(part, gcm);
        const open = createDecipheriv('aes-128-gcm', key, Buffer.concat([salt, cut.iv]));
        open.setAAD(message.subarray(0, part.bodyAt)).setAuthTag(cut.icv);
        const plaintext = Buffer.concat([open.update(cut.ciphertext), open.final()]);
        expect(decodePayloads(part.firstType, unpadPlaintext(plaintext))).toEqual(payloads);
      }),
      { numRuns: 50 },
    );
  });

  it('has all lengths right, and room of zeros for IV and ICV', () => {
    const { message, bodyAt } = frameOf(0, cbc);
    expect(bodyAt).toBe(32);
    expect(new DataView(message.buffer).getUint32(24)).toBe(message.length);
    expect(new DataView(message.buffer).getUint16(30)).toBe(4 + 48);
    expect(message.subarray(32, 32 + 16 + 15)).toEqual(new Uint8Array(31));
    expect(message.subarray(-16)).toEqual(new Uint8Array(16));
  });

  it('is none where the last payload is not encrypted', () => {
    const { bytes } = encodePayloads([]);
    expect(bytes.length).toBe(0);
    const data = frameOf(3, gcm).message;
    data[16] = 43; // the same octets as a Vendor ID
    expect(encryptedPart(data, decodeMessage(data))).toBeUndefined();
  });
});
