import { describe, expect, it } from 'vitest';
import {
  beginEncrypted,
  decodeMessage,
  decodePayloads,
  ENCR,
  EXCHANGE,
  encodeMessage,
  encodePayloads,
  encryptedPart,
  type IkeSpi,
  KEY_EXCHANGE,
  NOTIFY,
  type Payload,
  PROTOCOL,
  TRANSFORM,
  TRANSFORM_ATTRIBUTE,
  ZERO_IKE_SPI,
} from '../../../src/wire/index.js';

const header = {
  initiatorSpi: '0123456789abcdef' as IkeSpi,
  responderSpi: ZERO_IKE_SPI,
  exchangeType: EXCHANGE.IKE_SA_INIT,
  initiator: true,
  response: false,
  messageId: 0,
};

const none = new Uint8Array(0);

const payloads: Payload[] = [
  {
    kind: 'SA',
    proposals: [
      {
        number: 1,
        protocolId: PROTOCOL.IKE,
        spi: none,
        transforms: [
          {
            type: TRANSFORM.ENCR,
            id: ENCR.AES_GCM_16,
            attributes: [{ type: TRANSFORM_ATTRIBUTE.KEY_LENGTH, value: 128 }],
          },
          { type: TRANSFORM.KE, id: KEY_EXCHANGE.CURVE25519, attributes: [] },
        ],
      },
    ],
  },
  { kind: 'KE', method: KEY_EXCHANGE.CURVE25519, data: new Uint8Array(32).fill(7) },
  { kind: 'Nonce', data: new Uint8Array(32).fill(9) },
  {
    kind: 'N',
    protocolId: 0,
    notifyType: NOTIFY.NAT_DETECTION_SOURCE_IP,
    spi: none,
    data: new Uint8Array(20),
  },
  { kind: 'unknown', type: 200, critical: true, body: Uint8Array.of(1, 2, 3) },
];

describe('a message', () => {
  it('is the same after encoding and decoding', () => {
    const message = { header, payloads };
    const decoded = decodeMessage(encodeMessage(message));
    expect(decoded.header).toEqual({
      ...header,
      majorVersion: 2,
      minorVersion: 0,
      higherVersion: false,
    });
    expect(decoded.payloads).toEqual(payloads);
  });

  it('carries an encrypted payload, behind associated data, between IV and Pad Length', () => {
    const shape = { ivLength: 8, blockLength: 1, icvLength: 16 };
    const { message, bodyAt } = beginEncrypted(header, encodePayloads(payloads), shape);
    const part = encryptedPart(message, decodeMessage(message))!;
    expect([bodyAt, part.bodyAt]).toEqual([32, 32]);
    const inner = message.subarray(32 + 8, message.length - 1 - 16);
    expect(decodePayloads(part.firstType, inner)).toEqual(payloads);
  });
});
