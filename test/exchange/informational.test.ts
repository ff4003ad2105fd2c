/** Deletes, liveness, and what an established IKE SA says to all else (RFC 7296 §1.4, §2.4, §2.21). */
import { describe, expect, it } from 'vitest';
import { EXCHANGE, encodeMessage, NOTIFY, type Payload, PROTOCOL } from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';

const { CREATE_CHILD_SA, INFORMATIONAL } = EXCHANGE;

describe('Delete of the IKE SA (§1.4.1)', () => {
  it('by the initiator closes both sides with their Child SAs', () => {
    const both = new Dialogue();
    both.establish();
    both.a.handle({ type: 'terminate', connection: 'site' });
    expect(both.a.states).toEqual(['deleting']);
    expect(both.a.installed.size).toBe(0);
    // a -> b  HDR, SK {D}
    expect(both.deliver(both.a)).toBe('INFORMATIONAL request 2');
    expect(both.b.states).toEqual([]);
    expect(both.b.installed.size).toBe(0);
    // a <- b  HDR, SK {}
    expect(both.deliver(both.b)).toBe('INFORMATIONAL response 2');
    expect(both.a.isClean).toBe(true);
    expect(both.a.closed).toMatchObject([{ connection: 'site', reason: 'deleted by us' }]);
    expect(both.b.closed).toMatchObject([{ connection: 'site', reason: 'deleted by the peer' }]);
    both.wait(60_000);
    expect(both.b.isClean).toBe(true);
  });

  it('by the responder does the same', () => {
    const both = new Dialogue();
    both.establish();
    both.b.handle({ type: 'terminate', connection: 'site' });
    expect(both.settle()).toEqual(['b INFORMATIONAL request 0', 'a INFORMATIONAL response 0']);
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });

  it('is answered again after the IKE SA is gone, where the response was lost', () => {
    const both = new Dialogue();
    both.establish();
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.deliver(both.a);
    const lost = both.take(both.b);
    expect(both.b.states).toEqual([]);
    both.wait(600);
    both.deliver(both.a); // again
    const again = both.take(both.b);
    expect(again.data).toEqual(lost.data);
    both.give(again);
    expect(both.a.isClean).toBe(true);
  });

  it('from both sides at once ends on both', () => {
    const both = new Dialogue();
    both.establish();
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.b.handle({ type: 'terminate', connection: 'site' });
    both.settle();
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });

  it('waits until a request that is on its way has its answer (§2.3)', () => {
    const both = new Dialogue({ a: { livenessSeconds: 10 } });
    both.establish();
    both.wait(10_000);
    both.a.handle({ type: 'terminate', connection: 'site' });
    expect(both.a.outbox).toHaveLength(1); // the liveness check
    expect(both.settle()).toEqual([
      'a INFORMATIONAL request 2',
      'b INFORMATIONAL response 2',
      'a INFORMATIONAL request 3',
      'b INFORMATIONAL response 3',
    ]);
    expect(both.a.states).toEqual([]);
  });

  it('of an attempt under way takes effect when that is established', () => {
    const both = new Dialogue();
    both.initiate();
    both.deliver(both.a);
    both.deliver(both.b);
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.settle();
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });
});

describe('Delete of a Child SA (§1.4.1)', () => {
  it('removes the pair and answers with our SPI; the IKE SA stays', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.establish();
    const [child] = both.b.installed.values();
    const del: Payload = { kind: 'D', protocolId: PROTOCOL.ESP, spis: [peer.outboundSpi] };
    const spi = new Uint8Array(4);
    new DataView(spi.buffer).setUint32(0, child!.inboundSpi);
    expect(peer.request(INFORMATIONAL, 2, [del])).toEqual([
      [{ kind: 'D', protocolId: PROTOCOL.ESP, spis: [spi] }],
    ]);
    expect(both.b.installed.size).toBe(0);
    expect(both.b.states).toEqual(['established']);
    // Once more, and of one that never was: nothing to answer.
    expect(peer.request(INFORMATIONAL, 3, [del])).toEqual([[]]);
  });
});

describe('liveness (§2.4)', () => {
  it('is checked after silence only, and a peer that answers stays', () => {
    const both = new Dialogue({ a: { livenessSeconds: 30 } });
    both.establish();
    both.wait(26_900); // up to a tenth sooner than configured, by chance
    expect(both.a.outbox).toEqual([]);
    expect(both.waitToSend(both.a, 3_100)).toBe(true);
    expect(both.settle()).toEqual(['a INFORMATIONAL request 2', 'b INFORMATIONAL response 2']);
    both.wait(26_900);
    expect(both.a.outbox).toEqual([]);
    both.expectTunnel();
  });

  it('ends all SAs with a peer that does not answer any more', () => {
    const both = new Dialogue({ a: { livenessSeconds: 30 } });
    both.establish();
    both.wait(600_000);
    expect(both.a.states).toEqual([]);
    expect(both.a.isClean).toBe(true);
    expect(both.a.failures).toMatchObject([{ notify: 'no answer' }]);
    expect(both.a.failures[0]!.explanation).toContain('INFORMATIONAL request 2, sent 13 times');
    expect(both.a.closed).toHaveLength(1);
  });

  it('of the peer is answered', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.establish();
    expect(peer.request(INFORMATIONAL, 2, [])).toEqual([[]]);
  });
});

describe('an established IKE SA', () => {
  const established = () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.establish();
    return { b: both.b, peer };
  };

  it('answers CREATE_CHILD_SA by NO_ADDITIONAL_SAS where there are enough (§1.3, §4)', () => {
    const both = new Dialogue({ optionsB: { maxChildSasPerIkeSa: 2 } });
    const peer = new ScriptedPeer(both.b);
    peer.establish();
    const [, , sa, tsi, tsr] = peer.authPayloads();
    const payloads: Payload[] = [sa!, { kind: 'Nonce', data: new Uint8Array(32) }, tsi!, tsr!];
    expect(peer.request(CREATE_CHILD_SA, 2, payloads).map(kinds)).toEqual([
      ['SA', 'Nonce', 'TSi', 'TSr'],
    ]);
    expect(peer.request(CREATE_CHILD_SA, 3, payloads).map(kinds)).toEqual([
      [NOTIFY.NO_ADDITIONAL_SAS],
    ]);
    expect(both.b.states).toEqual(['established']);
    expect(both.b.installed.size).toBe(2);
  });

  it('answers an unknown critical payload and stays (§2.5)', () => {
    const { b, peer } = established();
    const unknown = (critical: boolean): Payload => ({
      kind: 'unknown',
      type: 199,
      critical,
      body: new Uint8Array(2),
    });
    expect(peer.request(INFORMATIONAL, 2, [unknown(true)]).map(kinds)).toEqual([
      [NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD],
    ]);
    expect(peer.request(INFORMATIONAL, 3, [unknown(false)])).toEqual([[]]);
    expect(b.states).toEqual(['established']);
  });

  it.each([
    ['nothing', []],
    ['payloads of others', [notify(NOTIFY.INITIAL_CONTACT)]],
  ])('refuses an exchange that it does not know, with %s in it, and stays', (_, payloads) => {
    const { b, peer } = established();
    for (const [n, type] of [99, EXCHANGE.GSA_AUTH].entries()) {
      expect(peer.request(type, 2 + n, payloads).map(kinds)).toEqual([[NOTIFY.NO_PROPOSAL_CHOSEN]]);
    }
    expect(b.ike.drops()).toEqual({ 'ike-unknown-exchange': 2 });
    expect(peer.request(INFORMATIONAL, 4, [])).toEqual([[]]);
    expect(b.states).toEqual(['established']);
  });

  it('ends at an authentic request that does not decode, on both sides (§2.21.3)', () => {
    const { b, peer } = established();
    const ke: Payload = { kind: 'KE', method: 31, data: new Uint8Array(32) };
    expect(peer.request(INFORMATIONAL, 2, [ke]).map(kinds)).toEqual([[NOTIFY.INVALID_SYNTAX]]);
    expect(b.states).toEqual([]);
    expect(b.installed.size).toBe(0);
  });

  it('ends when the peer notifies of AUTHENTICATION_FAILED (§2.21.2)', () => {
    const { b, peer } = established();
    expect(peer.request(INFORMATIONAL, 2, [notify(NOTIFY.AUTHENTICATION_FAILED)])).toEqual([[]]);
    expect(b.states).toEqual([]);
  });

  it('ignores requests outside the window, and does not process one twice (§2.3)', () => {
    const { b, peer } = established();
    expect(peer.request(INFORMATIONAL, 4, [])).toEqual([]);
    const del: Payload = { kind: 'D', protocolId: PROTOCOL.ESP, spis: [peer.outboundSpi] };
    const request = peer.seal(INFORMATIONAL, 2, [del]);
    const [first] = peer.send(request);
    const removed = b.log.filter((line) => line.includes('removed')).length;
    expect(peer.send(request)).toEqual([first]);
    expect(b.log.filter((line) => line.includes('removed'))).toHaveLength(removed);
    // Another message under the same ID is no retransmission.
    expect(peer.request(INFORMATIONAL, 2, [])).toEqual([]);
    expect(peer.request(INFORMATIONAL, 1, [])).toEqual([]);
    expect(peer.request(INFORMATIONAL, 3, [])).toEqual([[]]);
  });

  it('is not changed by anything in clear, which makes a liveness check at most (§2.21.4)', () => {
    const both = new Dialogue();
    both.establish();
    const [view] = both.a.ike.ikeSas();
    const forged = (exchangeType: number, response: boolean, payloads: Payload[]) =>
      both.give({
        type: 'send',
        marker: false,
        local: { address: '192.0.2.2', port: 500 },
        remote: { address: '192.0.2.1', port: 500 },
        data: encodeMessage({
          header: {
            initiatorSpi: view!.initiatorSpi,
            responderSpi: view!.responderSpi,
            exchangeType,
            response,
            initiator: false,
            messageId: response ? 2 : 0,
          },
          payloads,
        }),
      });
    forged(INFORMATIONAL, false, [{ kind: 'D', protocolId: PROTOCOL.IKE, spis: [] }]);
    forged(INFORMATIONAL, false, [notify(NOTIFY.AUTHENTICATION_FAILED)]);
    expect(both.a.outbox).toEqual([]);
    for (let i = 0; i < 20; i++) forged(INFORMATIONAL, true, [notify(NOTIFY.INVALID_IKE_SPI)]);
    expect(both.settle()).toEqual(['a INFORMATIONAL request 2', 'b INFORMATIONAL response 2']);
    forged(INFORMATIONAL, true, [notify(NOTIFY.INVALID_IKE_SPI)]);
    expect(both.a.outbox).toEqual([]); // not again so soon
    both.expectTunnel();
  });
});

describe('a message for an IKE SA that we do not have (§2.21.4)', () => {
  it('is answered INVALID_IKE_SPI in clear, a response is not', () => {
    const both = new Dialogue();
    both.establish();
    both.b.ike.handle({ type: 'superseded', at: 0, ikeSpi: both.b.ike.ikeSas()[0]!.responderSpi });
    const other = new Dialogue();
    both.a.handle({ type: 'terminate', connection: 'site' });
    const request = both.take(both.a);
    other.b.handle({
      type: 'datagram',
      local: request.remote,
      remote: request.local,
      data: request.data,
    });
    expect(other.b.outbox).toHaveLength(1);
    const answer = other.b.outbox[0]!.data;
    expect(answer[19]! & 0x20).toBe(0x20);
    // Given to the other side it is a stray, and nobody answers it in turn.
    other.a.handle({
      type: 'datagram',
      local: request.local,
      remote: request.remote,
      data: answer,
    });
    expect(other.a.outbox).toEqual([]);
  });
});
