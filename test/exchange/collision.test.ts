/**
 * Rekeyings and Deletes that cross (RFC 7296 §2.8.1, §2.8.2, §2.25): every pair of them, in every
 * order in which their four messages can arrive. Whatever crosses, each side can always send what
 * the other can read, and nothing is left behind.
 */
import { describe, expect, it } from 'vitest';
import { need } from '../../src/ike/messages/payloads.js';
import { DEFAULT_OPTIONS } from '../../src/ike/options.js';
import {
  EXCHANGE,
  formatSelector,
  fromWireSelector,
  NOTIFY,
  type Payload,
  PROTOCOL,
  peekHeader,
} from '../../src/wire/index.js';
import { Dialogue, type DialogueOptions } from './harness/dialogue.js';
import type { ConnectionOptions, Datagram, Peer } from './harness/peer.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const { drainTime, replacedTimeout } = DEFAULT_OPTIONS;

function established(options: DialogueOptions = {}): Dialogue {
  return Dialogue.established({ fast: true, ...options });
}

/**
 * Delivers what both have sent, in the order that `order` chooses: each of its digits says which of
 * the datagrams under way comes next. What is sent in between joins the end.
 */
function shuffle(both: Dialogue, order: readonly number[], each: () => void): void {
  const flying: Datagram[] = [];
  const collect = () => flying.push(...both.a.outbox.splice(0), ...both.b.outbox.splice(0));
  collect();
  for (let i = 0; flying.length > 0; i++) {
    if (i > 200) throw new Error('they do not come to an end');
    const [next] = flying.splice((order[i] ?? 0) % flying.length, 1);
    both.give(next!);
    each();
    collect();
  }
}

/** Timers run and everything is delivered in order, until all that was begun is over. */
function finish(both: Dialogue, each: () => void): void {
  const end = both.now + replacedTimeout + 60_000;
  for (let next = both.nextTimer; next !== undefined && next < end; next = both.nextTimer) {
    both.wait(next - both.now);
    while (both.a.outbox.length + both.b.outbox.length > 0) {
      both.deliver(both.a.outbox.length > 0 ? both.a : both.b);
      each();
    }
  }
}

/** All sequences of so many digits below `base`. */
function sequences(length: number, base: number): number[][] {
  if (length === 0) return [[]];
  return sequences(length - 1, base).flatMap((rest) =>
    Array.from({ length: base }, (_, digit) => [digit, ...rest]),
  );
}

const ORDERS = sequences(6, 2);

type What = 'child' | 'ike';

describe.each([
  ['child', 'child'],
  ['ike', 'ike'],
  ['child', 'ike'],
  ['ike', 'child'],
] as readonly [What, What][])('a rekeys %s while b rekeys %s', (first, second) => {
  it('ends with one of each, in every order of arrival', () => {
    for (const [i, order] of ORDERS.entries()) {
      const both = established({ seed: 100 + i });
      const flows = () => both.expectFlow();
      both.rekey(both.a, first);
      both.rekey(both.b, second);
      shuffle(both, order, flows);
      finish(both, flows);
      both.expectTunnel();
      expect([both.a.failures, both.b.failures]).toEqual([[], []]);
      expect([...both.a.timers.keys(), ...both.b.timers.keys()]).toEqual([]);
      expect([both.a.reserved.size, both.b.reserved.size]).toEqual([0, 0]);
    }
  });

  it('ends with one of each, where any one of the first messages is lost', () => {
    for (const lost of [0, 1, 2, 3]) {
      for (const [i, order] of sequences(4, 2).entries()) {
        const both = established({ seed: 500 + i });
        const flows = () => both.expectFlow();
        both.rekey(both.a, first);
        both.rekey(both.b, second);
        let count = 0;
        const lose = (peer: Peer) => {
          const { outbox } = peer;
          for (let j = outbox.length - 1; j >= 0; j--) {
            if (count++ === lost) outbox.splice(j, 1);
          }
        };
        lose(both.a);
        lose(both.b);
        shuffle(both, order, flows);
        finish(both, flows);
        both.expectTunnel();
        expect([...both.a.timers.keys(), ...both.b.timers.keys()]).toEqual([]);
      }
    }
  });
});

describe('of two Child SAs made by rekeying at once', () => {
  it('the one with the lowest nonce goes, and its maker deletes it (§2.8.1)', () => {
    const winners = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const both = established({ seed });
      both.rekey(both.a, 'child');
      both.rekey(both.b, 'child');
      both.cross(2);
      // Both have three now; each knows which of the new ones stays.
      expect([both.a.installed.size, both.b.installed.size]).toEqual([3, 3]);
      const deletes = [both.a.outbox.length, both.b.outbox.length];
      expect(deletes).toEqual([1, 1]);
      both.settle();
      both.wait(drainTime);
      both.expectTunnel();
      const role = both.a.log.some((line) => line.includes('both sides have rekeyed at once'));
      winners.add(role ? 'b' : 'a');
    }
    expect([...winners].sort()).toEqual(['a', 'b']);
  });
});

describe('the rival of a rekeying', () => {
  it('is rekeyed by its maker, or deleted by us, before ours is granted, which takes over all the same', () => {
    const ESP = 'aes128gcm16-noesn';
    for (const fate of ['rekeyed', 'deleted by us'] as const) {
      const { b } = new Dialogue({ b: { esp: [ESP] } });
      const peer = new ScriptedPeer(b);
      peer.establish();
      const spi = (last: number) => Uint8Array.of(0xc0, 0, 0, last);
      const proposal = (last: number): Payload => {
        const { proposals } = peer.childProposal(ESP) as Payload & { kind: 'SA' };
        return { kind: 'SA', proposals: [{ ...proposals[0]!, spi: spi(last) }] };
      };
      // The peer's nonces are all zero: what it makes has the lowest.
      const rekeying = (old: number, made: number): Payload[] => [
        { ...notify(NOTIFY.REKEY_SA), protocolId: PROTOCOL.ESP, spi: spi(old) },
        ...peer.childRequest().map((one) => (one.kind === 'SA' ? proposal(made) : one)),
      ];
      // peer <- b  HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr}
      b.handle({ type: 'rekey', connection: 'site', what: 'child' });
      const ours = peer.open(b.outbox.shift()!.data);
      // peer -> b  HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr}
      peer.request(EXCHANGE.CREATE_CHILD_SA, 2, rekeying(1, 2));
      const [, rival] = b.installed.keys();
      if (fate === 'rekeyed') peer.request(EXCHANGE.CREATE_CHILD_SA, 3, rekeying(2, 3));
      else b.handle({ type: 'expire', inboundSpi: rival!, hard: true, cause: 'used up' });
      // peer -> b  HDR, SK {SA, Nr, TSi, TSr}
      const nonce: Payload = { kind: 'Nonce', data: new Uint8Array(32).fill(1) };
      peer.respond(EXCHANGE.CREATE_CHILD_SA, 0, [
        ...[proposal(4), nonce, need(ours, 'TSi'), need(ours, 'TSr')],
      ]);
      const children = b.ikeSas()[0]!.children.map(({ state }) => state);
      expect(children, fate).toContain('installed');
      expect(children, fate).toContain('deleting');
      expect(children, fate).not.toContain('rekeying');
    }
  });
});

describe('of two IKE SAs made by rekeying at once', () => {
  it('the one with the lowest nonce goes, and the Child SAs belong to the other (§2.8.2)', () => {
    const winners = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const both = established({ seed });
      both.rekey(both.a, 'ike');
      both.rekey(both.b, 'ike');
      both.cross(2);
      both.settle();
      both.expectTunnel();
      const [view] = both.a.ike.ikeSas();
      winners.add(view!.role === 'initiator' ? 'a' : 'b');
      both.wait(60_000);
      expect([...both.a.timers.keys(), ...both.b.timers.keys()]).toEqual([]);
    }
    expect([...winners].sort()).toEqual(['a', 'b']);
  });

  it('the one that its maker has forgotten goes as soon as that can be known (§2.25.2)', () => {
    // The peer's Delete of the old IKE SA arrives before its answer to our rekeying (§2.25.2).
    for (let seed = 1; seed <= 12; seed++) {
      const both = established({ seed });
      both.rekey(both.a, 'ike');
      both.rekey(both.b, 'ike');
      const [fromA] = both.a.outbox.splice(0);
      const [fromB] = both.b.outbox.splice(0);
      both.give(fromA!);
      both.give(fromB!);
      both.take(both.b); // b's answer is lost
      for (let second = 0; second < 30; second++) {
        both.settleFlowing();
        both.wait(1_000);
      }
      both.expectTunnel();
      expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    }
  });
});

describe('a Child SA that waits to be asked for', () => {
  // Each has a policy that is wide on the other's side.
  const wide = (own: number, remote: number) =>
    [[`10.${own}.6.0/24`], [`10.${remote}.0.0/16`]] as const;
  const options = {
    a: { children: { net: [['10.1.5.0/24'], ['10.2.5.0/24']], wide: wide(1, 2) } },
    b: { children: { net: [['10.2.5.0/24'], ['10.1.5.0/24']], wide: wide(2, 1) } },
  } as const;

  it('is there already when the peer has made it, though what both have in common is less', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const both = new Dialogue({ ...options, seed });
      const initiate = (peer: Peer, child: string) =>
        peer.handle({ type: 'initiate', connection: 'site', child });
      initiate(both.a, 'net');
      both.settle();
      both.expectTunnel();
      both.rekey(both.b, 'child');
      initiate(both.b, 'wide'); // waits for the answer to the rekeying
      initiate(both.a, 'wide');
      both.deliver(both.a); // a ---> b  CREATE_CHILD_SA request 2
      const [request, response] = both.b.outbox.splice(0);
      both.give(response!); // a <--- b  CREATE_CHILD_SA response 2
      both.wait(10);
      both.give(request!); // a <--- b  CREATE_CHILD_SA request 0
      const asked = both.settle().filter((message) => message.startsWith('b CREATE_CHILD_SA req'));
      expect(asked).toEqual([]);
      both.wait(drainTime);
      both.expectChildren(2);
      const policies = [...both.b.installed.values()].map(({ policy }) => policy);
      expect(policies.sort()).toEqual(['site/net', 'site/wide']);
    }
  });
});

describe('a Delete that crosses a rekeying', () => {
  const remove = (peer: Peer) => peer.handle({ type: 'terminate', connection: 'site' });

  it.each(['child', 'ike'] as const)('of %s: the IKE SA goes, on both sides', (what) => {
    for (const [i, order] of ORDERS.entries()) {
      const both = established({ seed: 200 + i });
      both.rekey(both.a, what);
      remove(both.b);
      shuffle(both, order, () => {});
      finish(both, () => {});
      expect([both.a.isClean, both.b.isClean], `order ${order}`).toEqual([true, true]);
    }
  });

  it('of the same Child SA: it is gone, and nobody brings it back', () => {
    for (const [i, order] of ORDERS.entries()) {
      const both = established({ seed: 300 + i });
      const [inboundSpi] = both.b.installed.keys();
      both.rekey(both.a, 'child');
      both.b.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'used up' });
      shuffle(both, order, () => {});
      finish(both, () => {});
      expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
      expect(both.a.installed.size, `order ${order}`).toBe(both.b.installed.size);
      both.expectChildren(both.a.installed.size);
      expect(both.a.reserved.size + both.b.reserved.size).toBe(0);
    }
  });

  it('from both sides of the same Child SA: each answers without a Delete payload (§2.25.1)', () => {
    const both = established();
    for (const peer of [both.a, both.b]) {
      const [inboundSpi] = peer.installed.keys();
      peer.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'used up' });
    }
    both.cross(2);
    both.wait(drainTime);
    expect([both.a.installed.size, both.b.installed.size]).toEqual([0, 0]);
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    expect(both.a.log.filter((line) => line.endsWith(': D')).length).toBe(2); // sent and received
  });
});

describe('TEMPORARY_FAILURE', () => {
  it('is answered to a Child SA while the IKE SA is rekeyed, and asked for again (§2.25.2)', () => {
    const both = established();
    both.rekey(both.a, 'ike');
    const rekeying = both.take(both.a);
    both.rekey(both.b, 'child');
    expect(both.deliver(both.b)).toBe('CREATE_CHILD_SA request 0');
    expect(both.deliver(both.a)).toBe('CREATE_CHILD_SA response 0');
    expect(both.b.log.at(-2)).toContain('N(TEMPORARY_FAILURE)');
    both.give(rekeying);
    finish(both, () => both.expectFlow());
    both.expectTunnel();
    const requests = both.b.log.filter((line) => /-> .*N\(REKEY_SA\)/.test(line));
    expect(requests).toHaveLength(2);
  });

  it('for minutes: the two are out of step, and the IKE SA ends (§2.25)', () => {
    for (const what of ['child', 'ike'] as const) {
      const scripted = withScript();
      scripted.both.rekey(scripted.a, what);
      expect(putOffToTheEnd(scripted)).toBe(DEFAULT_OPTIONS.maxPostponed + 1);
    }
  });

  it('once, after other refusals: it is the first', () => {
    for (const what of ['child', 'ike'] as const) {
      const { a, both, peer } = withScript();
      both.rekey(a, what);
      const tried = { rekeying: new Set<number>(), anew: new Set<string>() };
      while (tried.rekeying.size <= DEFAULT_OPTIONS.maxPostponed) {
        refuse(a, peer, NOTIFY.NO_PROPOSAL_CHOSEN, tried);
        both.wait(1_000);
      }
      while (tried.rekeying.size <= DEFAULT_OPTIONS.maxPostponed + 2) {
        refuse(a, peer, NOTIFY.TEMPORARY_FAILURE, tried);
        both.wait(1_000);
      }
      expect([a.states[0], a.installed.size]).toEqual(['established', 1]);
    }
  });

  it('to many Child SAs at once is one refusal', () => {
    const scripted = withScript({ children: many(15) });
    expect(putOffToTheEnd(scripted)).toBe(14 * DEFAULT_OPTIONS.maxPostponed + 1);
  });

  it('is forgotten once there is a Child SA', () => {
    const { a, both, peer } = withScript({ children: many(4), esp: ['aes128gcm16'] });
    // Of each Child SA five requests more are refused than of the one before.
    const left = [5, 10, 15];
    const refusals = new Map<string, number>();
    for (let t = 0; t < 1_000; t++) {
      while (a.outbox.length > 0) {
        const request = peer.take();
        const [tsi, tsr] = [need(request.payloads, 'TSi'), need(request.payloads, 'TSr')];
        const which = formatSelector(fromWireSelector(tsi.selectors[0]!)!);
        const more = refusals.get(which) ?? left.shift()!;
        refusals.set(which, more - 1);
        if (more > 0) peer.answer(request, [notify(NOTIFY.TEMPORARY_FAILURE)]);
        else {
          const sa = peer.childProposal(Uint8Array.of(0xc1, 0, t >> 8, t));
          peer.answer(request, [sa, { kind: 'Nonce', data: peer.nr }, tsi, tsr]);
        }
      }
      both.wait(1_000);
    }
    expect([a.states, a.installed.size, a.failures]).toEqual([['established'], 4, []]);
  });

  it('and then success: all is as before', () => {
    const { a, both, peer } = withScript();
    both.rekey(a, 'child');
    peer.answer(peer.take(), [notify(NOTIFY.TEMPORARY_FAILURE)]);
    expect(a.ike.ikeSas()[0]!.children).toMatchObject([{ state: 'installed' }]);
    both.wait(5_000);
    const again = peer.take();
    expect(again.exchangeType).toBe(EXCHANGE.CREATE_CHILD_SA);
    expect(a.ike.ikeSas()[0]!.children).toMatchObject([{ state: 'rekeying' }]);
  });
});

describe('CHILD_SA_NOT_FOUND', () => {
  it('removes the Child SA that the peer does not know, and asks for another (§2.25)', () => {
    const { a, both, peer } = withScript();
    both.rekey(a, 'child');
    const rekeying = peer.take();
    peer.answer(rekeying, [notify(NOTIFY.CHILD_SA_NOT_FOUND)]);
    expect(a.installed.size).toBe(0);
    const request = peer.take();
    expect(kinds(request.payloads)).toEqual(['SA', 'Nonce', 'KE', 'TSi', 'TSr']);
    peer.answer(request, [notify(NOTIFY.TS_UNACCEPTABLE)]);
    expect(a.failures.at(-1)).toMatchObject({ notify: 'TS_UNACCEPTABLE' });
    expect([a.states, a.reserved.size]).toEqual([['established'], 0]);
  });

  it('to what rekeys none is a failure', () => {
    const { a, peer } = withScript({ children: TWO });
    peer.answer(peer.take(), [notify(NOTIFY.CHILD_SA_NOT_FOUND)]);
    expect(a.failures).toMatchObject([{ notify: 'CHILD_SA_NOT_FOUND', child: 'six' }]);
  });

  it('is answered to the rekeying of what is not there, and names it', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.establish();
    const [, , sa, tsi, tsr] = peer.authPayloads();
    const spi = Uint8Array.of(1, 2, 3, 4);
    const rekey = { ...notify(NOTIFY.REKEY_SA), protocolId: PROTOCOL.ESP, spi };
    const nonce: Payload = { kind: 'Nonce', data: new Uint8Array(32) };
    expect(peer.request(EXCHANGE.CREATE_CHILD_SA, 2, [rekey, sa!, nonce, tsi!, tsr!])).toEqual([
      [{ ...notify(NOTIFY.CHILD_SA_NOT_FOUND), protocolId: PROTOCOL.ESP, spi }],
    ]);
    expect(both.b.installed.size).toBe(1);
  });
});

describe('a refusal to rekey the IKE SA that lasts', () => {
  const tried = () => ({ rekeying: new Set<number>(), anew: new Set<string>() });

  it.each([
    ['NO_PROPOSAL_CHOSEN', NOTIFY.NO_PROPOSAL_CHOSEN, []],
    ['INVALID_KE_PAYLOAD of a group that is not offered', NOTIFY.INVALID_KE_PAYLOAD, [0, 99]],
  ])('%s: the connection is set up anew, and the old IKE SA lives to its end', (_, type, data) => {
    const lifetime = { rekeySeconds: 100, endSeconds: 2_000 };
    const { a, both, peer } = withScript({ lifetime });
    const refused = tried();
    for (let t = 0; t < 1_999; t++) {
      refuse(a, peer, type, refused, Uint8Array.from(data));
      both.wait(1_000);
      expect([a.states[0], a.installed.size]).toEqual(['established', 1]);
    }
    expect(refused.rekeying.size).toBeGreaterThan(DEFAULT_OPTIONS.maxPostponed);
    expect(refused.anew.size).toBeGreaterThan(2);
    both.wait(2_000);
    expect(a.installed.size).toBe(0);
  });
});

describe('NO_ADDITIONAL_SAS', () => {
  it('of a peer that rekeys nothing: the connection is set up anew (§4)', () => {
    for (const what of ['child', 'ike'] as const) {
      const { a, both, peer } = withScript();
      both.rekey(a, what);
      peer.answer(peer.take(), [notify(NOTIFY.NO_ADDITIONAL_SAS)]);
      const request = peer.take();
      expect(request.exchangeType).toBe(EXCHANGE.IKE_SA_INIT);
      expect(a.installed.size).toBe(1);
    }
  });

  it('and then no new IKE SA: the old one goes on, and both are tried again', () => {
    for (const what of ['child', 'ike'] as const) {
      const { a, both, peer } = withScript();
      both.rekey(a, what);
      const tried = { rekeying: new Set<number>(), anew: new Set<string>() };
      for (let t = 0; t < 300; t++) {
        refuse(a, peer, NOTIFY.NO_ADDITIONAL_SAS, tried);
        both.wait(1_000);
      }
      expect(tried.rekeying.size).toBeGreaterThan(4);
      expect(tried.anew.size).toBeGreaterThan(2);
      expect([a.states[0], a.installed.size]).toEqual(['established', 1]);
    }
  });

  it('to a further Child SA: the first stays, and the other is asked for ever more slowly', () => {
    const { a, both, peer } = withScript({ start: 'always', children: TWO });
    for (let t = 0; t < 200; t++) {
      while (a.outbox.length > 0) {
        const request = peer.take();
        expect(request.exchangeType).toBe(EXCHANGE.CREATE_CHILD_SA);
        peer.answer(request, [notify(NOTIFY.NO_ADDITIONAL_SAS)]);
      }
      both.wait(1_000);
    }
    expect([a.states, a.installed.size]).toEqual([['established'], 1]);
    expect(a.failures.length).toBeGreaterThan(3);
    expect(a.failures.length).toBeLessThan(12);
    expect(a.failures[0]).toMatchObject({ notify: 'NO_ADDITIONAL_SAS', child: 'six' });
    expect(a.failures[0]!.explanation).toContain('no further Child SA on this IKE SA');
  });

  it('where no Child SA is left: the connection is set up anew (§4)', () => {
    const { a, peer } = withScript({ start: 'always' });
    const [inboundSpi] = a.installed.keys();
    a.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'used up' });
    peer.answer(peer.take(), []); // Delete
    a.handle({ type: 'initiate', connection: 'site' });
    peer.answer(peer.take(), [notify(NOTIFY.NO_ADDITIONAL_SAS)]);
    expect(peer.take().exchangeType).toBe(EXCHANGE.IKE_SA_INIT);
  });

  it('of a peer that makes none after a childless IKE_AUTH: that is a failure', () => {
    const both = new Dialogue({ a: { childless: true } });
    const peer = new ScriptedResponder(both.a);
    both.initiate();
    peer.init([notify(NOTIFY.CHILDLESS_IKEV2_SUPPORTED)]);
    peer.answer(peer.take(), peer.proof());
    peer.answer(peer.take(), [notify(NOTIFY.NO_ADDITIONAL_SAS)]);
    expect(both.a.outbox).toEqual([]);
    expect(both.a.failures).toMatchObject([{ notify: 'NO_ADDITIONAL_SAS' }]);
  });
});

describe('SINGLE_PAIR_REQUIRED', () => {
  it('is obeyed: each pair of selectors has a Child SA of its own (§2.9)', () => {
    const { a, peer } = withScript({
      localSelectors: ['10.1.5.0/24', '10.1.6.0/24'],
      remoteSelectors: ['10.2.5.0/24', '10.2.6.0/24'],
      refuseFirst: true,
    });
    const pairs: string[] = [];
    for (let i = 0; i < 4; i++) {
      const request = peer.take();
      const text = (kind: 'TSi' | 'TSr') =>
        need(request.payloads, kind)
          .selectors.map((one) => formatSelector(fromWireSelector(one)!))
          .join();
      pairs.push(`${text('TSi')} ${text('TSr')}`);
      peer.answer(request, [notify(NOTIFY.TS_UNACCEPTABLE)]);
    }
    expect(pairs).toEqual([
      '10.1.5.0/24 10.2.5.0/24',
      '10.1.5.0/24 10.2.6.0/24',
      '10.1.6.0/24 10.2.5.0/24',
      '10.1.6.0/24 10.2.6.0/24',
    ]);
    expect(a.outbox).toEqual([]);
    expect(a.states).toEqual(['established']);
  });
});

/**
 * Refuses what gateway a asks for on its IKE SA, and answers none of its attempts to have another;
 * takes note of the requests, and of the SPIs of the attempts.
 */
function refuse(
  a: Peer,
  peer: ScriptedResponder,
  notifyType: number,
  tried: { readonly rekeying: Set<number>; readonly anew: Set<string> },
  data?: Uint8Array,
): void {
  while (a.outbox.length > 0) {
    const { exchangeType, initiatorSpi } = peekHeader(a.outbox[0]!.data)!;
    if (exchangeType === EXCHANGE.IKE_SA_INIT) {
      tried.anew.add(initiatorSpi);
      a.outbox.shift();
      continue;
    }
    const request = peer.take();
    tried.rekeying.add(request.messageId);
    peer.answer(request, [notify(notifyType, data)]);
  }
}

/**
 * Puts off whatever gateway a asks for until its IKE SA ends, which takes minutes.
 * @returns its requests to make or rekey something, each once
 */
function putOffToTheEnd({ a, both, peer }: ReturnType<typeof withScript>): number {
  const refused = new Set<number>();
  for (let t = 0; t < 1_000 && a.states[0] === 'established'; t++) {
    while (a.outbox.length > 0) {
      const request = peer.take();
      if (request.exchangeType === EXCHANGE.CREATE_CHILD_SA) refused.add(request.messageId);
      peer.answer(request, [notify(NOTIFY.TEMPORARY_FAILURE)]);
    }
    both.wait(1_000);
  }
  expect(both.now).toBeGreaterThan(150_000);
  expect(a.states).toEqual([]);
  return refused.size;
}

/** So many Child SAs of gateway a. */
const many = (count: number) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`net${i}`, [[`10.1.${i}.0/24`], ['10.2.0.0/16']]]),
  ) as unknown as NonNullable<ConnectionOptions['children']>;

/** Two Child SAs of gateway a. */
const TWO = {
  five: [['10.1.5.0/24'], ['10.2.0.0/16']],
  six: [['10.1.6.0/24'], ['10.2.0.0/16']],
} as const;

/** Gateway a, whose peer answers what the test says. */
function withScript(options: ConnectionOptions & { readonly refuseFirst?: boolean } = {}) {
  const both = new Dialogue({ a: options });
  const peer = new ScriptedResponder(both.a);
  both.initiate();
  peer.init();
  const request = peer.take();
  const payloads = peer.authPayloads(request);
  const refusal = [...payloads.slice(0, 2), notify(NOTIFY.SINGLE_PAIR_REQUIRED)];
  peer.answer(request, options.refuseFirst === true ? refusal : payloads);
  return { both, a: both.a, peer };
}
