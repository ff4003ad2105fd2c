/** Every algorithm that a word names is one that we have, and the other way round. */
import { describe, expect, it } from 'vitest';
import { isKeyExchangeSupported } from '../../../src/crypto/key-exchange.js';
import { prfById } from '../../../src/crypto/prf.js';
import { addon } from '../../../src/dataplane/addon.js';
import { keymatLength } from '../../../src/ike/child/child-sa.js';
import { protectionOf } from '../../../src/ike/messages/protection.js';
import { type Algorithm, type Protocol, WORDS, type Word } from '../../../src/policy/algorithm.js';
import { parseProposal } from '../../../src/policy/proposal.js';
import type { Suite } from '../../../src/policy/suite.js';

type Of<P extends Word['part']> = Word & { readonly part: P };

const wordsOf = <P extends Word['part']>(protocol: Protocol, part: P): [string, Of<P>][] =>
  Object.entries(WORDS[protocol]).filter((entry): entry is [string, Of<P>] => {
    return entry[1].part === part;
  });

/** What the words of a protocol can agree upon, as proposals of a cipher with a MAC or without. */
function textsOf(protocol: Protocol): string[] {
  const macs = wordsOf(protocol, 'integrity').map(([text]) => text);
  if (protocol === 'ah') return macs;
  return wordsOf(protocol, 'encryption').flatMap(([text, { aead }]) =>
    aead ? [text] : macs.map((mac) => `${text}-${mac}`),
  );
}

function suiteOf(protocol: Protocol, text: string): Suite {
  const { encryption, integrity } = parseProposal(protocol, text);
  const none = { prf: undefined, keyExchange: undefined, additional: [], esn: undefined };
  return { encryption: encryption[0], integrity: integrity[0], ...none };
}

/** ESP and AH tell theirs apart by IDs and key length; 0: none. */
const numbers = (encryption?: Algorithm, integrity?: Algorithm) =>
  [encryption?.id ?? 0, encryption?.keyBits ?? 0, integrity?.id ?? 0].join('/');

describe('the words of ESP and AH', () => {
  const suites = (['esp', 'ah'] as const).flatMap((protocol) =>
    textsOf(protocol).map((text) => ({ text, ...suiteOf(protocol, text) })),
  );
  // ChaCha20-Poly1305 has one length of key, which IKE does not name (RFC 7634 §4).
  const rows = addon.cryptoSuites().map((row) => ({
    ...row,
    keyBits: [28, 31].includes(row.encryption) ? 0 : row.keyBits,
  }));

  it('name every suite of the dataplane, and nothing else', () => {
    const named = suites.map(({ encryption, integrity }) => numbers(encryption, integrity));
    const there = rows.map(({ encryption, keyBits, integrity }) =>
      [encryption, keyBits, integrity].join('/'),
    );
    expect(named.toSorted()).toEqual(there.toSorted());
    expect(named.length).toBeGreaterThan(60);
  });

  it('take as much keying material as the dataplane wants', () => {
    for (const { text, ...suite } of suites) {
      const wanted = rows.find(
        ({ encryption, keyBits, integrity }) =>
          [encryption, keyBits, integrity].join('/') === numbers(suite.encryption, suite.integrity),
      )!;
      const octets = wanted.encryptionKeyBytes + wanted.saltBytes + wanted.integrityKeyBytes;
      expect(keymatLength(suite), text).toBe(octets);
    }
  });
});

describe('the words of IKE', () => {
  it('name suites that we can protect messages with', () => {
    const texts = textsOf('ike');
    expect(texts.length).toBeGreaterThan(50);
    for (const text of texts) {
      const suite = suiteOf('ike', `${text}-prfsha256-x25519`);
      expect(protectionOf(suite).keyLength, text).toBeGreaterThanOrEqual(16);
    }
  });

  it('name PRFs and key exchanges that we have', () => {
    for (const [text, { algorithm }] of wordsOf('ike', 'prf')) {
      expect(prfById(algorithm.id), text).toBeDefined();
    }
    for (const [text, { prf }] of wordsOf('ike', 'integrity')) {
      expect(prfById(prf!.id), text).toBeDefined();
    }
    for (const protocol of ['ike', 'esp', 'ah'] as const) {
      for (const [text, { algorithm }] of wordsOf(protocol, 'keyExchange')) {
        expect(isKeyExchangeSupported(algorithm.id), text).toBe(true);
      }
    }
  });
});
