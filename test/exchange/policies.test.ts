/**
 * What a peer may ask for and is not done, or done by policy alone: other gateways (RFC 5685),
 * certificates from places of its choice (RFC 7296 §3.6), authentication anew (RFC 4478).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CERT_ENCODING,
  decodeMessage,
  EXCHANGE,
  NOTIFY,
  type Payload,
} from '../../src/wire/index.js';
import { Authorities } from '../authorities.js';
import { Dialogue } from './harness/dialogue.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const GCM = { ike: ['aes128gcm16-prfsha256-x25519'] };
const { IKE_AUTH, IKE_SA_INIT, INFORMATIONAL } = EXCHANGE;
const { AUTH_LIFETIME, HTTP_CERT_LOOKUP_SUPPORTED, REDIRECT, REDIRECT_SUPPORTED } = NOTIFY;

function initiated() {
  const both = new Dialogue({ a: GCM });
  both.initiate();
  return { both, a: both.a, responder: new ScriptedResponder(both.a) };
}

describe('REDIRECT (RFC 5685)', () => {
  const to = (type: number, ...identity: number[]): Payload =>
    notify(REDIRECT, Uint8Array.of(type, identity.length, ...identity, ...new Uint8Array(32)));

  it.each([
    ['an IPv4 address', to(1, 203, 0, 113, 9), '203.0.113.9'],
    ['an IPv6 address', to(2, 0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), 9), '2001:db8::9'],
    ['a name', to(3, ...Buffer.from('gw.example.org')), 'gw.example.org'],
    ['a name that is none', to(3, 27, 91, 50, 74), 'another gateway'],
    ['nothing', notify(REDIRECT), 'another gateway'],
  ])('in an IKE_SA_INIT response, to %s: we do not go there, and say so', (_, redirect, place) => {
    const { both, a, responder } = initiated();
    const request = responder.take();
    expect(kinds(request.payloads)).not.toContain(REDIRECT_SUPPORTED);
    responder.give(request, responder.initResponse(request, [redirect]));
    expect(a.ike.drops()).toEqual({ 'ike-redirect': 1 });
    // Nobody has authenticated it: for a moment a better answer may come (RFC 7296 §2.21.1).
    expect(a.states).toEqual(['connecting']);
    both.wait(3_000);
    expect(a.failures).toMatchObject([{ notify: 'REDIRECT' }]);
    expect(a.failures[0]!.explanation).toContain(`redirects us to ${place},`);
    expect(a.isClean).toBe(true);
  });

  it('in the place of a Child SA in IKE_AUTH is told as the reason', () => {
    const { a, responder } = initiated();
    responder.init();
    const request = responder.take();
    const [idr, auth] = responder.authPayloads(request);
    responder.answer(request, [idr!, auth!, to(1, 203, 0, 113, 9)]);
    expect(a.failures).toMatchObject([{ notify: 'REDIRECT', child: 'net' }]);
  });

  it('of an IKE SA that is there is answered by nothing, and all stays', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.establish();
    expect(peer.request(INFORMATIONAL, 2, [to(1, 203, 0, 113, 9)])).toEqual([[]]);
    expect(b.states).toEqual(['established']);
    expect(b.ike.drops()).toEqual({ 'ike-redirect': 1 });
    expect(b.log.join('\n')).toContain('warn the peer redirects us to 203.0.113.9');
  });
});

describe('certificates by hash and URL (RFC 7296 §3.6)', () => {
  const pki = new Authorities();
  beforeAll(() => {
    pki.make('root', { ca: true });
  });
  afterAll(() => pki.remove());

  it.each([
    ['HASH_AND_URL_X509', CERT_ENCODING.HASH_AND_URL_X509],
    ['HASH_AND_URL_X509_BUNDLE', CERT_ENCODING.HASH_AND_URL_X509_BUNDLE],
  ])('are not asked for and not fetched: %s', (name, encoding) => {
    const { b } = new Dialogue({ b: { remote: pki.trust(['root']) } });
    const peer = new ScriptedPeer(b);
    const [first] = peer.send(peer.initRequest());
    expect(kinds(decodeMessage(first!).payloads)).not.toContain(HTTP_CERT_LOOKUP_SUPPORTED);
    const dialogue = new Dialogue({ b: { remote: pki.trust(['root']) } });
    const other = new ScriptedPeer(dialogue.b);
    other.init();
    const url = Buffer.from('http://192.0.2.66/certificate.der');
    const data = Uint8Array.of(...new Uint8Array(20), ...url);
    const [idi, auth, ...child] = other.authPayloads();
    const signed = { ...auth, method: 14 } as Payload;
    const cert: Payload = { kind: 'CERT', encoding, data };
    const answer = other.request(IKE_AUTH, 1, [idi!, cert, signed, ...child]);
    expect(answer.map(kinds)).toEqual([[NOTIFY.AUTHENTICATION_FAILED]]);
    expect(dialogue.b.failures.at(-1)!.explanation).toBe(
      `the peer has sent ${name} and no X509_SIGNATURE certificate`,
    );
  });
});

describe('AUTH_LIFETIME (RFC 4478)', () => {
  const lifetime = (seconds: number) => {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setUint32(0, seconds);
    return notify(AUTH_LIFETIME, data);
  };

  it('is said by a responder that has one, and renewed by the initiator before it ends', () => {
    const both = Dialogue.established({ b: { reauthSeconds: 3_600 } });
    expect(both.b.log.join('\n')).toMatch(/IKE_AUTH response 1 ->.*N\(AUTH_LIFETIME\)/);
    const [before] = both.a.ike.ikeSas();
    both.wait(2_800_000);
    expect(both.a.outbox).toEqual([]);
    expect(both.waitToSend(both.a, 440_000)).toBe(true);
    expect(both.b.outbox).toEqual([]);
    both.settleFlowing();
    both.wait(10_000);
    both.settle();
    both.expectTunnel();
    expect(both.a.ike.ikeSas()[0]!.initiatorSpi).not.toBe(before!.initiatorSpi);
  });

  it('is not said without one', () => {
    const both = Dialogue.established();
    expect(both.b.log.join('\n')).not.toContain('AUTH_LIFETIME');
  });

  it('counts on an IKE SA that was rekeyed, from the beginning', () => {
    const both = Dialogue.established({ b: { reauthSeconds: 3_600 } });
    both.wait(1_800_000);
    both.rekey(both.a, 'ike');
    both.settle();
    both.wait(1_000_000);
    expect(both.a.outbox).toEqual([]);
    both.wait(440_000);
    expect(both.a.outbox.length).toBeGreaterThan(0);
  });

  it('may come later, and anew', () => {
    const { both, a, responder } = initiated();
    responder.establish();
    responder.request(INFORMATIONAL, 0, [lifetime(1_000)]);
    responder.request(INFORMATIONAL, 1, [lifetime(2_000)]);
    expect(a.outbox.splice(0)).toHaveLength(2);
    both.wait(1_600_000);
    expect(a.outbox).toEqual([]);
    both.wait(220_000);
    const { header } = decodeMessage(a.outbox[0]!.data);
    expect(header.exchangeType).toBe(IKE_SA_INIT);
  });

  it.each([
    ['nothing', new Uint8Array(0)],
    ['three octets', new Uint8Array(3)],
    ['a hundred years', Uint8Array.of(0xbb, 0xbb, 0xbb, 0xbb)],
  ])('of %s is passed over', (_, data) => {
    const { both, a, responder } = initiated();
    responder.establish();
    responder.request(INFORMATIONAL, 0, [notify(AUTH_LIFETIME, data)]);
    a.outbox.splice(0);
    both.wait(3_000_000);
    expect(a.outbox).toEqual([]);
  });

  it('of a second does not keep us busy', () => {
    const { both, a, responder } = initiated();
    responder.establish();
    responder.request(INFORMATIONAL, 0, [lifetime(1)]);
    a.outbox.splice(0);
    both.wait(26_000);
    expect(a.outbox).toEqual([]);
  });
});
