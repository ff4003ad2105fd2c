/**
 * What becomes of messages that do not decode, or have a payload that is unknown and critical
 * (RFC 7296 §2.5, §2.21, §3.2): in each exchange, in either role, inside of the encrypted payload
 * and before it.
 */
import { describe, expect, it } from 'vitest';
import {
  EXCHANGE,
  encodeMessage,
  NOTIFY,
  PAYLOAD,
  type Payload,
  PROTOCOL,
} from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import type { Peer } from './harness/peer.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const { CREATE_CHILD_SA, IKE_AUTH, IKE_FOLLOWUP_KE, IKE_INTERMEDIATE, IKE_SA_INIT, INFORMATIONAL } =
  EXCHANGE;
const { INVALID_SYNTAX, UNSUPPORTED_CRITICAL_PAYLOAD } = NOTIFY;
const GCM = { ike: ['aes128gcm16-prfsha256-x25519'] };
const EMPTY_PADDED = { firstType: 0, padded: new Uint8Array(1) };

const unknown = (critical: boolean): Payload => ({
  kind: 'unknown',
  type: 199,
  critical,
  body: new Uint8Array(2),
});
/** What no exchange but IKE_SA_INIT and IKE_AUTH has. */
const MISPLACED: Payload = { kind: 'CERTREQ', encoding: 4, authorities: new Uint8Array(0) };

function scripted(established = true) {
  const { b } = new Dialogue();
  const peer = new ScriptedPeer(b);
  if (established) peer.establish();
  else peer.init();
  return { b, peer };
}

/** The refusals among what the gateway has sent, with their data. */
function refusals(answers: readonly (readonly Payload[])[]) {
  return answers.map((payloads) =>
    payloads.map((one) => (one.kind === 'N' ? [one.notifyType, ...one.data] : one.kind)),
  );
}

describe('a request with an unknown critical payload', () => {
  const EXCHANGES = [
    ['CREATE_CHILD_SA', CREATE_CHILD_SA],
    ['INFORMATIONAL', INFORMATIONAL],
    ['IKE_FOLLOWUP_KE', IKE_FOLLOWUP_KE],
  ] as const;

  it.each(EXCHANGES)(
    'of %s is refused by the type of the payload, and all stays',
    (_, exchange) => {
      const { b, peer } = scripted();
      const answers = peer.request(exchange, 2, [unknown(true)]);
      expect(refusals(answers)).toEqual([[[UNSUPPORTED_CRITICAL_PAYLOAD, 199]]]);
      expect(b.states).toEqual(['established']);
      expect(b.installed.size).toBe(1);
      expect(b.ike.drops()).toEqual({ 'ike-critical-payload': 1 });
      // §2.5: an unknown payload that is not critical is passed over.
      expect(peer.request(INFORMATIONAL, 3, [unknown(false)])).toEqual([[]]);
    },
  );

  it.each(EXCHANGES)('of %s before the encrypted payload is refused alike', (_, exchange) => {
    const { b, peer } = scripted();
    const request = peer.sealRaw(exchange, 2, [unknown(true)], EMPTY_PADDED);
    const [answer] = peer.send(request);
    expect(refusals([peer.open(answer!)])).toEqual([[[UNSUPPORTED_CRITICAL_PAYLOAD, 199]]]);
    // It has used up its message ID: the same again is answered by the same.
    expect(peer.send(request)).toEqual([answer]);
    expect(b.states).toEqual(['established']);
    const harmless = peer.sealRaw(INFORMATIONAL, 3, [unknown(false)], EMPTY_PADDED);
    expect(peer.send(harmless).map((data) => peer.open(data))).toEqual([[]]);
  });

  it('whose ICV does not hold is dropped', () => {
    const { b, peer } = scripted();
    const request = peer.sealRaw(INFORMATIONAL, 2, [unknown(true)], EMPTY_PADDED);
    request[request.length - 1]! ^= 1;
    expect(peer.send(request)).toEqual([]);
    expect(b.ike.drops()).toEqual({ 'ike-not-authentic': 1 });
    expect(peer.request(INFORMATIONAL, 2, [])).toEqual([[]]);
  });

  it('of IKE_AUTH is refused, and ends what has not proved itself (§2.21.2)', () => {
    const { b, peer } = scripted(false);
    const answers = peer.request(IKE_AUTH, 1, [...peer.authPayloads(), unknown(true)]);
    expect(refusals(answers)).toEqual([[[UNSUPPORTED_CRITICAL_PAYLOAD, 199]]]);
    expect(b.states).toEqual([]);
    expect(b.established).toEqual([]);
  });

  it('of IKE_INTERMEDIATE ends what has not proved itself', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init([...peer.initPayloads(), notify(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED)]);
    const answers = peer.request(IKE_INTERMEDIATE, 1, [unknown(true)]);
    expect(refusals(answers)).toEqual([[[UNSUPPORTED_CRITICAL_PAYLOAD, 199]]]);
    expect(b.states).toEqual([]);
    expect(b.ike.drops()).toEqual({ 'ike-critical-payload': 1 });
  });

  it('of IKE_SA_INIT is refused in clear, and leaves nothing behind', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    const [answer] = peer.send(peer.initRequest([...peer.initPayloads(), unknown(true)]));
    expect([...answer!.subarray(-1)]).toEqual([199]);
    expect(b.isClean).toBe(true);
    expect(b.ike.drops()).toEqual({ 'ike-critical-payload': 1 });
  });
});

describe('an authentic request that does not decode (§2.21.3)', () => {
  it.each([
    ['CREATE_CHILD_SA without SA', CREATE_CHILD_SA, [{ kind: 'Nonce', data: new Uint8Array(32) }]],
    ['INFORMATIONAL with a CERTREQ', INFORMATIONAL, [MISPLACED]],
    ['IKE_FOLLOWUP_KE without KE', IKE_FOLLOWUP_KE, []],
  ] as const)('%s ends the IKE SA on both sides, without a Delete', (_, exchange, payloads) => {
    const { b, peer } = scripted();
    expect(peer.request(exchange, 2, payloads).map(kinds)).toEqual([[INVALID_SYNTAX]]);
    expect(b.states).toEqual([]);
    expect(b.installed.size).toBe(0);
    expect(b.outbox).toEqual([]);
    expect(b.failures).toMatchObject([{ connection: 'site', notify: 'INVALID_SYNTAX' }]);
    expect(b.ike.drops()).toEqual({ 'ike-invalid-syntax': 1 });
  });

  it.each([
    ['longer than the plaintext', 0, Uint8Array.of(0, 9)],
    ['that leaves half a payload', PAYLOAD.N, Uint8Array.of(0, 0, 0, 8, 0, 0, 0)],
  ])('with padding %s is answered INVALID_SYNTAX too', (_, firstType, padded) => {
    const { b, peer } = scripted();
    const [answer] = peer.send(peer.sealRaw(INFORMATIONAL, 2, [], { firstType, padded }));
    expect(kinds(peer.open(answer!))).toEqual([INVALID_SYNTAX]);
    expect(b.states).toEqual([]);
  });

  it('IKE_AUTH without AUTH and IDi ends what has not proved itself; no connection is blamed', () => {
    const { b, peer } = scripted(false);
    expect(peer.request(IKE_AUTH, 1, [MISPLACED]).map(kinds)).toEqual([[INVALID_SYNTAX]]);
    expect(b.states).toEqual([]);
    expect(b.failures.filter(({ connection }) => connection !== undefined)).toEqual([]);
  });
});

describe('a response that does not decode, or has an unknown critical payload', () => {
  function initiated() {
    const { a } = new Dialogue({ a: { ...GCM, livenessSeconds: 10 } });
    a.handle({ type: 'initiate', connection: 'site' });
    return { a, responder: new ScriptedResponder(a) };
  }

  /** The gateway takes the IKE SA down, and tells the peer. */
  function expectDelete(a: Peer, responder: ScriptedResponder, messageId: number) {
    expect(a.states).toEqual(['deleting']);
    expect(a.installed.size).toBe(0);
    expect(a.failures).toMatchObject([{ connection: 'site', notify: 'INVALID_SYNTAX' }]);
    expect(a.ike.drops()).toEqual({ 'ike-bad-response': 1 });
    // a -> b  HDR, SK {D}
    const request = responder.take();
    expect(request).toMatchObject({ exchangeType: INFORMATIONAL, messageId });
    expect(request.payloads).toEqual([{ kind: 'D', protocolId: PROTOCOL.IKE, spis: [] }]);
    responder.answer(request, []);
    expect(a.states).toEqual([]);
    expect([a.reserved.size, a.jobs.length]).toEqual([0, 0]);
  }

  it.each([
    ['an unknown critical payload', [unknown(true)]],
    ['half of what it should have', [MISPLACED]],
  ])('to IKE_SA_INIT, with %s, is passed over: a better one may come (§2.21.1)', (_, payloads) => {
    const { a, responder } = initiated();
    const request = responder.take();
    responder.give(request, responder.initResponse(request, payloads));
    expect(a.states).toEqual(['connecting']);
    expect(a.ike.drops()).toEqual({ 'ike-bad-response': 1 });
    a.outbox.unshift(request.datagram);
    responder.establish();
    expect(a.states).toEqual(['established']);
  });

  it.each([
    ['an unknown critical payload', [unknown(true)]],
    ['half of what it should have', [MISPLACED]],
  ])('to IKE_AUTH, with %s, is answered by a Delete', (_, payloads) => {
    const { a, responder } = initiated();
    responder.init();
    responder.answer(responder.take(), payloads);
    expectDelete(a, responder, 2);
    expect(a.established).toEqual([]);
  });

  it.each([
    ['child', CREATE_CHILD_SA, [unknown(true)]],
    ['child', CREATE_CHILD_SA, [MISPLACED]],
    ['ike', CREATE_CHILD_SA, [unknown(true)]],
    ['ike', CREATE_CHILD_SA, [MISPLACED]],
  ] as const)(
    'to a rekeying (%s) takes the IKE SA down by a Delete',
    (what, exchange, payloads) => {
      const { a, responder } = initiated();
      responder.establish();
      a.handle({ type: 'rekey', connection: 'site', what });
      const request = responder.take();
      expect(request.exchangeType).toBe(exchange);
      responder.answer(request, payloads);
      expectDelete(a, responder, 3);
    },
  );

  it('to a liveness check does the same', () => {
    const dialogue = new Dialogue({ a: { ...GCM, livenessSeconds: 10 } });
    dialogue.initiate();
    const responder = new ScriptedResponder(dialogue.a);
    responder.establish();
    dialogue.wait(10_000);
    responder.answer(responder.take(), [unknown(true)]);
    expectDelete(dialogue.a, responder, 3);
  });

  it('to a Delete ends the IKE SA', () => {
    const { a, responder } = initiated();
    responder.establish();
    a.handle({ type: 'terminate', connection: 'site' });
    responder.answer(responder.take(), [unknown(true)]);
    expect(a.states).toEqual([]);
  });

  it.each(['child', 'ike'] as const)(
    'INVALID_SYNTAX to a rekeying (%s) ends it without a Delete: the peer has ended it (§2.21.3)',
    (what) => {
      const { a, responder } = initiated();
      responder.establish();
      a.handle({ type: 'rekey', connection: 'site', what });
      responder.answer(responder.take(), [notify(INVALID_SYNTAX)]);
      expect(a.states).toEqual([]);
      expect(a.outbox).toEqual([]);
      expect(a.failures).toMatchObject([{ notify: 'INVALID_SYNTAX' }]);
    },
  );
});

describe('what is in clear', () => {
  it('for an IKE SA with keys is counted, and changes nothing', () => {
    const { b, peer } = scripted();
    const forged = encodeMessage({
      header: peer.header(INFORMATIONAL, 2),
      payloads: [unknown(true)],
    });
    expect(peer.send(forged)).toEqual([]);
    expect(b.ike.drops()).toEqual({ 'ike-not-authentic': 1 });
    expect(b.states).toEqual(['established']);
  });

  it('and does not decode is answered INVALID_SYNTAX, where it begins an IKE SA', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    const header = peer.header(IKE_SA_INIT, 0);
    const [answer] = peer.send(encodeMessage({ header, payloads: [MISPLACED] }));
    expect(answer![19]! & 0x20).toBe(0x20);
    expect(b.ike.drops()).toEqual({ 'ike-invalid-syntax': 1 });
    expect(b.isClean).toBe(true);
  });
});
