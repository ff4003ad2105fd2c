import { describe, expect, it } from 'vitest';
import { explainNoProposal } from '../../../src/policy/compare.js';
import { parseProposal } from '../../../src/policy/proposal.js';
import {
  acceptAnswer,
  formatSuite,
  type Purpose,
  selectSuite,
  toWireProposals,
} from '../../../src/policy/suite.js';
import type { WireProposal, WireTransform } from '../../../src/wire/index.js';

const IKE: Purpose = { protocol: 'ike', keyExchange: true };
const ESP: Purpose = { protocol: 'esp', keyExchange: false };
const NO_SPI = new Uint8Array(0);
const SPI_A = Uint8Array.of(0xa, 0, 0, 1);
const SPI_B = Uint8Array.of(0xb, 0, 0, 2);

const ike = (...texts: string[]) => texts.map((text) => parseProposal('ike', text));
const esp = (...texts: string[]) => texts.map((text) => parseProposal('esp', text));
const offer = (...texts: string[]) => toWireProposals(ike(...texts), NO_SPI, IKE);
const offerEsp = (...texts: string[]) => toWireProposals(esp(...texts), SPI_A, ESP);

/** Type, ID and key length of each transform. */
const transforms = (proposal: WireProposal) =>
  proposal.transforms.map(({ type, id, attributes }) =>
    [type, id, ...attributes.map(({ value }) => value)].join('/'),
  );

describe('the offer', () => {
  it('lists the transforms of each type, with key lengths, under numbers from 1', () => {
    const proposals = offer('aes256gcm16-aes128gcm16-prfsha256-x25519', 'aes128-sha256-modp2048');
    expect(proposals.map(({ number }) => number)).toEqual([1, 2]);
    expect(transforms(proposals[0]!)).toEqual(['1/20/256', '1/20/128', '2/5', '4/31']);
    expect(transforms(proposals[1]!)).toEqual(['1/12/128', '2/5', '3/12', '4/14']);
  });

  it('of ESP has the SPI and both ESN transforms, and in IKE_AUTH no key exchange', () => {
    const [proposal] = offerEsp('aes128gcm16-x25519');
    expect(proposal!.spi).toBe(SPI_A);
    expect(transforms(proposal!)).toEqual(['1/20/128', '5/1', '5/0']);
  });
});

describe('the choice', () => {
  const choose = (own: string[], offered: WireProposal[], guessed?: number) => {
    const purpose = guessed === undefined ? IKE : { ...IKE, guessed };
    return selectSuite(ike(...own), offered, NO_SPI, purpose);
  };

  it('answers one transform of each type under the number of the proposal', () => {
    const offered = offer('aes256-sha256-modp2048', 'aes256gcm16-aes128gcm16-prfsha256-x25519');
    const selection = choose(['aes128gcm16-prfsha256-x25519'], offered)!;
    expect(selection.answer.number).toBe(2);
    expect(transforms(selection.answer)).toEqual(['1/20/128', '2/5', '4/31']);
    expect(formatSuite(selection.suite)).toBe('AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519');
  });

  it("follows the responder's order", () => {
    const offered = offer('aes128gcm16-aes256gcm16-prfsha256-x25519-ecp256');
    const { suite } = choose(['aes256gcm16-aes128gcm16-prfsha256-ecp256-x25519'], offered)!;
    expect(formatSuite(suite)).toBe('AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256');
  });

  it('takes the key exchange that was guessed where it is acceptable', () => {
    const offered = offer('aes128gcm16-prfsha256-x25519-ecp256');
    const own = ['aes128gcm16-prfsha256-ecp256-x25519'];
    expect(choose(own, offered, 31)!.suite.keyExchange).toEqual({ id: 31 });
    expect(choose(own, offered, 19)!.suite.keyExchange).toEqual({ id: 19 });
    expect(choose(own, offered, 14)!.suite.keyExchange).toEqual({ id: 19 });
  });

  it('is none where one type has nothing in common, also only the key length', () => {
    const own = ['aes128gcm16-prfsha256-x25519'];
    expect(choose(own, offer('aes256gcm16-prfsha256-x25519'))).toBeUndefined();
    expect(choose(own, offer('aes128gcm16-prfsha384-x25519'))).toBeUndefined();
    expect(choose(own, offer('aes128gcm16-prfsha256-ecp256'))).toBeUndefined();
    expect(choose(own, offer('aes128-sha256-x25519'))).toBeUndefined();
  });

  const change = (proposal: WireProposal, ...more: WireTransform[]): WireProposal => ({
    ...proposal,
    transforms: [...proposal.transforms, ...more],
  });

  it('passes over a proposal with a transform type that we do not know (RFC 7296 §3.3.6)', () => {
    const own = ['aes128gcm16-prfsha256-x25519'];
    const [plain] = offer(...own);
    const hybrid = change(plain!, { type: 6, id: 36, attributes: [] });
    expect(choose(own, [hybrid])).toBeUndefined();
    expect(choose(own, [hybrid, { ...plain!, number: 2 }])!.answer.number).toBe(2);
  });

  it('passes over a transform with an attribute that we do not know', () => {
    const own = ['aes128gcm16-prfsha256-x25519'];
    const [plain] = offer(...own);
    const strange = {
      ...plain!,
      transforms: plain!.transforms.map((transform) =>
        transform.type === 2 ? { ...transform, attributes: [{ type: 99, value: 1 }] } : transform,
      ),
    };
    expect(choose(own, [strange])).toBeUndefined();
  });

  it('takes integrity NONE with an AEAD, and answers it (RFC 7296 §3.3)', () => {
    const own = ['aes128gcm16-prfsha256-x25519'];
    const none = change(offer(...own)[0]!, { type: 3, id: 0, attributes: [] });
    const selection = choose(own, [none])!;
    expect(selection.suite.integrity).toBeUndefined();
    expect(transforms(selection.answer)).toEqual(['1/20/128', '2/5', '3/0', '4/31']);
    const hmac = change(offer(...own)[0]!, { type: 3, id: 12, attributes: [] });
    expect(choose(own, [hmac])).toBeUndefined();
  });

  it('of ESP prefers extended sequence numbers and needs an SPI of four octets', () => {
    const select = (own: string, offered: WireProposal[]) =>
      selectSuite(esp(own), offered, SPI_B, ESP);
    const selection = select('aes128gcm16', offerEsp('aes128gcm16'))!;
    expect(selection.suite.esn).toBe(true);
    expect(selection.spi).toBe(SPI_A);
    expect(selection.answer.spi).toBe(SPI_B);
    expect(select('aes128gcm16', offerEsp('aes128gcm16-noesn'))!.suite.esn).toBe(false);
    expect(select('aes128gcm16-esn', offerEsp('aes128gcm16-noesn'))).toBeUndefined();
    const [proposal] = offerEsp('aes128gcm16');
    expect(select('aes128gcm16', [{ ...proposal!, spi: NO_SPI }])).toBeUndefined();
    expect(select('aes128gcm16', [{ ...proposal!, protocolId: 2 }])).toBeUndefined();
  });
});

describe('the check of an answer', () => {
  const own = ike('aes256gcm16-aes128gcm16-prfsha256-x25519', 'aes128-sha256-modp2048');
  const answer = (...texts: string[]) => offer(...texts);

  it('takes what was offered', () => {
    const [one] = answer('aes128gcm16-prfsha256-x25519');
    expect(acceptAnswer(own, [one!], IKE)!.suite.encryption).toEqual({ id: 20, keyBits: 128 });
    const [two] = answer('aes128-sha256-modp2048');
    expect(acceptAnswer(own, [{ ...two!, number: 2 }], IKE)!.suite.keyExchange).toEqual({ id: 14 });
  });

  it('refuses what was not offered, several proposals, and several transforms of a type', () => {
    const [strange] = answer('aes128gcm16-prfsha384-x25519');
    const [good] = answer('aes128gcm16-prfsha256-x25519');
    const [both] = answer('aes256gcm16-aes128gcm16-prfsha256-x25519');
    const [missing] = [{ ...good!, transforms: good!.transforms.slice(1) }];
    expect(acceptAnswer(own, [strange!], IKE)).toBeUndefined();
    expect(acceptAnswer(own, [{ ...good!, number: 2 }], IKE)).toBeUndefined();
    expect(acceptAnswer(own, [{ ...good!, number: 3 }], IKE)).toBeUndefined();
    expect(acceptAnswer(own, [{ ...good!, number: 0 }], IKE)).toBeUndefined();
    expect(acceptAnswer(own, [good!, good!], IKE)).toBeUndefined();
    expect(acceptAnswer(own, [both!], IKE)).toBeUndefined();
    expect(acceptAnswer(own, [missing!], IKE)).toBeUndefined();
    expect(acceptAnswer(own, [], IKE)).toBeUndefined();
  });

  it('refuses a key exchange for the Child SA of IKE_AUTH, where none is offered (§3.3.6)', () => {
    const [good] = offerEsp('aes128gcm16-noesn');
    const own = esp('aes128gcm16-x25519-noesn');
    const withGroup = (id: number): WireProposal => {
      return { ...good!, transforms: [...good!.transforms, { type: 4, id, attributes: [] }] };
    };
    expect(acceptAnswer(own, [good!], ESP)).toBeDefined();
    expect(acceptAnswer(own, [withGroup(0)], ESP)).toBeDefined(); // NONE: the same as no transform
    expect(acceptAnswer(own, [withGroup(31)], ESP)).toBeUndefined();
  });
});

describe('the explanation', () => {
  it('shows both sides and the first difference of the nearest pair', () => {
    const text = explainNoProposal(
      ike('aes256gcm16-prfsha256-x25519', 'aes128-sha256-modp2048'),
      offer('aes256gcm16-prfsha256-ecp256'),
      IKE,
    );
    expect(text.split('\n')).toEqual([
      'ours:   AES_GCM_16_256 / PRF_HMAC_SHA2_256 / CURVE25519',
      'ours:   AES_CBC_128 / HMAC_SHA2_256_128 / PRF_HMAC_SHA2_256 / MODP_2048',
      "peer's: AES_GCM_16_256 / PRF_HMAC_SHA2_256 / ECP_256",
      "first difference: key exchange: ours CURVE25519, the peer's ECP_256",
    ]);
  });

  it('names a transform type that we do not have', () => {
    const [plain] = offer('aes128gcm16-prfsha256-x25519');
    const hybrid = {
      ...plain!,
      transforms: [...plain!.transforms, { type: 13, id: 1, attributes: [] }],
    };
    const text = explainNoProposal(ike('aes128gcm16-prfsha256-x25519'), [hybrid], IKE);
    expect(text).toContain('first difference: the peer asks for KWA, which we do not have');
  });

  it('of ESP names the sequence numbers', () => {
    const text = explainNoProposal(esp('aes128gcm16-esn'), offerEsp('aes128gcm16-noesn'), ESP);
    expect(text).toContain("sequence numbers: ours ESN, the peer's NO_ESN");
  });
});
