/** Liveness checks that measure the path (RFC 7296 §2.4, §3.10.1; RFC 7383 §2.5.2). */
import { describe, expect, it } from 'vitest';
import { PAYLOAD } from '../../src/wire/index.js';
import { Dialogue, type DialogueOptions } from './harness/dialogue.js';

const ipLength = ({ data, marker }: { data: Uint8Array; marker: boolean }) =>
  data.length + 28 + (marker ? 4 : 0);
const isFragment = ({ data }: { data: Uint8Array }) => data[16] === PAYLOAD.SKF;

function probing(bytes: number, options: DialogueOptions = {}): Dialogue {
  const both = Dialogue.established({ ...options, fast: true });
  const { initiatorSpi } = both.a.ike.ikeSas()[0]!;
  both.a.handle({ type: 'probe', ikeSpi: initiatorSpi, probe: 7, bytes });
  return both;
}

describe('a probe', () => {
  it('is an empty request that tells its round trip', () => {
    const both = probing(0);
    both.wait(30);
    expect(both.settle()).toHaveLength(2);
    expect(both.a.probed).toMatchObject([{ probe: 7, answer: { sent: 1, milliseconds: 30 } }]);
  });

  it.each([600, 1281, 1500, 9000])('goes whole in a datagram of %i bytes', (bytes) => {
    const both = probing(bytes);
    const [request, ...more] = both.a.outbox.splice(0);
    expect(more).toEqual([]);
    expect(ipLength(request!)).toBe(bytes);
    both.give(request!);
    both.settle();
    expect(both.a.probed).toMatchObject([{ answer: { sent: 1, bytes } }]);
    both.expectTunnel();
  });

  it('is no longer than asked for where the cipher pads to blocks', () => {
    const ike = ['aes256-sha512-x25519'];
    const both = probing(1400, { a: { ike }, b: { ike } });
    expect(ipLength(both.a.outbox[0]!)).toBeGreaterThan(1400 - 32);
    expect(ipLength(both.a.outbox[0]!)).toBeLessThanOrEqual(1400);
  });

  it('that is too long for the path goes again bit by bit, without DF', () => {
    const both = probing(1500);
    const [first] = both.a.outbox.splice(0); // lost
    both.wait(600);
    const [again, ...more] = both.a.outbox;
    expect(more).toEqual([]);
    expect(again).toEqual({ ...first, whole: undefined });
    expect([first!.whole, again!.whole]).toEqual([true, undefined]);
    both.settle();
    expectAnswer(both, 2);
  });

  it('goes in fragments of IKE, empty and whole by turns where IP fragments are lost', () => {
    const both = probing(1500);
    const sent: Uint8Array[][] = [];
    for (const wait of [600, 1_100, 2_200, 4_400, 8_800]) {
      sent.push(both.a.outbox.splice(0).map(({ data }) => data)); // lost
      both.wait(wait);
    }
    const [first, again, fragments, empty, whole] = sent;
    expect(sent.map(({ length }) => length)).toEqual([1, 1, 2, 1, 1]);
    expect(fragments!.every((data) => isFragment({ data }))).toBe(true);
    expect(empty![0]!.length).toBeLessThan(100);
    expect([again, whole]).toEqual([first, first]);
    both.settle();
    expectAnswer(both, 6);
  });

  it('of which only the answers are lost is taken for the same in fragments', () => {
    const both = probing(1500);
    for (const wait of [600, 1_100]) {
      for (const datagram of both.a.outbox.splice(0)) both.give(datagram);
      both.b.outbox.splice(0); // lost
      both.wait(wait);
    }
    expect(both.a.outbox.length).toBeGreaterThan(1);
    expect(both.a.outbox.every(isFragment)).toBe(true);
    both.settle();
    expectAnswer(both, 3);
  });

  function expectAnswer(both: Dialogue, sent: number): void {
    const { answer } = both.a.probed[0]!;
    expect(answer).toMatchObject({ sent });
    expect(answer).not.toHaveProperty('bytes');
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.settle();
    expect([both.a.states, both.b.states]).toEqual([[], []]);
  }

  it('that might not be said again is not made', () => {
    const both = probing(1500, { a: { fragmentBytes: 0 } });
    expect(both.a.outbox).toEqual([]);
    expect(both.a.probed).toEqual([{ type: 'probed', probe: 7 }]);
  });
});
