import { describe, expect, it } from 'vitest';
import {
  DEFAULT_ESP,
  DEFAULT_IKE,
  formatProposal,
  parseProposal,
} from '../../../src/policy/proposal.js';

describe('parseProposal', () => {
  it('reads an AEAD with its PRF and key exchange', () => {
    expect(parseProposal('ike', 'aes128gcm16-prfsha256-x25519')).toEqual({
      protocol: 'ike',
      encryption: [{ id: 20, keyBits: 128 }],
      prf: [{ id: 5 }],
      integrity: [],
      keyExchange: [{ id: 31 }],
      additional: [],
      esn: [],
    });
  });

  it('takes the PRF from the integrity algorithm where none is named', () => {
    expect(parseProposal('ike', 'aes256-sha384-modp2048')).toMatchObject({
      encryption: [{ id: 12, keyBits: 256 }],
      integrity: [{ id: 13 }],
      prf: [{ id: 6 }],
      keyExchange: [{ id: 14 }],
      additional: [],
    });
    expect(parseProposal('ike', 'aes256-sha384-prfsha256-ecp256').prf).toEqual([{ id: 5 }]);
  });

  it('offers both kinds of sequence numbers for ESP unless one is named', () => {
    expect(parseProposal('esp', 'aes256gcm16').esn).toEqual([true, false]);
    expect(parseProposal('esp', 'aes256gcm16-esn').esn).toEqual([true]);
    expect(parseProposal('esp', 'aes256gcm16-noesn').esn).toEqual([false]);
    expect(parseProposal('esp', 'aes256gcm16-noesn-esn').esn).toEqual([false, true]);
  });

  it('reads what has no Key Length attribute, and what ESP and AH have alone', () => {
    expect(parseProposal('ike', 'chacha20poly1305-prfsha256-x448').encryption).toEqual([
      { id: 28 },
    ]);
    expect(parseProposal('esp', 'null-sha1')).toMatchObject({
      encryption: [{ id: 11 }],
      integrity: [{ id: 2 }],
      prf: [],
    });
    expect(parseProposal('esp', 'aes192gmac').encryption).toEqual([{ id: 21, keyBits: 192 }]);
    expect(parseProposal('ah', 'sha512-aes256gmac-esn')).toEqual({
      protocol: 'ah',
      encryption: [],
      prf: [],
      integrity: [{ id: 14 }, { id: 11 }],
      keyExchange: [],
      additional: [],
      esn: [true],
    });
  });

  it('keeps the order of preference and drops what is named twice', () => {
    const { encryption } = parseProposal(
      'ike',
      'aes256gcm16-aes128gcm16-aes256gcm16-prfsha256-x25519',
    );
    expect(encryption.map(({ keyBits }) => keyBits)).toEqual([256, 128]);
  });

  it.each([
    ['ike', 'aes128gcm16-prfsha256-modp1024', /unknown algorithm "modp1024"; allowed for ike: /],
    ['ike', '3des-sha256-modp2048', /unknown algorithm "3des"/],
    ['ike', '', /unknown algorithm ""/],
    ['ike', 'toString-x25519', /unknown algorithm "toString"/],
    ['ike', 'prfsha256-x25519', /no encryption/],
    ['ike', 'aes128gcm16-x25519', /no PRF/],
    ['ike', 'aes128gcm16-prfsha256', /no key exchange/],
    ['ike', 'aes128-prfsha256-x25519', /no integrity/],
    ['ike', 'aes128gcm16-sha256-x25519', /beside an AEAD, such as AES-GCM/],
    ['ike', 'aes128gcm16-aes128-sha256-x25519', /proposals of their own/],
    ['ike', 'aes128gcm16-esn', /unknown algorithm "esn"/],
    ['ike', 'null-sha256-x25519', /unknown algorithm "null"/],
    ['ike', 'aes128gmac-prfsha256-x25519', /unknown algorithm "aes128gmac"/],
    ['ike', 'aes128gcm16iiv-prfsha256-x25519', /unknown algorithm "aes128gcm16iiv"/],
    ['esp', 'aes128-md5', /unknown algorithm "md5"/],
    ['esp', 'aes128', /no integrity/],
    ['esp', 'null', /no integrity/],
    ['esp', 'aes128-prfsha256', /unknown algorithm "prfsha256"/],
    ['esp', 'esn', /no encryption/],
    ['ah', 'esn', /no integrity/],
    ['ah', 'aes128-sha256', /unknown algorithm "aes128"/],
  ] as const)('refuses %s "%s"', (protocol, text, problem) => {
    expect(() => parseProposal(protocol, text)).toThrow(problem);
  });

  it('reads the defaults', () => {
    for (const text of DEFAULT_IKE) expect(parseProposal('ike', text).encryption).toHaveLength(2);
    // With a key exchange of its own for a rekeyed Child SA, and without one.
    expect(DEFAULT_ESP.map((text) => formatProposal(parseProposal('esp', text)))).toEqual([
      'AES_GCM_16_256 or AES_GCM_16_128 / ' +
        'CURVE25519 or ECP_256 or ECP_384 or MODP_3072 or MODP_2048 / ESN or NO_ESN',
      'AES_GCM_16_256 or AES_GCM_16_128 / ESN or NO_ESN',
    ]);
  });
});
