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
  type IkeSpi,
  padPlaintext,
  sealedLength,
  splitBody,
  unpadPlaintext,
  WireError,
} from '../../../src/wire/index.js';
import { clearPayload } from './arbitrary.js';
import { digitsOf } from './fixtures.js';

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
    const plaintext = padPlaintext(new Uint8Array(inner).fill(7), shape);
    expect(plaintext.length).toBe(padded);
    expect(plaintext.at(-1)).toBe(padded - 1 - inner);
    expect(sealedLength(inner, shape)).toBe(shape.ivLength + padded + shape.icvLength);
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
  it('is cut into IV, ciphertext and ICV', () => {
    const body = Uint8Array.from({ length: 8 + 5 + 16 }, (_, i) => i);
    const { iv, ciphertext, icv } = splitBody(body, gcm)!;
    expect([iv[0], ciphertext[0], icv[0]]).toEqual([0, 8, 13]);
    expect([iv.length, ciphertext.length, icv.length]).toEqual([8, 5, 16]);
  });

  it.each([
    [gcm, 24],
    [gcm, 0],
    [cbc, 32],
    [cbc, 47],
    [cbc, 49],
  ])('of %j is refused with %i octets', (shape, length) => {
    expect(splitBody(new Uint8Array(length), shape)).toBeUndefined();
  });
});

describe('a message sealed through beginEncrypted', () => {
  const key = new Uint8Array(16).fill(3);
  const salt = Uint8Array.of(1, 2, 3, 4);

  it.each([undefined, { number: 2, total: 3 }])('opens again, as fragment %j', (fragment) => {
    fc.assert(
      fc.property(fc.array(clearPayload, { maxLength: 4 }), (payloads) => {
        const { firstType, bytes } = encodePayloads(payloads);
        const frame = beginEncrypted(header, firstType, sealedLength(bytes.length, gcm), fragment);
        const iv = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 9);
        const aes = createCipheriv('aes-128-gcm', key, Buffer.concat([salt, iv])).setAAD(frame.aad);
        const ciphertext = Buffer.concat([aes.update(padPlaintext(bytes, gcm)), aes.final()]);
        frame.body.set(Buffer.concat([iv, ciphertext, aes.getAuthTag()]));

        const part = encryptedPart(frame.message, decodeMessage(frame.message))!;
        expect(part.fragment).toEqual(fragment);
        // Header, generic header, and of a fragment its two numbers (RFC 7383 §2.5).
        expect(part.aad.length).toBe(fragment === undefined ? 32 : 36);
        const cut = splitBody(part.body, gcm)!;
        const open = createDecipheriv('aes-128-gcm', key, Buffer.concat([salt, cut.iv]));
        open.setAAD(part.aad).setAuthTag(cut.icv);
        const plaintext = Buffer.concat([open.update(cut.ciphertext), open.final()]);
        expect(decodePayloads(part.firstType, unpadPlaintext(plaintext))).toEqual(payloads);
      }),
      { numRuns: 50 },
    );
  });

  it('has views into one message, so that an ICV over all of it can be filled in', () => {
    const frame = beginEncrypted(header, 0, 48);
    expect(frame.aad.buffer).toBe(frame.message.buffer);
    expect(frame.body.buffer).toBe(frame.message.buffer);
    expect(digitsOf(frame.message.subarray(0, 32))).toBe(digitsOf(frame.aad));
    expect(new DataView(frame.message.buffer).getUint32(24)).toBe(frame.message.length);
    expect(new DataView(frame.message.buffer).getUint16(30)).toBe(4 + 48);
  });

  it('is none where the last payload is not encrypted', () => {
    const { bytes } = encodePayloads([]);
    expect(bytes.length).toBe(0);
    const data = beginEncrypted(header, 0, 20).message;
    data[16] = 43; // the same octets as a Vendor ID
    expect(encryptedPart(data, decodeMessage(data))).toBeUndefined();
  });
});
