/** What is refused, with which notify (RFC 7296 §2.5, §2.21), and where it says the fault is. */
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  decodePayloads,
  EXCHANGE,
  encodeMessage,
  NOTIFY,
  type Payload,
  peekHeader,
  rejectCritical,
  WireError,
} from '../../../src/wire/index.js';
import { bytesOf, fixtures } from './fixtures.js';

const init = bytesOf(
  fixtures.find(({ name }) => name === 'strongswan-psk-gcm128')!.messages[0]!.data,
);

/** A captured IKE_SA_INIT with some octets replaced; the SA payload starts at octet 28. */
function withOctets(at: number, ...octets: number[]): Uint8Array {
  const data = init.slice();
  data.set(octets, at);
  return data;
}

function refusal(decode: () => unknown): WireError {
  try {
    decode();
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('a message', () => {
  it.each([
    [
      'of a higher major version',
      withOctets(17, 0x30),
      NOTIFY.INVALID_MAJOR_VERSION,
      'header.majorVersion',
      17,
    ],
    ['of IKEv1, which is told nothing', withOctets(17, 0x10), undefined, 'header.majorVersion', 17],
    ['shorter than a header', init.subarray(0, 27), NOTIFY.INVALID_SYNTAX, 'header', 0],
    [
      'with a length above the datagram',
      withOctets(24, 0, 1, 0, 0),
      NOTIFY.INVALID_SYNTAX,
      'header.length',
      24,
    ],
    [
      'with a length below 28',
      withOctets(24, 0, 0, 0, 27),
      NOTIFY.INVALID_SYNTAX,
      'header.length',
      24,
    ],
    [
      'with octets after it',
      Uint8Array.of(...init, 0),
      NOTIFY.INVALID_SYNTAX,
      'header',
      init.length,
    ],
    [
      'whose payload has no room for its header',
      withOctets(30, 0, 3),
      NOTIFY.INVALID_SYNTAX,
      'SA.payloadLength',
      30,
    ],
    [
      'whose payload is longer than the message',
      withOctets(30, 4, 0),
      NOTIFY.INVALID_SYNTAX,
      'SA.payloadLength',
      30,
    ],
    [
      'whose proposal is longer than its payload',
      withOctets(34, 0, 37),
      NOTIFY.INVALID_SYNTAX,
      'SA.proposals.length',
      34,
    ],
    [
      'whose only proposal is not the last',
      withOctets(32, 2),
      NOTIFY.INVALID_SYNTAX,
      'SA.proposals',
      32,
    ],
    [
      'whose proposal is last and not last',
      withOctets(32, 1),
      NOTIFY.INVALID_SYNTAX,
      'SA.proposals.lastSubstruc',
      32,
    ],
    [
      'with fewer transforms than counted',
      withOctets(39, 4),
      NOTIFY.INVALID_SYNTAX,
      'SA.proposals.transforms',
      60,
    ],
    [
      'with more transforms than counted',
      withOctets(39, 2),
      NOTIFY.INVALID_SYNTAX,
      'SA.proposals.transforms',
      52,
    ],
    [
      'whose SPI is longer than its proposal',
      withOctets(38, 200),
      NOTIFY.INVALID_SYNTAX,
      'SA.proposals.spi',
      40,
    ],
    [
      'that ends with a payload to come',
      withOctets(init.length - 20, 41),
      NOTIFY.INVALID_SYNTAX,
      'N.nextPayload',
      init.length,
    ],
    [
      'that goes on after the last payload',
      withOctets(28, 0),
      NOTIFY.INVALID_SYNTAX,
      'payloads',
      68,
    ],
  ])('%s is refused', (_, data, notifyType, where, offset) => {
    expect(refusal(() => decodeMessage(data))).toMatchObject({ notifyType, where, offset });
  });

  it('of another minor version is accepted (RFC 7296 §2.5)', () => {
    expect(decodeMessage(withOctets(17, 0x25)).header.minorVersion).toBe(5);
  });

  it('with RESERVED bits set is accepted, and they are sent as zero (RFC 7296 §2.5)', () => {
    const reserved = withOctets(19, 0x08 | 0xc7);
    reserved[29] = 0x7f; // behind the critical bit of SA
    reserved[33] = 0xff; // in its proposal
    expect(encodeMessage(decodeMessage(reserved))).toEqual(init);
  });

  it('with the critical bit set in a payload that we know is accepted (RFC 7296 §3.2)', () => {
    expect(decodeMessage(withOctets(29, 0x80))).toEqual(decodeMessage(init));
  });

  it('with an unknown payload keeps it; if it is critical, it is refused as a whole', () => {
    const body = bytesOf('010203');
    const unknown = (critical: boolean): Payload => ({ kind: 'unknown', type: 49, critical, body });
    const encoded = encodeMessage({
      header: decodeMessage(init).header,
      payloads: [unknown(false), unknown(true)],
    });
    const decoded = decodeMessage(encoded);
    expect(decoded.payloads).toEqual([unknown(false), unknown(true)]);
    expect(encodeMessage(decoded)).toEqual(encoded);
    const error = refusal(() => rejectCritical(decoded.payloads));
    expect(error.notifyType).toBe(NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD);
    expect(error.notifyData).toEqual(Uint8Array.of(49));
    expect(() => rejectCritical([unknown(false)])).not.toThrow();
  });

  it('says in words what is wrong and where', () => {
    expect(refusal(() => decodeMessage(withOctets(39, 4))).message).toBe(
      'INVALID_SYNTAX: SA.proposals.transforms at octet 60: Last Substruc says last',
    );
  });
});

describe('a payload', () => {
  it.each([
    ['a nonce below 16 octets', 40, `00000013${'00'.repeat(15)}`, 'Nonce.data'],
    ['a nonce above 256 octets', 40, `00000105${'00'.repeat(257)}`, 'Nonce.data'],
    ['a KE payload without a method', 34, '0000000500', 'KE.method'],
    ['an SA payload without a proposal', 33, '00000004', 'SA.proposals'],
    ['a TS payload without a selector', 44, '0000000800000000', 'TSi.selectors'],
    [
      'a TS payload with one selector less than counted',
      44,
      '0000001802000000070000100000ffff0a0000000affffff',
      'TSi.selectors',
    ],
    [
      'an IPv4 selector of 15 octets',
      44,
      '00000017010000000700000f0000ffff0a0000000affff',
      'TSi.selectors.endAddress',
    ],
    [
      'an IPv4 selector of the length of an IPv6 one',
      44,
      `0000003001000000070000280000ffff${'00'.repeat(32)}`,
      'TSi.selectors',
    ],
    ['a Notify whose SPI is not there', 41, '0000000800044000', 'N.spi'],
    ['a Delete with SPIs of no octets', 42, '0000000803000001', 'D.spis'],
    ['a Delete with more SPIs than octets', 42, '0000000c0304000211223344', 'D.spis'],
    ['a Delete with more octets than SPIs', 42, '000000100304000111223344aabbccdd', 'D'],
    ['an EAP message with a length of its own', 48, '0000000903000004ff', 'EAP.eapLength'],
    [
      'a configuration attribute cut short',
      47,
      '0000000e01000000000100080a00',
      'CP.attributes.value',
    ],
  ])('with %s is refused', (_, type, digits, where) => {
    const error = refusal(() => decodePayloads(type, bytesOf(digits)));
    expect(error).toMatchObject({ notifyType: NOTIFY.INVALID_SYNTAX, where });
  });

  it('that is encrypted is refused inside an encrypted one', () => {
    expect(refusal(() => decodePayloads(46, bytesOf('00000006aabb'))).where).toBe('SK');
    expect(refusal(() => decodePayloads(53, bytesOf('0000000800010001'))).where).toBe('SK');
  });

  it('after an encrypted one is refused, received and sent (RFC 7296 §3.14)', () => {
    const header = { ...decodeMessage(init).header, exchangeType: EXCHANGE.INFORMATIONAL };
    const sk: Payload = { kind: 'SK', nextPayload: 0, body: new Uint8Array(20) };
    const v: Payload = { kind: 'V', data: new Uint8Array(4) };
    expect(() => encodeMessage({ header, payloads: [sk, v] })).toThrow(RangeError);
    const data = Uint8Array.of(...encodeMessage({ header, payloads: [sk] }), 0, 0, 0, 4);
    data[27] = data.length;
    expect(refusal(() => decodeMessage(data)).where).toBe('payloads');
  });
});

describe('what does not fit its field', () => {
  const { header } = decodeMessage(init);
  const none = new Uint8Array(0);
  it.each<[string, Payload]>([
    [
      'a notify type above 65535',
      { kind: 'N', protocolId: 0, notifyType: 65536, spi: none, data: none },
    ],
    ['a negative protocol', { kind: 'N', protocolId: -1, notifyType: 1, spi: none, data: none }],
    [
      'an SPI above 255 octets',
      { kind: 'N', protocolId: 0, notifyType: 1, spi: new Uint8Array(256), data: none },
    ],
    [
      'SPIs of several sizes',
      { kind: 'D', protocolId: 3, spis: [new Uint8Array(4), new Uint8Array(8)] },
    ],
    ['a payload above 65535 octets', { kind: 'V', data: new Uint8Array(65532) }],
    ['a nonce of 8 octets', { kind: 'Nonce', data: new Uint8Array(8) }],
    ['no proposal', { kind: 'SA', proposals: [] }],
    ['a fraction', { kind: 'KE', method: 1.5, data: none }],
  ])('is not encoded: %s', (_, payload) => {
    expect(() => encodeMessage({ header, payloads: [payload] })).toThrow(RangeError);
  });
});

describe('peekHeader', () => {
  it('reads what no decoder would accept, if 28 octets are there', () => {
    expect(peekHeader(init.subarray(0, 27))).toBeUndefined();
    expect(peekHeader(withOctets(17, 0x10).subarray(0, 28))).toMatchObject({
      majorVersion: 1,
      exchangeType: EXCHANGE.IKE_SA_INIT,
      initiator: true,
      response: false,
      messageId: 0,
      length: 284,
    });
  });
});
