/** Messages in fragments (RFC 7383): negotiation, sizes, loss, retransmission, forged ones. */
import { describe, expect, it } from 'vitest';
import { EXCHANGE, NOTIFY, PAYLOAD, type Payload } from '../../src/wire/index.js';
import { Dialogue, type DialogueOptions, describe as nameOf } from './harness/dialogue.js';
import type { Datagram, Peer } from './harness/peer.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';

/** So many networks that a message with their selectors takes 2,500 octets. */
const MANY = Array.from({ length: 60 }, (_, n) => `2001:db8:${n + 10}::/48`);
const ONE = ['2001:db8:ffff::/64'];

function large(bytes: number, more: Partial<DialogueOptions> = {}): DialogueOptions {
  return {
    ...more,
    a: { fragmentBytes: bytes, localSelectors: MANY, remoteSelectors: ONE },
    b: { fragmentBytes: bytes, localSelectors: ONE, remoteSelectors: MANY },
    fast: true,
  };
}

/** IP datagrams have a header of 20 octets, UDP one of 8. */
const ipLength = ({ data }: Datagram) => data.length + 28;
const isFragment = ({ data }: Datagram) => data[16] === PAYLOAD.SKF;

/** IKE_SA_INIT is over: what a sends now is IKE_AUTH. */
function authenticating(options: DialogueOptions): Dialogue {
  const both = new Dialogue(options);
  both.initiate();
  both.deliver(both.a);
  both.deliver(both.b);
  return both;
}

function giveAll(both: Dialogue, datagrams: readonly Datagram[]): void {
  for (const datagram of datagrams) both.give(datagram);
}

describe('a message that is too long for a datagram', () => {
  it.each([512, 576, 1280, 1500])('goes in fragments of %i bytes at most', (bytes) => {
    const both = authenticating(large(bytes));
    const request = both.a.outbox.splice(0);
    expect(request.every(isFragment)).toBe(true);
    const lengths = request.map(ipLength);
    expect(lengths.every((length) => length <= bytes)).toBe(true);
    // All but the last are as long as may be.
    expect(lengths.slice(0, -1).every((length) => length === bytes)).toBe(true);
    giveAll(both, request);
    const response = both.b.outbox.splice(0);
    expect(response.every(isFragment)).toBe(true);
    expect(response.every((datagram) => ipLength(datagram) <= bytes)).toBe(true);
    giveAll(both, response);
    both.expectTunnel();
    expect(both.a.log.join('\n')).toContain(`in ${request.length} fragments`);
  });

  it('goes in fragments of the right length over port 4500 too', () => {
    const options = large(600);
    const both = authenticating({ ...options, a: { ...options.a, forceUdpEncapsulation: true } });
    const request = both.a.outbox.splice(0);
    expect(request.every(({ marker }) => marker)).toBe(true);
    expect(Math.max(...request.map((datagram) => ipLength(datagram) + 4))).toBe(600);
    giveAll(both, request);
    both.settle();
    both.expectTunnel();
  });

  it('is one that is sealed by AES-CBC too', () => {
    const ike = ['aes256-sha512-x25519'];
    const options = large(600);
    const both = Dialogue.established({
      ...options,
      a: { ...options.a, ike },
      b: { ...options.b, ike },
    });
    expect(both.b.log.join('\n')).toMatch(/IKE_AUTH response .* fragments/);
  });

  it('arrives in any order, each fragment once or often', () => {
    const both = authenticating(large(576));
    const request = both.a.outbox.splice(0).reverse();
    giveAll(both, request.slice(1));
    giveAll(both, request.slice(1));
    expect(both.b.outbox).toEqual([]);
    giveAll(both, request.slice(0, 1));
    giveAll(both, both.b.outbox.splice(0).reverse());
    both.expectTunnel();
  });

  it('is sent again as a whole when one fragment is lost', () => {
    const both = authenticating(large(576));
    const request = both.a.outbox.splice(0);
    giveAll(both, request.slice(1));
    both.wait(600);
    const again = both.a.outbox.splice(0);
    expect(again.map(({ data }) => data)).toEqual(request.map(({ data }) => data));
    giveAll(both, again.slice(0, 1));
    both.settle();
    both.expectTunnel();
  });

  it('stays whole where it fits', () => {
    const both = authenticating({ fast: true });
    expect(both.a.outbox.some(isFragment)).toBe(false);
    both.settle();
    both.expectTunnel();
  });

  it('goes in fragments after the IKE SA was rekeyed as well', () => {
    const both = Dialogue.established(large(576));
    both.rekey(both.a, 'ike');
    both.settle();
    both.rekey(both.a, 'child');
    expect(both.a.outbox.length).toBeGreaterThan(1);
    expect(both.a.outbox.every(isFragment)).toBe(true);
    both.settle();
    both.wait(5_000);
    both.expectTunnel();
  });
});

describe('fragments are not used', () => {
  it.each(['a', 'b'] as const)('where %s has them switched off', (side) => {
    const options = large(576);
    const off = { ...options[side], fragmentBytes: 0 };
    const both = authenticating({ ...options, [side]: off });
    expect(both.a.outbox).toHaveLength(1);
    expect(both.a.outbox.some(isFragment)).toBe(false);
    both.settle();
    both.expectTunnel();
  });

  it('where the initiator has said nothing of them: neither is one taken', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init();
    const [fragment] = peer.sealInFragments(EXCHANGE.IKE_AUTH, 1, peer.authPayloads(), 200);
    expect(peer.send(fragment!)).toEqual([]);
    expect(b.log.at(-1)).toContain('fragment 1 of');
    expect(b.log.at(-1)).toContain('refused');
  });
});

describe('a request in fragments that comes again', () => {
  function answered(): { both: Dialogue; request: Datagram[]; response: Datagram[] } {
    const both = authenticating(large(576));
    const request = both.a.outbox.splice(0);
    giveAll(both, request);
    return { both, request, response: both.b.outbox.splice(0) };
  }

  it('has its response sent again for fragment 1, and for no other', () => {
    const { both, request, response } = answered();
    giveAll(both, request.slice(1));
    expect(both.b.outbox).toEqual([]);
    both.give(request[0]!);
    expect(both.b.outbox.map(({ data }) => data)).toEqual(response.map(({ data }) => data));
  });

  it('is known by fragment 1 also after the IKE SA is gone', () => {
    const both = Dialogue.established(large(576));
    both.a.handle({ type: 'terminate', connection: 'site' });
    const request = both.take(both.a);
    both.give(request);
    const [lost] = both.b.outbox.splice(0);
    expect(both.b.states).toEqual([]);
    both.give(request);
    expect(both.take(both.b).data).toEqual(lost!.data);
  });

  it('in smaller fragments is no new request, and gets a response that is no longer', () => {
    const both = authenticating(large(1280));
    const large1280 = both.a.outbox.splice(0);
    giveAll(both, large1280);
    const lost = both.b.outbox.splice(0);
    expect(lost.map(ipLength).some((length) => length > 576)).toBe(true);
    // The path takes no more than 576 bytes from b to a: a does not know, and asks again.
    for (let tries = 0; both.a.states[0] !== 'established'; tries++) {
      expect(tries).toBeLessThan(5);
      both.wait(5_000);
      giveAll(both, both.a.outbox.splice(0));
      giveAll(
        both,
        both.b.outbox.splice(0).filter((datagram) => ipLength(datagram) <= 576),
      );
    }
    both.expectTunnel();
  });
});

describe('a path that takes 576 bytes', () => {
  const passes = (datagram: Datagram) => ipLength(datagram) <= 576;
  const through = (both: Dialogue, from: Peer) => {
    const sent = from.outbox.splice(0);
    giveAll(both, sent.filter(passes));
    return sent;
  };

  it('is found by smaller fragments, of which there are more', () => {
    const both = authenticating(large(1280));
    const totals: number[] = [];
    while (both.b.outbox.length === 0 && both.now < 10_000) {
      const sent = through(both, both.a);
      if (sent.length > 0) totals.push(sent.length);
      both.wait(200);
    }
    expect(totals).toEqual([3, 3, totals.at(-1)]);
    expect(totals.at(-1)).toBeGreaterThan(5);
    // The responder goes by what has come through.
    expect(through(both, both.b).every(passes)).toBe(true);
    both.expectTunnel();
    both.rekey(both.a, 'child');
    expect(both.a.outbox.every(passes)).toBe(true);
    both.settle();
    both.wait(5_000);
    both.expectTunnel();
  });
});

describe('a message that is sent again in smaller fragments', () => {
  // By their number the peer tells the new ones from those that it has kept (§2.6).
  it.each([578, 584, 592, 608, 640])('has more of them than those of %i bytes', (bytes) => {
    const both = authenticating(large(bytes));
    const totals: number[] = [];
    while (totals.length < 3 && both.now < 10_000) {
      const sent = both.a.outbox.splice(0);
      if (sent.length > 0) totals.push(sent.length);
      if (totals.length === 3) giveAll(both, sent);
      both.wait(200);
    }
    expect(totals[1]).toBe(totals[0]);
    expect(totals[2]).toBeGreaterThan(totals[1]!);
    both.settle();
    both.expectTunnel();
  });
});

describe('fragments of somebody who has no keys', () => {
  it('are not kept, and hold nothing up', () => {
    const both = authenticating(large(576));
    const request = both.a.outbox.splice(0);
    for (const datagram of request) {
      const forged = { ...datagram, data: datagram.data.slice() };
      forged.data[forged.data.length - 1]! ^= 1;
      both.give(forged);
    }
    expect(both.b.ike.drops()).toEqual({ 'ike-not-authentic': request.length });
    giveAll(both, request);
    both.settle();
    both.expectTunnel();
  });

  it('that come again are no surprise, neither while their answer is made nor behind it', () => {
    const both = authenticating(large(576));
    const request = both.a.outbox.splice(0);
    both.b.manualJobs = true;
    giveAll(both, request);
    giveAll(both, request);
    while (both.b.jobs.length > 0) both.b.finishJob();
    giveAll(both, request);
    expect(Object.keys(both.b.ike.drops())).toEqual(['ike-repeated-request']);
    both.b.manualJobs = false;
    both.settle();
    both.expectTunnel();
  });

  it('wait for keys in bounded memory, and hold nothing up', () => {
    const both = authenticating(large(576));
    const request = both.a.outbox.splice(0);
    both.b.manualJobs = true;
    both.give(request[0]!);
    for (let i = 0; i < 40; i++) {
      const data = new Uint8Array(60_000);
      data.set(request[0]!.data.subarray(0, 28));
      new DataView(data.buffer).setUint32(24, data.length);
      both.give({ ...request[0]!, data });
    }
    expect(both.b.ike.drops()).toEqual({ 'ike-held-full': 39 });
    both.b.manualJobs = false;
    while (both.b.jobs.length > 0) both.b.finishJob();
    giveAll(both, request);
    both.settle();
    both.expectTunnel();
  });
});

describe('a peer with the right keys', () => {
  const OFFER: Payload = notify(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED);

  function peerOf(both: Dialogue): ScriptedPeer {
    const peer = new ScriptedPeer(both.b);
    peer.init([...peer.initPayloads(), OFFER]);
    peer.request(EXCHANGE.IKE_AUTH, 1, peer.authPayloads());
    return peer;
  }

  it('is told by a fragmented message that does not decode what ends the IKE SA', () => {
    const both = new Dialogue();
    const peer = peerOf(both);
    const bad: Payload = {
      kind: 'unknown',
      type: PAYLOAD.D,
      critical: false,
      body: new Uint8Array(300),
    };
    const fragments = peer.sealInFragments(EXCHANGE.INFORMATIONAL, 2, [bad], 200);
    const answers = fragments.flatMap((data) => peer.send(data)).map((data) => peer.open(data));
    expect(answers.map(kinds)).toEqual([[NOTIFY.INVALID_SYNTAX]]);
    expect(both.b.states).toEqual([]);
  });

  it('may leave messages incomplete for ever, within bounds', () => {
    const both = new Dialogue({ optionsB: { maxFragmentOctets: 10_000 } });
    const peer = peerOf(both);
    const payloads = [notify(NOTIFY.INITIAL_CONTACT, new Uint8Array(3_000))];
    const fragments = peer.sealInFragments(EXCHANGE.INFORMATIONAL, 2, payloads, 300);
    for (const fragment of fragments.slice(1)) peer.send(fragment);
    // A second total is a message of its own; a lower one is refused (§2.6).
    const fewer = peer.sealInFragments(EXCHANGE.INFORMATIONAL, 2, payloads, 900);
    peer.send(fewer[1]!);
    expect(both.b.ike.drops()).toEqual({ 'ike-fragment-refused': 1 });
    // It is as good a message as any when it comes as one.
    expect(peer.request(EXCHANGE.INFORMATIONAL, 2, [])).toEqual([[]]);
    both.b.handle({ type: 'terminate', connection: 'site' });
    both.wait(600_000);
    expect(both.b.isClean).toBe(true);
  });
});

it('names a fragment by its message', () => {
  const both = authenticating(large(576));
  expect(nameOf(both.take(both.a))).toBe('IKE_AUTH request 1');
});
