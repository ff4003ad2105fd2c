/** What may go wrong in IKE_SA_INIT (RFC 7296 §2.5, §2.6, §2.7, §2.21.1), and how it goes on. */
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  NOTIFY,
  type Payload,
} from '../../src/wire/index.js';
import { ADDRESS_A, Dialogue } from './harness/dialogue.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';

const GCM = 'aes128gcm16-prfsha256';

describe('INVALID_KE_PAYLOAD (§1.2, §2.7)', () => {
  it('makes the initiator try again with the group that the responder wants', () => {
    const both = new Dialogue({
      a: { ike: [`${GCM}-x25519-ecp384`] },
      b: { ike: [`${GCM}-ecp384`] },
    });
    both.initiate();
    // a -> b  HDR, SAi1, KEi(x25519), Ni
    const first = decodeMessage(both.a.outbox[0]!.data);
    both.deliver(both.a);
    // a <- b  HDR, N(INVALID_KE_PAYLOAD, 20)
    expect(kinds(decodeMessage(both.b.outbox[0]!.data).payloads)).toEqual([17]);
    expect(both.b.timers.size).toBe(0); // no half-open SA is left behind
    both.deliver(both.b);
    // a -> b  HDR, SAi1, KEi(P-384), Ni: the offer and the SPI are those of before
    const second = decodeMessage(both.a.outbox[0]!.data);
    expect(second.header.initiatorSpi).toBe(first.header.initiatorSpi);
    expect(second.payloads[0]).toEqual(first.payloads[0]);
    expect(second.payloads[1]).toMatchObject({ kind: 'KE', method: 20 });
    both.settle();
    both.expectTunnel();
  });

  it('is no more than a hint where it names a group that was not offered', () => {
    const both = new Dialogue({ a: { ike: [`${GCM}-x25519`] } });
    both.initiate();
    const request = both.take(both.a);
    both.give(answerTo(request, [notify(NOTIFY.INVALID_KE_PAYLOAD, Uint8Array.of(0, 2))]));
    expect(both.a.outbox).toEqual([]);
    // The real answer comes after all.
    both.give(request);
    both.settle();
    both.expectTunnel();
  });
});

describe('NO_PROPOSAL_CHOSEN', () => {
  it('fails with both proposals at the responder, and with ours at the initiator', () => {
    const both = new Dialogue({
      a: { ike: [`${GCM}-x25519`] },
      b: { ike: ['aes256-sha256-x25519'] },
    });
    both.initiate();
    both.settle();
    expect(both.b.failures[0]!.explanation).toContain(
      "first difference: encryption: ours AES_CBC_256, the peer's AES_GCM_16_128",
    );
    expect(both.a.failures).toEqual([]); // nobody has authenticated it: it waits for a better one
    both.wait(5_000);
    expect(both.a.failures[0]).toMatchObject({ notify: 'NO_PROPOSAL_CHOSEN' });
    expect(both.a.failures[0]!.explanation).toContain('AES_GCM_16_128 / PRF_HMAC_SHA2_256');
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });

  it('is also the answer to an address without a connection', () => {
    const both = new Dialogue({ b: { remoteAddress: '198.51.100.7' } });
    both.initiate();
    both.settle();
    expect(both.b.failures[0]!.explanation).toContain('no connection is configured between');
  });

  it('forged by somebody else does not keep the tunnel from coming up (§2.21.1)', () => {
    const both = new Dialogue();
    both.initiate();
    const request = both.take(both.a);
    both.give(answerTo(request, [notify(NOTIFY.NO_PROPOSAL_CHOSEN)]));
    both.wait(1_000);
    both.give(request);
    both.b.outbox.splice(1); // a has sent it again meanwhile
    both.settle();
    both.expectTunnel();
    both.wait(10_000);
    expect(both.a.failures).toEqual([]);
  });
});

describe('COOKIE (§2.6)', () => {
  const demanding = { cookieThreshold: 0 };

  it('is demanded above the threshold, without any state, and obeyed', () => {
    const both = new Dialogue({ optionsB: demanding });
    both.initiate();
    const first = decodeMessage(both.a.outbox[0]!.data);
    both.deliver(both.a);
    // a <- b  HDR, N(COOKIE)
    const [cookie] = decodeMessage(both.b.outbox[0]!.data).payloads;
    expect(kinds([cookie!])).toEqual([NOTIFY.COOKIE]);
    expect([both.b.timers.size, both.b.jobs.length]).toEqual([0, 0]);
    both.deliver(both.b);
    // a -> b  HDR, N(COOKIE), SAi1, KEi, Ni: all but the cookie as before
    const second = decodeMessage(both.a.outbox[0]!.data);
    expect(second.payloads).toEqual([cookie, ...first.payloads]);
    both.settle();
    both.expectTunnel();
  });

  it('does not hold for another address, another nonce, or when it is old', () => {
    const both = new Dialogue({ optionsB: demanding });
    const peer = new ScriptedPeer(both.b);
    const [answer] = peer.send(peer.initRequest());
    const [cookie] = decodeMessage(answer!).payloads;
    const withCookie = () => peer.initRequest([cookie!, ...peer.initPayloads()]);
    const answersTo = (request: Uint8Array) =>
      peer.send(request).flatMap((data) => kinds(decodeMessage(data).payloads));
    peer.source = { address: '198.51.100.9', port: 500 };
    expect(answersTo(withCookie())).toEqual([NOTIFY.COOKIE]);
    peer.source = { address: '192.0.2.1', port: 500 };
    peer.ni[0]! ^= 1;
    expect(answersTo(withCookie())).toEqual([NOTIFY.COOKIE]);
    peer.ni[0]! ^= 1;
    both.wait(61_000);
    expect(answersTo(withCookie())).toContain('KE'); // the last secret still counts
    both.wait(121_000);
    peer.ni[31]! ^= 0; // the same request again is no retransmission any more
    expect(answersTo(withCookie())).toEqual([NOTIFY.COOKIE]);
  });

  it('survives a change of the group, and the two may come in any order (§2.6.1)', () => {
    const both = new Dialogue({
      a: { ike: [`${GCM}-x25519-ecp256`] },
      b: { ike: [`${GCM}-ecp256`] },
      optionsB: demanding,
    });
    both.initiate();
    const story = both.settle();
    expect(story.filter((line) => line === 'a IKE_SA_INIT request 0')).toHaveLength(3);
    both.expectTunnel();
  });

  it('is asked for without end by nobody: the initiator stops obeying', () => {
    const both = new Dialogue();
    both.initiate();
    let sent = 0;
    for (let i = 0; i < 50 && both.a.outbox.length > 0; i++) {
      const request = both.take(both.a);
      both.give(answerTo(request, [notify(NOTIFY.COOKIE, Uint8Array.of(i + 1))]));
      sent++;
    }
    expect(sent).toBeLessThan(12);
  });
});

describe('half-open IKE SAs', () => {
  /** One from this address, which brings a COOKIE where one is demanded; true if it is opened. */
  function opens(both: Dialogue, value: number, address = ADDRESS_A): boolean {
    const peer = new ScriptedPeer(both.b);
    peer.ni.fill(value);
    peer.source = { address, port: 500 };
    const [answer] = peer.send(peer.initRequest());
    const [first] = answer === undefined ? [] : decodeMessage(answer).payloads;
    if (first?.kind !== 'N') return first !== undefined;
    return peer.send(peer.initRequest([first, ...peer.initPayloads()])).length > 0;
  }

  it('are limited for one address, and end by themselves', () => {
    const both = new Dialogue({ optionsB: { maxHalfOpenPerAddress: 3, cookieThreshold: 100 } });
    const opened = Array.from({ length: 5 }, (_, i) => opens(both, i));
    expect(opened).toEqual([true, true, true, false, false]);
    expect(both.b.ike.drops()).toEqual({ 'ike-half-open-full': 2 });
    both.wait(31_000);
    expect(both.b.timers.size).toBe(0);
    expect(opens(both, 5)).toBe(true);
  });

  it('are limited in all, the oldest making room; IPv6 networks count as one address', () => {
    const options = { maxHalfOpen: 4, maxHalfOpenPerAddress: 2, cookieThreshold: 100 };
    const both = new Dialogue({ b: { remoteAddress: '%any' }, optionsB: options });
    expect(opens(both, 1, '2001:db8:0:1::1')).toBe(true);
    expect(opens(both, 2, '2001:db8:0:1::2')).toBe(true);
    expect(opens(both, 3, '2001:db8:0:1:ffff::3')).toBe(false);
    expect(opens(both, 4, '2001:db8:0:2::1')).toBe(true);
    expect(opens(both, 5, '198.51.100.1')).toBe(true);
    const halfOpen = () =>
      [...both.b.timers.keys()].filter((timer) => timer.startsWith('half-open/'));
    const [oldest, ...others] = halfOpen();
    expect(opens(both, 6, '198.51.100.2')).toBe(true);
    expect(both.b.ike.drops()).toEqual({ 'ike-half-open-full': 1, 'ike-half-open-ousted': 1 });
    expect(halfOpen().length).toBe(4);
    expect(halfOpen()).toEqual(expect.arrayContaining(others));
    expect(halfOpen()).not.toContain(oldest);
  });
});

describe('a request that is no good', () => {
  const answer = (both: Dialogue, data: Uint8Array) => {
    const peer = new ScriptedPeer(both.b);
    return peer.send(data).flatMap((octets) => decodeMessage(octets).payloads);
  };

  it('with an unknown critical payload is answered UNSUPPORTED_CRITICAL_PAYLOAD (§2.5)', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    const unknown = (critical: boolean): Payload => ({
      kind: 'unknown',
      type: 200,
      critical,
      body: Uint8Array.of(1),
    });
    const payloads = answer(both, peer.initRequest([...peer.initPayloads(), unknown(true)]));
    expect(payloads).toMatchObject([
      { kind: 'N', notifyType: NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD, data: Uint8Array.of(200) },
    ]);
    const ignored = answer(both, peer.initRequest([...peer.initPayloads(), unknown(false)]));
    expect(kinds(ignored)).toContain('KE');
  });

  it('of a higher major version is answered INVALID_MAJOR_VERSION with ours (§2.5)', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    const request = peer.initRequest();
    request[17] = 0x30;
    const [data] = peer.send(request);
    expect(data![17]).toBe(0x20);
    expect(kinds(decodeMessage(data!).payloads)).toEqual([NOTIFY.INVALID_MAJOR_VERSION]);
    request[17] = 0x10; // IKEv1 is not answered
    expect(peer.send(request)).toEqual([]);
  });

  it('without a nonce, or with a KE of the wrong length, is answered INVALID_SYNTAX', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    const [sa, ke, nonce] = peer.initPayloads() as [Payload, Payload & { kind: 'KE' }, Payload];
    expect(kinds(answer(both, peer.initRequest([sa, ke])))).toEqual([NOTIFY.INVALID_SYNTAX]);
    const short = { ...ke, data: ke.data.slice(1) };
    expect(kinds(answer(both, peer.initRequest([sa, short, nonce])))).toEqual([
      NOTIFY.INVALID_SYNTAX,
    ]);
  });

  it('is answered so and so often a second, however many come', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    const request = peer.initRequest(peer.initPayloads().slice(1));
    let answers = 0;
    for (let i = 0; i < 1000; i++) answers += peer.send(request).length;
    expect(answers).toBeLessThanOrEqual(50);
  });

  it('whose KE is a point of small order ends with the half-open SA', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    const [sa, ke, nonce] = peer.initPayloads() as [Payload, Payload & { kind: 'KE' }, Payload];
    const [response] = peer.send(
      peer.initRequest([sa, { ...ke, data: new Uint8Array(32) }, nonce]),
    );
    peer.peerSpi = decodeMessage(response!).header.responderSpi;
    const header = peer.header(EXCHANGE.IKE_AUTH, 1);
    const sk: Payload = { kind: 'SK', nextPayload: 35, body: new Uint8Array(60) };
    expect(peer.send(encodeMessage({ header, payloads: [sk] }))).toEqual([]);
    expect(both.b.isClean).toBe(true);
  });
});

describe('an initiator', () => {
  it('refuses a choice that it has not offered', () => {
    const both = new Dialogue({ a: { ike: [`${GCM}-x25519`] } });
    both.initiate();
    const request = both.take(both.a);
    both.give(request);
    const response = both.take(both.b);
    const { payloads } = decodeMessage(response.data);
    const changed = payloads.map((payload) => {
      if (payload.kind !== 'SA') return payload;
      const [proposal] = payload.proposals;
      const transforms = proposal!.transforms.map((transform) =>
        transform.type === 1 ? { ...transform, attributes: [{ type: 14, value: 256 }] } : transform,
      );
      return { ...payload, proposals: [{ ...proposal!, transforms }] };
    });
    both.give({
      ...response,
      data: encodeMessage({ header: decodeMessage(response.data).header, payloads: changed }),
    });
    both.wait(3_000);
    expect(both.a.failures).toMatchObject([{ notify: 'NO_PROPOSAL_CHOSEN' }]);
    expect(both.a.isClean).toBe(true);
  });
});

/** An unauthenticated answer to a request, as anybody could send it. */
function answerTo(
  request: { data: Uint8Array; local: Endpoint; remote: Endpoint },
  payloads: Payload[],
) {
  const { header } = decodeMessage(request.data);
  const data = encodeMessage({ header: { ...header, response: true, initiator: false }, payloads });
  return {
    type: 'send' as const,
    marker: false,
    local: request.remote,
    remote: request.local,
    data,
  };
}

type Endpoint = { address: string; port: number };
