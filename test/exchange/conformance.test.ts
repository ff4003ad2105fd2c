/**
 * RFC 7296 by its MUSTs, as somebody reads them who has not written the code. What another file
 * here already tells as a story is not told again.
 */
import { describe, expect, it } from 'vitest';
import { notifiesOf } from '../../src/ike/messages/payloads.js';
import { detectNat, natDetection } from '../../src/ike/path/nat.js';
import type { IkeSpi } from '../../src/wire/index.js';
import {
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  encryptedPart,
  formatSelector,
  NOTIFY,
  type Payload,
  parseSelector,
  peekHeader,
  toWireSelector,
  ZERO_IKE_SPI,
} from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import { connectionOf } from './harness/peer.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const { IKE_AUTH, INFORMATIONAL } = EXCHANGE;
const GCM = { ike: ['aes128gcm16-prfsha256-x25519'] };
/** An error type that the IANA registry does not have. */
const UNKNOWN_ERROR = 8191;

describe('the IKE header (§3.1)', () => {
  it('with an initiator SPI of zero begins no IKE SA', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    const request = peer.initRequest();
    request.fill(0, 0, 8);
    expect(peer.send(request)).toEqual([]);
    expect(both.b.isClean).toBe(true);
  });
});

describe('nonces (§2.10, §3.9)', () => {
  const answerTo = (octets: number) => {
    const peer = new ScriptedPeer(new Dialogue().b);
    const [sa, ke] = peer.initPayloads();
    const nonce: Payload = { kind: 'V', data: new Uint8Array(octets).fill(7) };
    const request = encodeMessage({
      header: peer.header(EXCHANGE.IKE_SA_INIT, 0),
      payloads: [sa!, ke!, nonce],
    });
    // Ours does not encode such a nonce, so a Vendor ID of that size becomes one: the payload
    // before it names its type.
    const at = request.length - octets - 4;
    const keLength = 8 + 32;
    request[at - keLength] = 40;
    return peer.send(request).flatMap((data) => kinds(decodeMessage(data).payloads));
  };

  it('of 16 and of 256 octets are taken', () => {
    expect(answerTo(16)).toContain('Nonce');
    expect(answerTo(256)).toContain('Nonce');
  });

  it('of 15 and of 257 octets are answered INVALID_SYNTAX', () => {
    expect(answerTo(15)).toEqual([NOTIFY.INVALID_SYNTAX]);
    expect(answerTo(257)).toEqual([NOTIFY.INVALID_SYNTAX]);
  });

  it('of ours have 32 octets, half the key of the largest PRF that we offer', () => {
    const both = new Dialogue();
    both.initiate();
    const { payloads } = decodeMessage(both.take(both.a).data);
    const nonce = payloads.find(({ kind }) => kind === 'Nonce') as Payload & { kind: 'Nonce' };
    expect(nonce.data).toHaveLength(32);
  });
});

describe('COOKIE (§2.6)', () => {
  const obeyed = (octets: number) => {
    const both = new Dialogue({ a: GCM });
    both.initiate();
    const responder = new ScriptedResponder(both.a);
    const request = responder.take();
    const cookie = notify(NOTIFY.COOKIE, new Uint8Array(octets).fill(9));
    responder.give(request, responder.initResponse(request, [cookie]));
    const [again] = both.a.outbox;
    return again === undefined ? undefined : decodeMessage(again.data).payloads;
  };

  it('of 1 and of 64 octets comes back first, before the same payloads', () => {
    for (const octets of [1, 64]) {
      const payloads = obeyed(octets)!;
      expect(kinds(payloads).slice(0, 4)).toEqual([NOTIFY.COOKIE, 'SA', 'KE', 'Nonce']);
      expect(notifiesOf(payloads, NOTIFY.COOKIE)[0]!.data).toHaveLength(octets);
    }
  });

  it('of none and of 65 octets is not heeded', () => {
    expect(obeyed(0)).toBeUndefined();
    expect(obeyed(65)).toBeUndefined();
  });
});

describe('an error type that we do not know (§3.10.1)', () => {
  it('in an IKE_SA_INIT response means that the request has failed', () => {
    const both = new Dialogue({ a: GCM });
    both.initiate();
    const responder = new ScriptedResponder(both.a);
    const request = responder.take();
    const payloads = [...responder.initPayloads(), notify(UNKNOWN_ERROR)];
    responder.give(request, responder.initResponse(request, payloads));
    expect(both.a.outbox).toEqual([]);
    both.wait(3_000);
    expect(both.a.failures).toMatchObject([{ notify: `${UNKNOWN_ERROR}` }]);
    expect(both.a.isClean).toBe(true);
  });

  it('in an IKE_AUTH response means that there is no Child SA', () => {
    const both = new Dialogue({ a: GCM });
    both.initiate();
    const responder = new ScriptedResponder(both.a);
    responder.init();
    const request = responder.take();
    responder.answer(request, [...responder.authPayloads(request), notify(UNKNOWN_ERROR)]);
    expect(both.a.installed.size).toBe(0);
    expect(both.a.failures).toMatchObject([{ notify: `${UNKNOWN_ERROR}` }]);
  });

  it('in a request is ignored, and so is an unknown status type anywhere', () => {
    const both = new Dialogue({ a: GCM });
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const strange = [notify(UNKNOWN_ERROR), notify(40_959)];
    const [response] = peer.request(IKE_AUTH, 1, [...peer.authPayloads(), ...strange]);
    expect(kinds(response)).toEqual(['IDr', 'AUTH', 'SA', 'TSi', 'TSr']);
    expect(peer.request(INFORMATIONAL, 2, strange)).toEqual([[]]);
    const responder = new ScriptedResponder(both.a);
    both.initiate();
    responder.init();
    const request = responder.take();
    responder.answer(request, [...responder.authPayloads(request), notify(40_959)]);
    expect(both.a.installed.size).toBe(1);
  });
});

describe('INVALID_SYNTAX in a response (§2.21.3)', () => {
  it('ends the IKE SA without a Delete', () => {
    const both = new Dialogue({ a: { ...GCM, livenessSeconds: 10 } });
    both.initiate();
    const responder = new ScriptedResponder(both.a);
    responder.establish();
    expect(both.a.states).toEqual(['established']);
    both.wait(10_000);
    const request = responder.take();
    expect(request.payloads).toEqual([]);
    responder.answer(request, [notify(NOTIFY.INVALID_SYNTAX)]);
    expect(both.a.states).toEqual([]);
    expect(both.a.installed.size).toBe(0);
    expect(both.a.outbox).toEqual([]);
  });
});

describe('narrowing (§2.9)', () => {
  it('keeps the first selectors of the initiator where one of our policies has them', () => {
    const both = new Dialogue();
    const connection = connectionOf('b');
    const child = (name: string, network: string) => ({
      ...connection.children[0]!,
      name,
      localSelectors: [parseSelector(network)],
    });
    const children = [child('first', '10.2.0.0/16'), child('second', '10.3.0.0/16')];
    both.b.ike.setConnections([{ ...connection, children }]);
    const peer = new ScriptedPeer(both.b);
    peer.init();
    // TSr: the packet that was to be sent, then all that would be fine too.
    const tsr = ['10.3.0.5/32[tcp/80]', '10.0.0.0/8'].map((text) =>
      toWireSelector(parseSelector(text)),
    );
    const [idi, auth, sa, tsi] = peer.authPayloads();
    const payloads: Payload[] = [idi!, auth!, sa!, tsi!, { kind: 'TSr', selectors: tsr }];
    peer.request(IKE_AUTH, 1, payloads);
    const [installed] = both.b.installed.values();
    expect(installed!.policy).toBe('site/second');
    expect(installed!.localSelectors.map(formatSelector)).toEqual(['10.3.0.0/16']);
  });

  it('of ports and protocols never answers more than was offered', () => {
    const both = new Dialogue({ b: { localSelectors: ['10.2.0.0/16[tcp/80-90]'] } });
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const [idi, auth, sa, tsi] = peer.authPayloads();
    const selectors = [toWireSelector(parseSelector('10.2.0.0/16[tcp/85-100]'))];
    peer.request(IKE_AUTH, 1, [idi!, auth!, sa!, tsi!, { kind: 'TSr', selectors }]);
    const [installed] = both.b.installed.values();
    expect(installed!.localSelectors.map(formatSelector)).toEqual(['10.2.0.0/16[tcp/85-90]']);
  });

  it('refuses an answer with selectors beyond the offer, and deletes what was made', () => {
    const both = new Dialogue({ a: GCM });
    both.initiate();
    const responder = new ScriptedResponder(both.a);
    responder.init();
    const request = responder.take();
    const payloads = responder.authPayloads(request).map((payload) => {
      if (payload.kind !== 'TSr') return payload;
      return { ...payload, selectors: [toWireSelector(parseSelector('10.0.0.0/8'))] };
    });
    responder.answer(request, payloads);
    expect(both.a.installed.size).toBe(0);
    expect(kinds(responder.take().payloads)).toEqual(['D']);
    expect(both.a.states).toEqual(['established']);
  });
});

describe('INITIAL_CONTACT (§2.4, §3.10.1)', () => {
  it('is not said where another connection has an IKE SA between the same identities', () => {
    const both = new Dialogue();
    const other = { name: 'other', localSelectors: ['10.3.0.0/16'] };
    both.a.ike.setConnections([connectionOf('a'), connectionOf('a', other)]);
    both.initiate();
    both.settle();
    const responder = new ScriptedResponder(both.a);
    both.a.ike.setConnections([connectionOf('a'), connectionOf('a', { ...GCM, ...other })]);
    both.a.handle({ type: 'initiate', connection: 'other' });
    responder.init();
    expect(kinds(responder.take().payloads)).not.toContain(NOTIFY.INITIAL_CONTACT);
  });

  it('in IKE_SA_INIT, and in an IKE_AUTH that proves nothing, changes nothing', () => {
    const both = new Dialogue();
    both.establish();
    both.wait(1_000);
    const peer = new ScriptedPeer(both.b);
    peer.send(peer.initRequest([...peer.initPayloads(), notify(NOTIFY.INITIAL_CONTACT)]));
    peer.ni.fill(0x12);
    peer.init();
    const payloads = [...peer.authPayloads(undefined, 'not the key'), notify(16_384)];
    const [response] = peer.request(IKE_AUTH, 1, payloads);
    expect(kinds(response)).toEqual([NOTIFY.AUTHENTICATION_FAILED]);
    both.expectTunnel();
  });
});

describe('liveness (§2.4)', () => {
  it('is not put off by messages that are not authentic, or not new', () => {
    const both = new Dialogue({ a: { livenessSeconds: 10 } });
    both.initiate();
    both.deliver(both.a);
    both.deliver(both.b);
    both.deliver(both.a);
    const response = both.take(both.b);
    both.give(response);
    both.expectTunnel();
    for (let second = 1; second < 10; second++) {
      both.wait(1_000);
      both.give(response); // a replay
      const forged = response.data.slice();
      forged[19] = 0; // a request, with an ICV that does not hold
      both.give({ ...response, data: forged });
    }
    expect(both.a.outbox).toEqual([]);
    both.wait(1_000);
    expect(peekHeader(both.take(both.a).data)!.exchangeType).toBe(INFORMATIONAL);
  });

  it('gives a silent peer a dozen chances over more than three minutes', () => {
    const both = new Dialogue({ a: { livenessSeconds: 10 } });
    both.establish();
    let sent = 0;
    for (let second = 0; second < 185; second++) {
      both.wait(1_000);
      sent += both.a.outbox.splice(0).length;
      both.b.outbox.length = 0;
    }
    expect(sent).toBeGreaterThanOrEqual(12);
    expect(both.a.states).toEqual(['established']);
    both.wait(60_000);
    expect(both.a.states).toEqual([]);
  });
});

describe('message IDs (§2.2)', () => {
  it('go on after an exchange that was answered by an error', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const [idi, auth, sa, tsi] = peer.authPayloads();
    const selectors = [toWireSelector(parseSelector('172.16.0.0/12'))];
    const failing: Payload[] = [idi!, auth!, sa!, tsi!, { kind: 'TSr', selectors }];
    expect(peer.request(IKE_AUTH, 1, failing).map(kinds)).toEqual([
      ['IDr', 'AUTH', NOTIFY.TS_UNACCEPTABLE],
    ]);
    expect(peer.request(INFORMATIONAL, 1, [])).toEqual([]);
    expect(peer.request(INFORMATIONAL, 2, [])).toEqual([[]]);
  });
});

describe('NAT detection (§2.23)', () => {
  const spis = { initiatorSpi: '0102030405060708' as IkeSpi, responderSpi: ZERO_IKE_SPI };
  const here = { address: '192.0.2.1', port: 500 };
  const there = { address: '2001:db8::2', port: 500 };
  const elsewhere = { address: '203.0.113.9', port: 500 };
  const destination = natDetection(spis, there, here, undefined)[1]!;
  const source = (address: typeof here) => natDetection(spis, address, here, undefined)[0]!;

  it('is content with one right source hash among several', () => {
    const several = [source(elsewhere), source(there), destination];
    expect(detectNat(several, spis, here, there)).toMatchObject({ remote: false, local: false });
  });

  it('sees the NAT where none of several source hashes is right', () => {
    const several = [source(elsewhere), source(here), destination];
    expect(detectNat(several, spis, here, there)).toMatchObject({ remote: true, local: false });
  });
});

describe('the IVs of one IKE SA (§3.14, RFC 5282 §3.1)', () => {
  it('differ in all messages of one direction, but for retransmissions, which are the same', () => {
    const both = new Dialogue({ a: { livenessSeconds: 1 }, b: { livenessSeconds: 2 } });
    const messages: { from: string; data: Uint8Array }[] = [];
    const note = (from: string, data: Uint8Array) => messages.push({ from, data });
    both.initiate();
    for (let step = 0; step < 400; step++) {
      both.wait(100);
      for (const peer of [both.a, both.b]) {
        for (const datagram of peer.outbox.splice(0)) {
          note(peer.name, datagram.data);
          if (step % 3 === 0) continue; // lost
          both.give(datagram);
          both.give(datagram);
        }
      }
    }
    both.expectTunnel();
    const seen = new Map<string, string>();
    let sealed = 0;
    for (const { from, data } of messages) {
      const part = encryptedPart(data, decodeMessage(data));
      if (part === undefined) continue;
      sealed++;
      const iv = `${from} ${Buffer.from(data.subarray(part.bodyAt, part.bodyAt + 8)).toString('hex')}`;
      const whole = Buffer.from(data).toString('hex');
      expect(seen.get(iv) ?? whole).toBe(whole);
      seen.set(iv, whole);
    }
    expect(sealed).toBeGreaterThan(seen.size + 5); // there were retransmissions
    expect(seen.size).toBeGreaterThan(20);
  });
});
