import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  decodePayloads,
  describeMessage,
  type Payload,
  printIdentity,
  printMessage,
  printPayload,
} from '../../../src/wire/index.js';
import { bytesOf, digitsOf, fixtures, type TsharkPayload } from './fixtures.js';

function captured(name: string, index: number) {
  const { data, payloads } = fixtures.find((fixture) => fixture.name === name)!.messages[index]!;
  const inner = payloads.at(-1)!.inner;
  return { message: decodeMessage(bytesOf(data)), inner: inner && insideOf(inner) };
}

function insideOf(inner: readonly TsharkPayload[]): Payload[] {
  return decodePayloads(inner[0]?.type ?? 0, bytesOf(inner.map(({ octets }) => octets).join('')));
}

const none = new Uint8Array(0);

describe('a message for people', () => {
  it('reads as in the RFC: IKE_SA_INIT', () => {
    const { message } = captured('strongswan-psk-pfs-x25519', 0);
    expect(printMessage(message)).toBe(
      'IKE_SA_INIT request 0: SA(IKE: AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519), ' +
        'KE(CURVE25519), Ni(32), N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP), ' +
        'N(IKEV2_FRAGMENTATION_SUPPORTED), N(SIGNATURE_HASH_ALGORITHMS), N(REDIRECT_SUPPORTED), ' +
        'V(882fe56d6fd20dbc2251613b2ebe5beb)',
    );
  });

  it('reads as in the RFC: IKE_AUTH, with what was inside', () => {
    const { message, inner } = captured('strongswan-psk-cbc256-sha256', 3);
    expect(printMessage(message, inner)).toBe(
      'IKE_AUTH response 1: SK{IDr(ID_FQDN, b.px.test), AUTH(SHARED_KEY_MIC), ' +
        'SA(ESP: AES_CBC_256/HMAC_SHA2_256_128/NO_ESN), TSi(10.1.0.0/16, fd01::/16), ' +
        'TSr(10.2.0.0/16, fd02::/16), N(MOBIKE_SUPPORTED), N(ADDITIONAL_IP6_ADDRESS)}',
    );
    expect(printMessage(message)).toMatch(/^IKE_AUTH response 1: SK\(\d+\)$/);
  });

  it.each([
    ['strongswan-rekey', 6, 'INFORMATIONAL request 3: SK{D(ESP, '],
    ['strongswan-delete-child', 6, 'INFORMATIONAL request 0: SK{D(IKE)}'],
    ['strongswan-delete-child', 7, 'INFORMATIONAL response 0: SK{}'],
    ['strongswan-cert-frag', 3, 'IKE_AUTH request 1: SKF(2, 3, 508)'],
    ['strongswan-eap-mschapv2', 5, 'IKE_AUTH response 2: SK{EAP(REQUEST, MSCHAPV2, 8)}'],
    ['strongswan-eap-mschapv2', 2, 'CP(CFG_REQUEST, INTERNAL_IP4_ADDRESS)'],
    ['strongswan-cookie', 8, 'IKE_SA_INIT response 0: N(COOKIE)'],
  ])('of %s, message %i, holds %s', (name, index, text) => {
    const { message, inner } = captured(name, index);
    expect(printMessage(message, inner)).toContain(text);
  });

  it('has every field in its long form, with the number beside the name', () => {
    const { message } = captured('strongswan-psk-gcm256', 1);
    const lines = describeMessage(message).split('\n');
    for (const line of [
      'IKE_SA_INIT response 0',
      '  exchangeType: IKE_SA_INIT (34)',
      '  response: yes',
      '  SA: Security Association (§3.3)',
      '        type: ENCR (1)',
      '        id: AES_GCM_16 (20)',
      '          value: 256',
      '    method: ECP_384 (20)',
      '    data: 96 octets',
    ]) {
      expect(lines).toContain(line);
    }
  });

  it('shows no octets of keys, nonces, signatures, MICs and notification data', () => {
    for (const { messages } of fixtures) {
      for (const { data, payloads } of messages) {
        const message = decodeMessage(bytesOf(data));
        const inner = insideOf(payloads.at(-1)?.inner ?? []);
        const text = `${printMessage(message, inner)}${describeMessage(message, inner)}`;
        for (const payload of [...message.payloads, ...inner]) {
          if (!['KE', 'Nonce', 'AUTH', 'N', 'CERT', 'EAP'].includes(payload.kind)) continue;
          const { data: secret } = payload as Extract<Payload, { kind: 'KE' }>;
          if (secret.length > 3) expect(text).not.toContain(digitsOf(secret.subarray(0, 4)));
        }
      }
    }
  });

  it('prints what nobody has assigned as numbers', () => {
    const unknown: Payload[] = [
      { kind: 'unknown', type: 200, critical: true, body: bytesOf('0102') },
      { kind: 'N', protocolId: 9, notifyType: 40000, spi: bytesOf('aabb'), data: none },
      {
        kind: 'SA',
        proposals: [
          {
            number: 1,
            protocolId: 77,
            spi: none,
            transforms: [
              { type: 99, id: 5, attributes: [] },
              { type: 1, id: 1024, attributes: [{ type: 5, value: none }] },
            ],
          },
        ],
      },
      { kind: 'TSi', selectors: [{ tsType: 10, protocol: 0, data: none }] },
    ];
    expect(unknown.map((payload) => printPayload(payload, false))).toEqual([
      'payload 200(critical, 2)',
      'N(40000, 9, aabb)',
      'SA(77: 1024[5]/99_5)',
      'TSi(TS type 10)',
    ]);
  });

  it('lets no identity break a line or flood it', () => {
    expect(printIdentity(2, new TextEncoder().encode('a\nIKE_AUTH forged'))).toMatch(/^[0-9a-f]+$/);
    expect(printIdentity(2, new TextEncoder().encode('x'.repeat(5000))).length).toBeLessThan(100);
    expect(printIdentity(11, new Uint8Array(5000).fill(0x80)).length).toBeLessThan(100);
    expect(printIdentity(1, bytesOf('c0000201'))).toBe('192.0.2.1');
    expect(printIdentity(1, bytesOf('c00002'))).toBe('c00002');
    expect(printIdentity(5, bytesOf('20010db8000000000000000000000001'))).toBe('2001:db8::1');
    expect(printIdentity(9, new Uint8Array(58))).toBe('58');
  });
});
