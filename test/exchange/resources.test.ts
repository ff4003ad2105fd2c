/**
 * Child SAs of single resources (RFC 9611): asked for when a sender wants its own, by either side,
 * refused and bounded, rekeyed and deleted each for itself, and not at all with a peer that does not
 * know of them.
 */
import { describe, expect, it } from 'vitest';
import { need, notify } from '../../src/ike/messages/payloads.js';
import { DEFAULT_OPTIONS } from '../../src/ike/options.js';
import { NOTIFY } from '../../src/wire/index.js';
import { Dialogue, type DialogueOptions } from './harness/dialogue.js';
import type { Peer } from './harness/peer.js';
import { kinds } from './harness/scripted-peer.js';
import { type ReceivedRequest, ScriptedResponder } from './harness/scripted-responder.js';

const { drainTime, switchDelay } = DEFAULT_OPTIONS;
const FOUR = { resources: 4 };
const PER_RESOURCE = { perResource: 'auto' } as const;

/** A tunnel of two gateways with four senders each. */
function established(options: DialogueOptions = {}): Dialogue {
  const { a, b } = options;
  return Dialogue.established({
    optionsA: FOUR,
    optionsB: FOUR,
    ...options,
    a: { ...PER_RESOURCE, ...a },
    b: { ...PER_RESOURCE, ...b },
  });
}

function acquire(peer: Peer, resource: number): void {
  peer.handle({ type: 'acquire', connection: 'site', child: 'net', resource });
}

/** Which senders have a Child SA of their own. */
function owners(peer: Peer): number[] {
  return [...peer.installed.values()].flatMap(({ resource }) => resource ?? []).sort();
}

const shown = (peer: Peer) =>
  peer.ike
    .ikeSas()
    .flatMap(({ children }) =>
      children.map(({ resource, peerResource }) => [resource, peerResource]),
    );

/** Each sender of each side sends what the other can read. */
function expectFlows(both: Dialogue): void {
  for (const [from, to] of [
    [both.a, both.b],
    [both.b, both.a],
  ] as const) {
    for (const sender of [undefined, 0, 1, 2, 3]) {
      const { outboundSpi } = from.sending('site/net', sender)!;
      expect(to.installed.has(outboundSpi), `${from.name}, sender ${sender}`).toBe(true);
    }
  }
}

describe('the first Child SA', () => {
  it('is for all senders, and says that there may be others', () => {
    //  a -> b  HDR, SK {IDi, AUTH, N(SA_RESOURCE_INFO), SA, TSi, TSr}
    //  a <- b  HDR, SK {IDr, AUTH, N(SA_RESOURCE_INFO), SA, TSi, TSr}
    const both = established();
    both.expectChildren(1);
    expect(shown(both.a)).toEqual([['all', undefined]]);
    expect(shown(both.b)).toEqual([['all', undefined]]);
    for (const { installed } of [both.a, both.b]) {
      expect([...installed.values()].map(({ asks, resource }) => [asks, resource])).toEqual([
        [true, undefined],
      ]);
    }
  });

  it('is all that there is as long as nobody sends', () => {
    const both = established();
    both.wait(600_000);
    expect([both.a.outbox, both.b.outbox]).toEqual([[], []]);
    both.expectChildren(1);
  });

  it.each([
    ['initiator', { b: { perResource: undefined } }, 'a'],
    ['responder', { a: { perResource: undefined } }, 'b'],
  ] as const)('is the only one where the %s alone can have others', (_, options, side) => {
    const both = Dialogue.established({
      optionsA: FOUR,
      optionsB: FOUR,
      a: 'a' in options ? {} : PER_RESOURCE,
      b: 'b' in options ? {} : PER_RESOURCE,
    });
    const own = side === 'a' ? both.a : both.b;
    expect(shown(own)).toEqual([[undefined, undefined]]);
    expect([...own.installed.values()][0]!.asks).toBeUndefined();
    acquire(own, 1);
    expect(own.outbox).toEqual([]);
  });

  it('asks nobody for more on a gateway with one sender', () => {
    const both = established({ optionsA: {} });
    expect([...both.a.installed.values()][0]!.asks).toBeUndefined();
    expect([...both.b.installed.values()][0]!.asks).toBe(true);
  });
});

describe.each([
  ['initiator', 'a'],
  ['responder', 'b'],
] as const)('a sender of the %s of the IKE SA', (_, side) => {
  it('gets a Child SA of its own, and the other side binds it to a sender of its own', () => {
    const both = established();
    const [own, other] = side === 'a' ? [both.a, both.b] : [both.b, both.a];
    const first = side === 'a' ? 2 : 0;
    acquire(own, 2);
    //  own -> other  HDR, SK {N(SA_RESOURCE_INFO), SA, Ni, TSi, TSr}
    //  own <- other  HDR, SK {N(SA_RESOURCE_INFO), SA, Nr, TSi, TSr}
    //  own -> other  HDR, SK {}, by which the other side knows that the answer is there
    //  own <- other  HDR, SK {}
    expect(both.settleFlowing()).toEqual([
      `${own.name} CREATE_CHILD_SA request ${first}`,
      `${other.name} CREATE_CHILD_SA response ${first}`,
      `${own.name} INFORMATIONAL request ${first + 1}`,
      `${other.name} INFORMATIONAL response ${first + 1}`,
    ]);
    both.expectChildren(2);
    expect(other.sending('site/net', 0)!.resource).toBe(0);
    expect([owners(own), owners(other)]).toEqual([[2], [0]]);
    expect(own.sending('site/net', 2)!.resource).toBe(2);
    expect(own.sending('site/net', 1)!.resource).toBeUndefined();
    expect(shown(own)).toContainEqual([2, '00000000']);
    expect(shown(other)).toContainEqual([0, '00000002']);
    expect([own.failures, other.failures]).toEqual([[], []]);
  });

  it('asks once', () => {
    const both = established();
    const own = side === 'a' ? both.a : both.b;
    acquire(own, 1);
    acquire(own, 1);
    both.settle();
    acquire(own, 1);
    both.settle();
    both.expectChildren(2);
  });

  it('is not sent on by the other side before the answer has arrived (RFC 7296 §2.8)', () => {
    const both = established();
    const [own, other] = side === 'a' ? [both.a, both.b] : [both.b, both.a];
    acquire(own, 3);
    both.deliver(own);
    expect(owners(other)).toEqual([0]);
    expect(other.sending('site/net', 0)!.resource).toBeUndefined();
    expectFlows(both);
    both.deliver(other);
    expect(other.sending('site/net', 0)!.resource).toBeUndefined();
    expectFlows(both);
    both.deliver(own); // an empty request shows that the answer is there
    expect(other.sending('site/net', 0)!.resource).toBe(0);
    expectFlows(both);
  });
});

describe('the Child SA for all, asked for by both sides at once', () => {
  it('is one in the end, for all on both sides', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const childless = { ...PER_RESOURCE, childless: true };
      const options = { seed, a: childless, b: childless };
      const both = new Dialogue({ optionsA: FOUR, optionsB: FOUR, ...options });
      both.initiate(both.a);
      for (const from of [both.a, both.b, both.a]) both.deliver(from);
      both.initiate(both.b);
      const late = both.take(both.b); // IKE_AUTH
      const request = both.take(both.b); // CREATE_CHILD_SA
      both.give(late);
      both.settle(); // a's own request, and its answer
      both.give(request);
      both.settle();
      both.wait(switchDelay); // the one that goes does so when the other is sure to be there
      both.settle();
      both.wait(drainTime);
      both.expectTunnel();
      expect([shown(both.a), shown(both.b)]).toEqual([[['all', undefined]], [['all', undefined]]]);
    }
  });
});

describe('senders of both sides at once', () => {
  it('each get their own, and the other side gives what is asked for to who has none', () => {
    const both = established();
    for (const peer of [both.a, both.b]) for (const sender of [0, 1]) acquire(peer, sender);
    both.cross(8);
    both.settle();
    both.expectChildren(5);
    expect([owners(both.a), owners(both.b)]).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
    ]);
    expectFlows(both);
  });

  it('stay within what each may have, but for one that both ask for at once', () => {
    const both = established({ a: { perResource: 3 }, b: { perResource: 3 } });
    for (const sender of [0, 1, 2, 3]) for (const peer of [both.a, both.b]) acquire(peer, sender);
    both.cross(20);
    both.settle();
    both.expectChildren(1 + 3 + 1);
    for (const peer of [both.a, both.b]) for (const sender of [0, 1, 2, 3]) acquire(peer, sender);
    both.settle();
    both.expectChildren(1 + 3 + 1);
    expectFlows(both);
  });
});

describe('one Child SA too many', () => {
  it('is answered TS_MAX_QUEUE, counted, and not asked for again', () => {
    const both = established({ b: { perResource: 1 } });
    acquire(both.a, 0);
    acquire(both.a, 1);
    both.settle();
    expect(owners(both.a)).toEqual([0]);
    expect(both.b.ike.drops()).toEqual({ 'ike-max-queue': 1 });
    acquire(both.a, 1);
    acquire(both.a, 2);
    expect(both.a.outbox).toEqual([]);
    // Nothing has failed: the tunnel carries what it carried.
    expect([both.a.failures, both.b.failures]).toEqual([[], []]);
    expect(both.a.log.some((line) => line.includes('N(TS_MAX_QUEUE)'))).toBe(true);
    expect([both.a.timers.size, both.b.timers.size]).toEqual([0, 0]);
    expectFlows(both);
  });

  it('may be asked for again when there is one less', () => {
    const both = established({ b: { perResource: 1 } });
    acquire(both.a, 0);
    acquire(both.a, 1);
    both.settle();
    const { inboundSpi } = [...both.b.installed.values()].find(({ resource }) => resource === 0)!;
    both.b.handle({ type: 'expire', inboundSpi, hard: true, cause: 'it is idle' });
    both.settle();
    both.wait(drainTime);
    both.expectChildren(1);
    acquire(both.a, 1);
    both.settle();
    expect(owners(both.a)).toEqual([1]);
  });

  it('is no NO_ADDITIONAL_SAS where the IKE SA is full: others of other selectors are not meant', () => {
    const both = established({ optionsB: { ...FOUR, maxChildSasPerIkeSa: 1 } });
    acquire(both.a, 0);
    both.settle();
    expect(both.b.ike.drops()).toEqual({ 'ike-max-queue': 1 });
    expect(both.a.states).toEqual(['established']);
    both.expectChildren(1);
  });

  it('is likewise refused where the SAD is full', () => {
    const both = established();
    both.b.sadIsFull = true;
    acquire(both.a, 0);
    both.settle();
    expect(both.b.ike.drops()).toEqual({ 'ike-max-queue': 1 });
    both.expectChildren(1);
  });

  it('of a peer that may have none is refused, though one without the notification is made', () => {
    const both = Dialogue.established({ optionsA: FOUR, a: PER_RESOURCE });
    both.settle();
    expect(both.b.ike.drops()).toEqual({});
    acquire(both.a, 0); // b has not said that it can
    expect(both.a.outbox).toEqual([]);
  });
});

describe('rekeying', () => {
  it.each(['a', 'b'] as const)('by %s of all of a group leaves each with its senders', (side) => {
    const both = established();
    acquire(both.a, 2);
    acquire(both.b, 1);
    both.settle();
    const before = [owners(both.a), owners(both.b)];
    const keys = [...both.a.installed.values()].map(({ inboundKey }) => inboundKey);
    both.wait(switchDelay); // until each is sure that the other has what was made for it
    both.rekey(side === 'a' ? both.a : both.b, 'child');
    both.settleFlowing();
    both.wait(drainTime);
    both.expectChildren(3);
    expect([owners(both.a), owners(both.b)]).toEqual(before);
    for (const { inboundKey } of both.a.installed.values()) expect(keys).not.toContain(inboundKey);
    expect(shown(both.a).filter(([resource]) => resource === 'all')).toHaveLength(1);
    expectFlows(both);
  });

  it('of the same one by both at once leaves one', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const both = established({ seed });
      acquire(both.a, 2);
      both.settle();
      for (const peer of [both.a, both.b]) both.rekey(peer, 'child');
      both.cross(12);
      both.settle();
      both.wait(drainTime);
      both.settle();
      both.expectChildren(2);
      expect([owners(both.a), owners(both.b)]).toEqual([[2], [0]]);
      expectFlows(both);
    }
  });

  it('of the IKE SA takes all along, and the senders go on asking on the new one', () => {
    const both = established();
    acquire(both.a, 2);
    both.settle();
    both.rekey(both.a, 'ike');
    both.settle();
    acquire(both.a, 3);
    both.settle();
    both.expectChildren(3);
    expect(owners(both.a)).toEqual([2, 3]);
    expectFlows(both);
  });

  it('twice, with the first Delete late, leads no sender to one that the peer does not have yet', () => {
    const window = { windowSize: 4 };
    const both = established({ a: window, b: window });
    both.rekey(both.b, 'child');
    both.deliver(both.b);
    both.deliver(both.a);
    const lateDelete = both.take(both.b);
    acquire(both.b, 1);
    both.deliver(both.b);
    both.rekey(both.b, 'child');
    both.deliver(both.b);
    // b has neither of the two answers: of all that there is, a sends on what came of the first rekeying.
    both.give(lateDelete);
    expectFlows(both);
    both.settle();
    expectFlows(both);
    both.wait(drainTime);
    both.expectChildren(2);
    expectFlows(both);
  });

  it('of one that the peer does not know any more is no reason for another before it is wanted', () => {
    const { both, peer } = withScripted();
    acquire(both.a, 2);
    peer.grant(peer.take(), Uint8Array.of(0xc0, 0, 0, 3));
    expect(owners(both.a)).toEqual([2]);
    both.rekey(both.a, 'child');
    const first = peer.take();
    peer.answer(first, [notify(NOTIFY.CHILD_SA_NOT_FOUND)]);
    const second = peer.take();
    peer.answer(second, [notify(NOTIFY.CHILD_SA_NOT_FOUND)]);
    // The one for all is made from scratch; the other when it is wanted again.
    expect(owners(both.a)).toEqual([]);
    const third = peer.take();
    expect(kinds(third.payloads)).not.toContain(NOTIFY.REKEY_SA);
    peer.grant(third, Uint8Array.of(0xc0, 0, 0, 4));
    expect(both.a.outbox).toEqual([]);
    expect(both.a.installed.size).toBe(1);
  });
});

describe('a Delete', () => {
  it.each(['a', 'b'] as const)(
    'by %s of one leaves the others, and its sender uses the one for all',
    (side) => {
      const both = established();
      acquire(both.a, 1);
      acquire(both.a, 2);
      both.settle();
      const peer = side === 'a' ? both.a : both.b;
      const { inboundSpi, outboundSpi } = [...both.a.installed.values()].find(
        ({ resource }) => resource === 1,
      )!;
      const spi = side === 'a' ? inboundSpi : outboundSpi;
      peer.handle({ type: 'expire', inboundSpi: spi, hard: true, cause: 'it is idle' });
      both.settleFlowing();
      both.wait(drainTime);
      both.expectChildren(2);
      expect(owners(both.a)).toEqual([2]);
      expect(both.a.sending('site/net', 1)!.resource).toBeUndefined();
      expectFlows(both);
      // None is made again but for traffic: else two peers might go on for ever (§6).
      both.wait(600_000);
      expect([both.a.outbox, both.b.outbox]).toEqual([[], []]);
      acquire(both.a, 1);
      both.settle();
      expect(owners(both.a)).toEqual([1, 2]);
    },
  );

  it('of the one for all that crosses a request for one beside it leaves both with the same parts', () => {
    const both = established({ a: { start: 'always' } });
    acquire(both.a, 1);
    both.settle();
    acquire(both.b, 2);
    const late = both.take(both.b);
    const forAll = [...both.a.installed.values()].find(({ resource }) => resource === undefined)!;
    const { inboundSpi } = forAll;
    both.a.handle({ type: 'expire', inboundSpi, hard: true, cause: 'it is used up' });
    both.settle();
    both.give(late);
    both.settle();
    both.wait(5_000);
    both.settle();
    both.wait(drainTime);
    both.expectChildren(3);
    for (const peer of [both.a, both.b]) {
      expect(shown(peer).filter(([resource]) => resource === 'all')).toHaveLength(1);
    }
    expectFlows(both);
  });

  it.each([
    ['its initiator, before it is answered,', 'a'],
    ['its responder, which it hears of before the answer,', 'b'],
  ] as const)('of the one for all by %s leaves who has asked with one of its own', (_, side) => {
    const both = established();
    acquire(both.a, 1);
    if (side === 'b') both.deliver(both.a); // a ---> b  CREATE_CHILD_SA request 2
    const peer = both[side];
    const [inboundSpi] = [...peer.installed.values()]
      .filter(({ resource }) => resource === undefined)
      .map((child) => child.inboundSpi);
    peer.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'it is used up' });
    // The answer comes behind the Delete.
    if (side === 'b') both.b.outbox.reverse();
    both.settle();
    both.wait(drainTime);
    both.expectChildren(1);
    // Both know that there is none for all: whoever wants one gets it.
    expect(shown(both.a).map(([resource]) => resource)).toEqual([1]);
    expect(owners(both.b)).toHaveLength(1);
    both.initiate(both.b);
    both.settle();
    both.expectChildren(2);
    expectFlows(both);
  });

  it('of the one for all, under way where a request for one beside it comes, leaves both with that', () => {
    const both = established();
    acquire(both.a, 1);
    const [inboundSpi] = [...both.b.installed.keys()];
    both.b.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'it is used up' });
    const late = both.take(both.b);
    both.settle();
    both.give(late);
    both.settle();
    both.wait(drainTime);
    both.expectChildren(1);
    expect(owners(both.a)).toEqual([1]);
    expect(owners(both.b)).toHaveLength(1);
    both.initiate(both.b);
    both.settle();
    both.expectChildren(2);
    expectFlows(both);
  });

  it.each([
    ['by who keeps the connection up', 'always'],
    ['by whose sender has to use that of another', 'trap'],
  ] as const)('of the one for all has it made again %s', (_, start) => {
    const both = established({ a: { start } });
    acquire(both.a, 1);
    both.settle();
    const forAll = [...both.b.installed.values()].find(({ resource }) => resource === undefined)!;
    both.b.handle({
      ...{ type: 'expire', inboundSpi: forAll.inboundSpi },
      ...{ hard: true, cause: 'it is used up' },
    });
    both.settleFlowing();
    expect(both.a.sending('site/net', 2)!.resource).toBe(1);
    if (start === 'trap') acquire(both.a, 2);
    both.wait(5_000);
    both.settleFlowing();
    both.wait(drainTime);
    both.expectChildren(2);
    expect(
      shown(both.a)
        .map(([resource]) => resource)
        .sort(),
    ).toEqual([1, 'all']);
    expectFlows(both);
  });
});

describe('reauthentication', () => {
  it('begins with one Child SA for all again, without a gap', () => {
    const both = established();
    acquire(both.a, 1);
    both.settle();
    both.rekey(both.a, 'reauth');
    both.settleFlowing();
    both.wait(drainTime);
    both.expectTunnel();
    acquire(both.a, 1);
    both.settle();
    expect(owners(both.a)).toEqual([1]);
  });
});

/** Gateway a, whose peer says and refuses what a test wants. */
function withScripted() {
  const both = new Dialogue({ a: { ...PER_RESOURCE, esp: ['aes128gcm16'] }, optionsA: FOUR });
  const peer = new ScriptedResponder(both.a);
  both.initiate();
  peer.init();
  const request = peer.take();
  peer.answer(request, [...peer.authPayloads(request), notify(NOTIFY.SA_RESOURCE_INFO)]);
  const grant = (request: ReceivedRequest, spi: Uint8Array) => {
    peer.answer(request, [
      notify(NOTIFY.SA_RESOURCE_INFO, Uint8Array.of(1, 2)),
      peer.childProposal(spi),
      { kind: 'Nonce', data: peer.nr },
      need(request.payloads, 'TSi'),
      need(request.payloads, 'TSr'),
    ]);
    // It says that it has the answer.
    if (both.a.outbox.length > 0) peer.answer(peer.take(), []);
  };
  return { both, peer: Object.assign(peer, { grant }) };
}

describe('a refusal', () => {
  it.each([
    ['TS_MAX_QUEUE', NOTIFY.TS_MAX_QUEUE, false],
    ['NO_ADDITIONAL_SAS, of a peer that knows no better', NOTIFY.NO_ADDITIONAL_SAS, false],
    ['NO_PROPOSAL_CHOSEN', NOTIFY.NO_PROPOSAL_CHOSEN, false],
    ['TEMPORARY_FAILURE', NOTIFY.TEMPORARY_FAILURE, true],
  ])('by %s leaves the tunnel as it is', (_, notifyType, mayAskAgain) => {
    const { both, peer } = withScripted();
    acquire(both.a, 2);
    peer.answer(peer.take(), [notify(notifyType)]);
    expect(both.a.states).toEqual(['established']);
    expect(both.a.installed.size).toBe(1);
    expect(both.a.reserved.size).toBe(0);
    expect(both.a.failures).toEqual([]);
    both.wait(60_000);
    expect(both.a.outbox).toEqual([]);
    acquire(both.a, 2);
    expect(both.a.outbox.length > 0).toBe(mayAskAgain);
  });
});

describe("the peer's identifier", () => {
  it('is shown, as far as it is kept, and means nothing', () => {
    const { both, peer } = withScripted();
    acquire(both.a, 2);
    const request = peer.take();
    peer.answer(request, [
      notify(NOTIFY.SA_RESOURCE_INFO, new Uint8Array(300).fill(0xab)),
      peer.childProposal(Uint8Array.of(0xc0, 0, 0, 3)),
      { kind: 'Nonce', data: peer.nr },
      need(request.payloads, 'TSi'),
      need(request.payloads, 'TSr'),
    ]);
    expect(shown(both.a)).toEqual([
      ['all', undefined],
      [2, 'ab'.repeat(32)],
    ]);
  });
});

describe('a peer that does not know of it', () => {
  it('is told by a status notification only, which it may pass over, and has one Child SA', () => {
    const both = new Dialogue({ a: PER_RESOURCE, optionsA: FOUR });
    const peer = new ScriptedResponder(both.a);
    both.initiate();
    peer.init();
    const request = peer.take();
    expect(kinds(request.payloads)).toContain(NOTIFY.SA_RESOURCE_INFO);
    const info = request.payloads.find(
      (payload) => payload.kind === 'N' && payload.notifyType === NOTIFY.SA_RESOURCE_INFO,
    );
    expect(info).toMatchObject({ protocolId: 0, spi: new Uint8Array(0), data: new Uint8Array(0) });
    peer.answer(request, peer.authPayloads(request));
    expect(both.a.states).toEqual(['established']);
    expect([...both.a.installed.values()].map(({ asks }) => asks)).toEqual([undefined]);
    acquire(both.a, 1);
    expect(both.a.outbox).toEqual([]);
  });
});
