/** Reassembly of fragmented messages (RFC 7383 §2.6), with messages of strongSwan among others. */
import { describe, expect, it } from 'vitest';
import { skSuite } from '../../../../src/crypto/encrypt.js';
import type { IkeKeys } from '../../../../src/crypto/keymat.js';
import { Secret } from '../../../../src/crypto/secret.js';
import {
  FragmentStore,
  MAX_FRAGMENTS,
  PartialMessage,
  type Reassembled,
} from '../../../../src/ike/messages/fragments.js';
import { Protection, SealedContent } from '../../../../src/ike/messages/protection.js';
import { decodeMessage, encryptedPart, peekHeader, typeOf } from '../../../../src/wire/index.js';
import { SeededRandom } from '../../../exchange/harness/random.js';
import { bytesOf, digitsOf, type FixtureKeys, fixtures } from '../../wire/fixtures.js';

const DATAGRAM = Uint8Array.of(1, 2, 3);

function piece(number: number, total: number, plaintext: Uint8Array): SealedContent {
  const firstType = number === 1 ? 35 : 0;
  return new SealedContent({ firstType, plaintext, fragment: { number, total }, before: [] });
}

const text = (octets: string) => new TextEncoder().encode(octets);

function joined(result: Reassembled): string | undefined {
  return result.fate === 'complete'
    ? new TextDecoder().decode(result.content.plaintext)
    : result.fate;
}

describe("strongSwan's IKE_AUTH with certificates, in fragments of 576 bytes", () => {
  const fixture = fixtures.find(({ name }) => name === 'strongswan-cert-frag')!;
  const datagrams = fixture.messages.map(({ data, payloads }) => ({
    data: bytesOf(data),
    reassembled: payloads.at(-1)?.reassembled,
  }));
  const fragments = datagrams.filter(({ data }) => {
    return encryptedPart(data, decodeMessage(data))?.fragment !== undefined;
  });

  it.each([
    ['request', false],
    ['response', true],
  ] as const)('is put together in any order: the %s', (_, response) => {
    const mine = fragments.filter(({ data }) => peekHeader(data)!.response === response);
    const expected = mine.find(({ reassembled }) => reassembled !== undefined)!.reassembled!;
    expect(mine.length).toBeGreaterThan(2);
    for (let turn = 0; turn < mine.length; turn++) {
      const store = new FragmentStore(1 << 20);
      const message = new PartialMessage(store);
      const opener = protectionOf(fixture.keys!, response ? 'initiator' : 'responder');
      const order = [...mine.slice(turn), ...mine.slice(0, turn)].reverse();
      const results = order.map(({ data }) => message.add(1, opener.open(data)!, data));
      const last = results.pop()!;
      expect(results.every(({ fate }) => fate === 'kept')).toBe(true);
      if (last.fate !== 'complete') throw new Error(last.fate);
      expect(digitsOf(last.first)).toBe(digitsOf(mine[0]!.data));
      expect(last.content.decode().map(typeOf)).toEqual(expected.map(({ type }) => type));
      expect(digitsOf(last.content.plaintext)).toBe(expected.map(({ octets }) => octets).join(''));
      expect(store.octets).toBe(0);
    }
  });
});

function protectionOf(keys: FixtureKeys, role: 'initiator' | 'responder'): Protection {
  const secret = (digits: string) => new Secret(bytesOf(digits));
  const keyBits = (bytesOf(keys.skEi).length - 4) * 8;
  const none = new Secret(new Uint8Array(0));
  const ikeKeys: IkeKeys = {
    skD: none,
    skPi: none,
    skPr: none,
    initiator: { encryption: secret(keys.skEi), integrity: undefined },
    responder: { encryption: secret(keys.skEr), integrity: undefined },
  };
  const environment = {} as ConstructorParameters<typeof Protection>[3];
  return new Protection(skSuite(20, keyBits, 0)!, ikeKeys, role, environment);
}

describe('a message in fragments', () => {
  it('is complete with the last that was missing, and says what it begins with', () => {
    const message = new PartialMessage(new FragmentStore(10_000));
    expect(joined(message.add(7, piece(3, 3, text('c')), DATAGRAM))).toBe('kept');
    expect(joined(message.add(7, piece(1, 3, text('a')), Uint8Array.of(9)))).toBe('kept');
    expect(joined(message.add(7, piece(3, 3, text('x')), DATAGRAM))).toBe('duplicate');
    const result = message.add(7, piece(2, 3, text('b')), DATAGRAM);
    expect(joined(result)).toBe('abc');
    expect(result).toMatchObject({ content: { firstType: 35 }, first: Uint8Array.of(9) });
  });

  it('keeps what stood in clear in its first fragment (RFC 7383 §2.5.3)', () => {
    const message = new PartialMessage(new FragmentStore(10_000));
    const before = [{ kind: 'unknown', type: 199, critical: true, body: DATAGRAM }] as const;
    const fragment = { number: 1, total: 2 };
    message.add(
      7,
      new SealedContent({ firstType: 0, plaintext: text(''), fragment, before }),
      DATAGRAM,
    );
    const result = message.add(7, piece(2, 2, text('')), DATAGRAM);
    if (result.fate !== 'complete') throw new Error(result.fate);
    expect(() => result.content.decode()).toThrow('UNSUPPORTED_CRITICAL_PAYLOAD');
  });

  it('may be one fragment', () => {
    const message = new PartialMessage(new FragmentStore(10_000));
    expect(joined(message.add(7, piece(1, 1, text('all')), DATAGRAM))).toBe('all');
  });

  it('begins anew where the peer makes smaller fragments, and not with larger ones', () => {
    const message = new PartialMessage(new FragmentStore(10_000));
    message.add(7, piece(1, 2, text('old')), DATAGRAM);
    expect(joined(message.add(7, piece(2, 3, text('b')), DATAGRAM))).toBe('kept');
    expect(joined(message.add(7, piece(2, 2, text('old')), DATAGRAM))).toBe('refused');
    message.add(7, piece(1, 3, text('a')), DATAGRAM);
    expect(joined(message.add(7, piece(3, 3, text('c')), DATAGRAM))).toBe('abc');
  });

  it('has nothing of the message before it', () => {
    const message = new PartialMessage(new FragmentStore(10_000));
    message.add(7, piece(1, 2, text('a')), DATAGRAM);
    expect(joined(message.add(8, piece(2, 2, text('B')), DATAGRAM))).toBe('kept');
    expect(joined(message.add(8, piece(1, 2, text('A')), DATAGRAM))).toBe('AB');
  });

  it.each([
    [0, 2],
    [3, 2],
    [1, 0],
    [1, MAX_FRAGMENTS + 1],
    [65_535, 65_535],
  ])('is refused a fragment %i of %i', (number, total) => {
    const store = new FragmentStore(10_000);
    const message = new PartialMessage(store);
    expect(joined(message.add(7, piece(number, total, text('a')), DATAGRAM))).toBe('refused');
    expect(store.octets).toBe(0);
  });

  it('is no longer than a UDP datagram could be', () => {
    const message = new PartialMessage(new FragmentStore(1 << 20));
    const long = new Uint8Array(33_000);
    expect(joined(message.add(7, piece(1, 3, long), DATAGRAM))).toBe('kept');
    expect(joined(message.add(7, piece(2, 3, long), DATAGRAM))).toBe('refused');
  });
});

describe('what is kept of messages that are not complete', () => {
  it('is bounded: the oldest message goes', () => {
    const store = new FragmentStore(30_000);
    const messages = Array.from({ length: 40 }, () => new PartialMessage(store));
    for (const message of messages) {
      message.add(1, piece(1, 2, new Uint8Array(1_000)), DATAGRAM);
      expect(store.octets).toBeLessThanOrEqual(30_000);
    }
    expect(joined(messages[0]!.add(1, piece(2, 2, text('b')), DATAGRAM))).toBe('kept');
    expect(messages.at(-1)!.add(1, piece(2, 2, text('b')), DATAGRAM).fate).toBe('complete');
  });

  it('is counted exactly, whatever comes in whatever order', () => {
    const random = new SeededRandom(7);
    const store = new FragmentStore(20_000);
    const messages = Array.from({ length: 8 }, () => new PartialMessage(store));
    let complete = 0;
    for (let n = 0; n < 20_000; n++) {
      const message = messages[random.below(8)]!;
      const total = random.below(6);
      const content = piece(random.below(7), total, new Uint8Array(random.below(1_500)));
      const { fate } = message.add(random.below(3), content, new Uint8Array(random.below(1_500)));
      if (fate === 'complete') complete++;
      if (random.chance(0.05)) message.drop();
      if (store.octets < 0 || store.octets > 20_000) throw new Error(`${store.octets} octets`);
    }
    expect(complete).toBeGreaterThan(100);
    for (const message of messages) message.drop();
    expect(store.octets).toBe(0);
  });
});
