/** MOBIKE (RFC 4555): one end moves to another address, and IKE and ESP go with it. */
import { describe, expect, it } from 'vitest';
import { notifyOf } from '../../src/ike/messages/payloads.js';
import { EXCHANGE, NOTIFY, type Payload } from '../../src/wire/index.js';
import { ADDRESS_A, ADDRESS_B, Dialogue } from './harness/dialogue.js';
import type { ConnectionOptions, Peer } from './harness/peer.js';
import { kinds, notify, PROPOSAL, ScriptedPeer } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const ELSEWHERE = '198.51.100.7';
const MOBILE: ConnectionOptions = { mobike: true };

function established(
  a: ConnectionOptions = { ...MOBILE, alternatives: [ELSEWHERE] },
  b: ConnectionOptions = MOBILE,
): Dialogue {
  return Dialogue.established({ a, b, fast: true });
}

function move(peer: Peer, ...present: string[]): void {
  peer.handle({ type: 'addresses', present });
}

/** Both send ESP between these ends. */
function expectPath(both: Dialogue, a: string, b: string): void {
  for (const child of both.a.installed.values()) {
    expect([child.local.address, child.remote.address]).toEqual([a, b]);
  }
  for (const child of both.b.installed.values()) {
    expect([child.local.address, child.remote.address]).toEqual([b, a]);
  }
}

/** Delivers what goes between addresses that live; what goes by way of others is lost. */
function flow(both: Dialogue, seconds: number, alive: (local: string, remote: string) => boolean) {
  for (let step = 0; step < seconds * 10; step++) {
    for (const peer of [both.a, both.b]) {
      for (const { local, remote, data } of peer.outbox.splice(0)) {
        if (!alive(local.address, remote.address)) continue;
        const to = peer === both.a ? both.b : both.a;
        to.handle({ type: 'datagram', local: remote, remote: local, data });
      }
    }
    both.wait(100);
  }
}

const around = (dead: string) => (local: string, remote: string) => ![local, remote].includes(dead);

describe('an initiator that is elsewhere', () => {
  it('tells the peer, which makes sure, and ESP goes there', () => {
    const both = established();
    expectPath(both, ADDRESS_A, ADDRESS_B);
    move(both.a, ELSEWHERE);
    // a -> b  HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*)}, from the new address
    expect(both.a.outbox[0]!.local.address).toBe(ELSEWHERE);
    expect(both.deliver(both.a)).toBe('INFORMATIONAL request 2');
    const [response, cookie] = both.b.outbox.splice(0);
    expect([response, cookie].map((one) => one!.remote.address)).toEqual([ELSEWHERE, ELSEWHERE]);
    both.give(response!);
    // The peer has not seen that a is there: it sends as before.
    expect([...both.b.installed.values()][0]!.remote.address).toBe(ADDRESS_A);
    // a <- b  HDR, SK {N(COOKIE2)}, and back
    both.give(cookie!);
    both.settle();
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
    expect(both.b.log.join('\n')).toContain(
      `the peer moves from ${ADDRESS_A}:4500 to ${ELSEWHERE}`,
    );
  });

  it('goes back when its first address is there again', () => {
    const both = established();
    move(both.a, ELSEWHERE);
    both.settle();
    move(both.a, ELSEWHERE, ADDRESS_A);
    both.settle();
    expectPath(both, ADDRESS_A, ADDRESS_B);
  });

  it('stays where it is while that is the best there is', () => {
    const both = established();
    move(both.a, ADDRESS_A, ELSEWHERE);
    move(both.a);
    expect(both.a.outbox).toEqual([]);
  });

  it('does so under the keys of an IKE SA that the other side has rekeyed', () => {
    const both = established();
    both.rekey(both.b, 'ike');
    both.settle();
    move(both.a, ELSEWHERE);
    both.settle();
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.rekey(both.b, 'child');
    both.settle();
    both.wait(5_000);
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
  });

  it('sends what is under way again from there, and then tells', () => {
    const both = established();
    both.rekey(both.a, 'child');
    const lost = both.take(both.a);
    move(both.a, ELSEWHERE);
    const again = both.a.outbox[0]!;
    expect(again.data).toEqual(lost.data);
    expect(again.local.address).toBe(ELSEWHERE);
    both.settle();
    both.wait(5_000);
    both.settle();
    both.expectTunnel();
    expectPath(both, ELSEWHERE, ADDRESS_B);
  });

  it('has all tries there for what is under way, however often it moved before', () => {
    const both = established();
    both.rekey(both.a, 'child');
    for (let moves = 0; moves < 10; moves++) move(both.a, moves % 2 === 0 ? ELSEWHERE : ADDRESS_A);
    both.a.outbox.splice(0);
    both.wait(2_000);
    expect(both.a.outbox.length).toBeGreaterThanOrEqual(2);
    both.settle();
    both.wait(5_000);
    both.settle();
    both.expectTunnel();
  });

  it('moves on while it tells of a move, and tells again', () => {
    const both = established({ ...MOBILE, alternatives: [ELSEWHERE, '198.51.100.8'] });
    move(both.a, ELSEWHERE);
    both.a.outbox.splice(0);
    move(both.a, '198.51.100.8');
    both.settle();
    expectPath(both, '198.51.100.8', ADDRESS_B);
  });

  it('has its move told once, however often that is lost', () => {
    const both = established();
    move(both.a, ELSEWHERE);
    both.a.outbox.splice(0);
    both.wait(2_000);
    both.settle();
    expectPath(both, ELSEWHERE, ADDRESS_B);
  });

  it('begins where it can be', () => {
    const both = new Dialogue({
      a: { ...MOBILE, alternatives: [ELSEWHERE] },
      b: { ...MOBILE, remoteAddress: '%any' },
      fast: true,
    });
    move(both.a, ELSEWHERE);
    both.establish();
    expectPath(both, ELSEWHERE, ADDRESS_B);
  });

  it('sees a NAT that is new, and has ESP in UDP from then on', () => {
    const both = established();
    move(both.a, ELSEWHERE);
    const outside = { address: '203.0.113.5', port: 61_000 };
    for (let n = 0; n < 20; n++) {
      for (const datagram of both.a.outbox.splice(0)) both.give(datagram, outside);
      for (const datagram of both.b.outbox.splice(0)) {
        const { local, remote, data } = datagram;
        expect(remote).toEqual(outside);
        both.a.handle({
          type: 'datagram',
          local: { address: ELSEWHERE, port: 4500 },
          remote: local,
          data,
        });
      }
      both.wait(1_000);
    }
    const [a] = [...both.a.installed.values()].slice(-1);
    const [b] = [...both.b.installed.values()].slice(-1);
    expect([a!.udpEncapsulation, b!.udpEncapsulation]).toEqual([true, true]);
    expect(b!.remote).toEqual(outside);
    both.expectFlow();
  });
});

describe('an initiator that has ESP go in UDP whatever lies between', () => {
  it('does not do so with a peer that cannot, after a move either', () => {
    const a = { ...MOBILE, alternatives: [ELSEWHERE], forceUdpEncapsulation: true };
    const both = new Dialogue({ a: { ...a, ike: [PROPOSAL], esp: ['aes128gcm16-noesn'] } });
    both.initiate();
    const responder = new ScriptedResponder(both.a);
    // a <- b  HDR, SAr1, KEr, Nr: no NAT detection
    responder.init();
    const request = responder.take();
    const mobile = notify(NOTIFY.MOBIKE_SUPPORTED);
    responder.answer(request, [...responder.authPayloads(request), mobile]);
    move(both.a, ELSEWHERE);
    responder.answer(responder.take(), []);
    const children = [...both.a.installed.values()];
    expect(children).toMatchObject([{ local: { address: ELSEWHERE }, udpEncapsulation: false }]);
    expect(both.a.outbox).toEqual([]);
  });
});

describe('an initiator that goes elsewhere while it sets an IKE SA up', () => {
  /** With so many messages of it delivered; what goes to or from the old address is lost. */
  function moveDuring(both: Dialogue, messages: number): void {
    for (let n = 0; n < messages; n++) both.deliver(n % 2 === 0 ? both.a : both.b);
    move(both.a, ELSEWHERE);
    flow(both, 30, around(ADDRESS_A));
  }

  const unknown = { remoteAddress: '%any' };

  it.each([0, 1, 2, 3])('goes on from there, or begins anew, after %i messages', (messages) => {
    const both = new Dialogue({
      a: { ...MOBILE, alternatives: [ELSEWHERE] },
      b: { ...MOBILE, ...unknown },
      fast: true,
    });
    both.initiate();
    moveDuring(both, messages);
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
    expect(both.a.failures).toEqual([]);
  });

  it.each([0, 1, 2, 3])('does so in a reauthentication, after %i messages', (messages) => {
    const both = established();
    both.rekey(both.a, 'reauth');
    moveDuring(both, messages);
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
    both.expectFlow();
  });

  it.each([2, 3])('sets it up anew with a peer that cannot move, after %i messages', (messages) => {
    const both = new Dialogue({
      a: { ...MOBILE, alternatives: [ELSEWHERE] },
      b: unknown,
      fast: true,
    });
    both.initiate();
    moveDuring(both, messages);
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
  });

  it('takes an IKE SA down from there', () => {
    const both = established();
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.take(both.a);
    moveDuring(both, 0);
    expect([both.a.states, both.b.states]).toEqual([[], []]);
  });
});

describe('nobody moves', () => {
  it.each([
    ['a', { mobike: false, alternatives: [ELSEWHERE] }, MOBILE],
    ['b', { mobike: true, alternatives: [ELSEWHERE] }, { mobike: false }],
  ])('where %s has it switched off', (_, a, b) => {
    const both = established(a, b);
    move(both.a, ELSEWHERE);
    expect(both.a.outbox).toEqual([]);
  });

  it('where it is the responder that is elsewhere', () => {
    const both = established(MOBILE, { ...MOBILE, alternatives: [ELSEWHERE] });
    move(both.b, ELSEWHERE);
    expect(both.b.outbox).toEqual([]);
  });
});

describe('where no NAT is allowed (§3.9)', () => {
  const STRICT: ConnectionOptions = { ...MOBILE, natTraversal: false };
  const outside = { address: '203.0.113.5', port: 61_000 };

  /** All that a sends comes through a NAT, and what goes to that gets back to a. */
  function translate(both: Dialogue, address: string, seconds: number): void {
    for (let second = 0; second < seconds; second++) {
      for (const datagram of both.a.outbox.splice(0)) both.give(datagram, outside);
      for (const { local, remote, data } of both.b.outbox.splice(0)) {
        const to = remote.address === outside.address ? { address, port: 500 } : remote;
        both.a.handle({ type: 'datagram', local: to, remote: local, data });
      }
      both.wait(1_000);
    }
  }

  it('all goes on at port 500 where there is none, and a move is followed', () => {
    const both = established({ ...STRICT, alternatives: [ELSEWHERE] });
    expect([...both.b.installed.values()][0]!.remote.port).toBe(500);
    move(both.a, ELSEWHERE);
    flow(both, 10, around(ADDRESS_A));
    expectPath(both, ELSEWHERE, ADDRESS_B);
    expect(both.a.failures).toEqual([]);
  });

  it('a responder says nothing of NATs, and all stays at port 500', () => {
    const both = established(MOBILE, STRICT);
    expect([...both.a.installed.values()][0]!.remote.port).toBe(500);
  });

  it('nor does it after a move, and heeds nothing that is said of them', () => {
    const both = established({ ...MOBILE, alternatives: [ELSEWHERE] }, STRICT);
    move(both.a, ELSEWHERE);
    translate(both, ELSEWHERE, 10);
    for (const { installed } of [both.a, both.b]) {
      expect([...installed.values()].map(({ udpEncapsulation }) => udpEncapsulation)).toEqual([
        false,
      ]);
    }
  });

  it('no IKE SA comes through one', () => {
    const both = new Dialogue({ a: STRICT, b: { ...MOBILE, remoteAddress: '%any' }, fast: true });
    both.initiate();
    translate(both, ADDRESS_A, 5);
    expect([both.a.states, both.b.states]).toEqual([[], []]);
    for (const { failures } of [both.a, both.b]) {
      expect(failures.at(-1)!.notify).toBe('UNEXPECTED_NAT_DETECTED');
    }
  });

  it('a move to behind one is tried several times, and not followed', () => {
    const both = established({ ...STRICT, alternatives: [ELSEWHERE] });
    move(both.a, ELSEWHERE);
    translate(both, ELSEWHERE, 20);
    expect(both.a.failures).toMatchObject([{ notify: 'UNEXPECTED_NAT_DETECTED' }]);
    expect([...both.b.installed.values()][0]!.remote.address).toBe(ADDRESS_A);
    expect(both.b.ike.ikeSas()).toMatchObject([{ remote: { address: ADDRESS_A } }]);
  });

  it('an attempt that moves before it has proved itself begins anew', () => {
    const both = new Dialogue({
      a: { ...STRICT, alternatives: [ELSEWHERE] },
      b: { ...MOBILE, remoteAddress: '%any' },
      fast: true,
    });
    both.initiate();
    both.deliver(both.a);
    both.deliver(both.b);
    move(both.a, ELSEWHERE);
    flow(both, 10, around(ADDRESS_A));
    expectPath(both, ELSEWHERE, ADDRESS_B);
    expect(both.a.failures).toEqual([]);
  });
});

describe('a follower', () => {
  const { UPDATE_SA_ADDRESSES, COOKIE2, NO_NATS_ALLOWED, UNEXPECTED_NAT_DETECTED } = NOTIFY;

  function peerOf(both: Dialogue, mobile = true): ScriptedPeer {
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const more: Payload[] = mobile ? [notify(NOTIFY.MOBIKE_SUPPORTED)] : [];
    peer.request(EXCHANGE.IKE_AUTH, 1, [...peer.authPayloads(), ...more]);
    return peer;
  }

  it('sends COOKIE2 back', () => {
    const peer = peerOf(new Dialogue({ b: MOBILE }));
    const [answer] = peer.request(EXCHANGE.INFORMATIONAL, 2, [notify(COOKIE2, peer.ni)]);
    expect(answer).toMatchObject([{ notifyType: COOKIE2, data: peer.ni }]);
  });

  it('does not follow where that was not negotiated', () => {
    const both = new Dialogue({ b: MOBILE });
    const peer = peerOf(both, false);
    peer.source = { address: ELSEWHERE, port: 500 };
    expect(peer.request(EXCHANGE.INFORMATIONAL, 2, [notify(UPDATE_SA_ADDRESSES)])).toEqual([[]]);
    expect([...both.b.installed.values()][0]!.remote.address).toBe(ADDRESS_A);
  });

  it('ends an IKE SA whose peer does not send back what went there', () => {
    const both = new Dialogue({ b: MOBILE });
    const peer = peerOf(both);
    peer.source = { address: ELSEWHERE, port: 500 };
    peer.send(peer.seal(EXCHANGE.INFORMATIONAL, 2, [notify(UPDATE_SA_ADDRESSES)]));
    peer.respond(EXCHANGE.INFORMATIONAL, 0, [notify(COOKIE2, new Uint8Array(32))]);
    expect(both.b.states).toEqual([]);
    expect(both.b.failures.at(-1)!.explanation).toContain('COOKIE2');
  });

  it('asks one thing at a time of a peer that moves on and on, and in the end where that is', () => {
    const both = new Dialogue({ b: MOBILE });
    const peer = peerOf(both);
    const cookieOf = (data: Uint8Array) => notifyOf(peer.open(data), COOKIE2)!.data;
    const update = [notify(UPDATE_SA_ADDRESSES)];
    peer.source = { address: ELSEWHERE, port: 500 };
    const [, asked] = peer.send(peer.seal(EXCHANGE.INFORMATIONAL, 2, update));
    for (let id = 3; id < 40; id++) {
      peer.source = { address: `198.51.100.${id}`, port: 500 };
      expect(peer.request(EXCHANGE.INFORMATIONAL, id, update)).toHaveLength(1);
    }
    const answer = (id: number, data: Uint8Array) =>
      peer.respond(EXCHANGE.INFORMATIONAL, id, [notify(COOKIE2, cookieOf(data))]);
    const [again, ...more] = answer(0, asked!);
    expect(more).toEqual([]);
    expect([...both.b.installed.values()][0]!.remote.address).toBe(ADDRESS_A);
    expect(answer(1, again!)).toEqual([]);
    expect([...both.b.installed.values()][0]!.remote.address).toBe('198.51.100.39');
  });

  it('answers a move that comes after a newer one, and stays where that one has led', () => {
    const both = new Dialogue({ b: { ...MOBILE, windowSize: 4 } });
    const peer = peerOf(both);
    const moveBy = (messageId: number, address: string) => {
      peer.source = { address, port: 500 };
      const update = [notify(UPDATE_SA_ADDRESSES)];
      return kinds(peer.request(EXCHANGE.INFORMATIONAL, messageId, update)[0]);
    };
    const places = () => both.b.ikeSas().map(({ remote }) => remote.address);
    // RFC 4555 §3.5: with a window above 1 requests may come out of order.
    expect(moveBy(3, ELSEWHERE)).toEqual([]);
    expect(places()).toEqual([ELSEWHERE]);
    expect(moveBy(2, '198.51.100.9')).toEqual([]);
    expect(places()).toEqual([ELSEWHERE]);
    expect(moveBy(4, '198.51.100.9')).toEqual([]);
    expect(places()).toEqual(['198.51.100.9']);
  });

  it('says that there is a NAT where none is allowed', () => {
    const both = new Dialogue({ b: MOBILE });
    const peer = peerOf(both);
    peer.source = { address: ELSEWHERE, port: 500 };
    const ends = (address: number[]) =>
      Uint8Array.of(...address, 192, 0, 2, 2, 500 >> 8, 500 & 0xff, 500 >> 8, 500 & 0xff);
    const update = (messageId: number, address: number[]) =>
      peer.request(EXCHANGE.INFORMATIONAL, messageId, [
        notify(UPDATE_SA_ADDRESSES),
        notify(NO_NATS_ALLOWED, ends(address)),
      ]);
    expect(update(2, [192, 0, 2, 1]).map(kinds)).toEqual([[UNEXPECTED_NAT_DETECTED]]);
    expect(kinds(update(3, [198, 51, 100, 7])[0])).toEqual([]);
  });
});

describe('a mover whose peer does not answer', () => {
  const B2 = '192.0.2.22';

  function twoWays(options: ConnectionOptions = {}): Dialogue {
    return established(
      { ...MOBILE, alternatives: [ELSEWHERE], livenessSeconds: 10, ...options },
      { ...MOBILE, alternatives: [B2], livenessSeconds: 60 },
    );
  }

  it("goes to its peer's other address (§3.5), and ESP with it", () => {
    const both = twoWays();
    flow(both, 40, around(ADDRESS_B));
    expect(both.a.log.join('\n')).toMatch(/no answer from .*, the next try goes from/);
    expectPath(both, ADDRESS_A, B2);
    both.expectTunnel();
  });

  it('tries its own other address, where that is there', () => {
    const both = twoWays();
    move(both.a, ADDRESS_A, ELSEWHERE);
    flow(both, 60, around(ADDRESS_A));
    expect(both.a.installed.size).toBe(1);
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
  });

  it('finds the one way of four that goes', () => {
    const both = twoWays();
    move(both.a, ADDRESS_A, ELSEWHERE);
    const ends = [ELSEWHERE, B2];
    flow(both, 90, (local, remote) => ends.includes(local) && ends.includes(remote));
    expectPath(both, ELSEWHERE, B2);
    both.expectTunnel();
  });

  it('stays where it is when the peer was only slow', () => {
    const both = twoWays();
    let lost = 0;
    flow(both, 60, () => lost++ >= 5);
    expectPath(both, ADDRESS_A, ADDRESS_B);
    expect(both.a.log.join('\n')).toContain('the next try goes');
    both.expectTunnel();
  });

  it('has its rekeying finished on the other way, and only then tells of it', () => {
    for (const what of ['child', 'ike'] as const) {
      const both = twoWays();
      both.rekey(both.a, what);
      flow(both, 60, around(ADDRESS_B));
      expectPath(both, ADDRESS_A, B2);
      both.expectTunnel();
      both.expectFlow();
    }
  });

  it('gives up where no way goes', () => {
    const both = twoWays();
    flow(both, 400, () => false);
    expect([both.a.states, both.b.states]).toEqual([[], []]);
    expect(both.a.failures).toMatchObject([{ notify: 'no answer' }]);
  });

  it('goes nowhere that its peer has not told of', () => {
    const both = established({ ...MOBILE, livenessSeconds: 10 });
    flow(both, 60, around(ADDRESS_B));
    expect(both.a.log.join('\n')).not.toContain('the next try goes');
  });
});

describe('a move that crosses a rekeying of the IKE SA', () => {
  it.each([
    ['a', 0],
    ['a', 1],
    ['a', 2],
    ['b', 0],
    ['b', 1],
    ['b', 2],
  ] as const)('by %s, after %i messages, leaves both where they are', (side, apart) => {
    const both = established();
    both.rekey(both[side], 'ike');
    const order = side === 'a' ? [both.a, both.b] : [both.b, both.a];
    for (let step = 0; step < apart; step++) both.deliver(order[step % 2]!);
    move(both.a, ELSEWHERE);
    for (let second = 0; second < 40; second++) {
      both.settle();
      both.wait(1_000);
    }
    both.settle();
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
    both.expectFlow();
  });

  it('is followed by who has not heard that its rekeying is answered', () => {
    const both = established();
    both.rekey(both.b, 'ike');
    both.deliver(both.b);
    // a has moved before its answer gets there, and b goes on asking where a is no more.
    both.take(both.a);
    move(both.a, ELSEWHERE);
    flow(both, 60, around(ADDRESS_A));
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
    both.expectFlow();
  });

  it('is followed by who does not know yet which of two rekeyings stays', () => {
    const both = established();
    both.rekey(both.a, 'ike');
    both.rekey(both.b, 'ike');
    // The request of b is lost: for a there is one rekeying, for b there are two.
    both.take(both.b);
    both.deliver(both.a);
    both.deliver(both.b);
    const deletes = both.take(both.a);
    move(both.a, ELSEWHERE);
    // a -> b  HDR, SK {N(UPDATE_SA_ADDRESSES), ...}, on the new IKE SA
    both.deliver(both.a);
    both.give(deletes);
    for (let second = 0; second < 40; second++) {
      both.settle();
      both.wait(1_000);
    }
    both.settle();
    expectPath(both, ELSEWHERE, ADDRESS_B);
    both.expectTunnel();
  });

  it.each([1, 2, 3, 4, 5, 6])(
    'is followed by who has made the one that stays, and does not know it yet (seed %i)',
    (seed) => {
      const options = { a: { ...MOBILE, alternatives: [ELSEWHERE] }, b: MOBILE, fast: true, seed };
      const both = Dialogue.established(options);
      both.rekey(both.a, 'ike');
      both.rekey(both.b, 'ike');
      both.cross(1);
      // The answer of a is lost; that of b comes when a has moved, and cannot tell of it before.
      both.take(both.a);
      const answer = both.take(both.b);
      move(both.a, ELSEWHERE);
      both.give(answer);
      flow(both, 60, around(ADDRESS_A));
      expectPath(both, ELSEWHERE, ADDRESS_B);
      both.expectTunnel();
      both.expectFlow();
    },
  );
});
