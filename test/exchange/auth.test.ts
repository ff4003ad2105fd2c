/** What may go wrong in IKE_AUTH (RFC 7296 §1.2, §2.9, §2.15, §2.21.2), and what stays. */
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  formatSelector,
  NOTIFY,
  type Payload,
} from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import { kinds, ScriptedPeer } from './harness/scripted-peer.js';

const { IKE_AUTH, INFORMATIONAL } = EXCHANGE;

describe('AUTHENTICATION_FAILED', () => {
  it('is the end on both sides where the keys differ', () => {
    const both = new Dialogue({ a: { psk: 'another' } });
    both.initiate();
    both.settle();
    expect([both.a.states, both.b.states]).toEqual([[], []]);
    expect(both.a.failures).toMatchObject([
      { connection: 'site', notify: 'AUTHENTICATION_FAILED' },
    ]);
    expect(both.a.failures[0]!.explanation).toContain("peer's: b.example.org");
    expect(both.b.failures[0]!.explanation).toContain('the pre-shared keys differ');
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });

  it('is the answer to an identity that no connection has, in either payload', () => {
    const stranger = new Dialogue({ a: { localId: 'c.example.org' } });
    stranger.initiate();
    stranger.settle();
    expect(stranger.b.failures[0]!.explanation).toContain('c.example.org');
    const mistaken = new Dialogue({ a: { remoteId: 'c.example.org' } });
    mistaken.initiate();
    mistaken.settle();
    expect([mistaken.a.states, mistaken.b.states]).toEqual([[], []]);
  });

  it('is told to a responder whose AUTH is refused, in an exchange of its own (§2.21.2)', () => {
    const both = new Dialogue();
    both.initiate();
    both.deliver(both.a);
    // On its way the IKE_SA_INIT response is changed: what b signs is not what a has seen.
    const response = both.take(both.b);
    const { header, payloads } = decodeMessage(response.data);
    const vendor: Payload = { kind: 'V', data: Uint8Array.of(1) };
    both.give({ ...response, data: encodeMessage({ header, payloads: [...payloads, vendor] }) });
    // a -> b  IKE_AUTH request, which is good;  a <- b  its response, whose AUTH is not
    both.deliver(both.a);
    expect(both.b.states).toEqual(['established']);
    both.deliver(both.b);
    expect(both.a.failures).toMatchObject([{ notify: 'AUTHENTICATION_FAILED' }]);
    expect(both.a.installed.size).toBe(0);
    // a -> b  HDR, SK {N(AUTHENTICATION_FAILED)}
    expect(both.deliver(both.a)).toBe('INFORMATIONAL request 2');
    expect(both.b.states).toEqual([]);
    expect(both.b.installed.size).toBe(0);
    both.settle();
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });

  it('answers a peer that wants EAP, or another method', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const eap = peer.authPayloads().filter(({ kind }) => kind !== 'AUTH');
    const [response] = peer.request(IKE_AUTH, 1, eap);
    expect(kinds(response)).toEqual([NOTIFY.AUTHENTICATION_FAILED]);
    const other = new ScriptedPeer(both.b);
    other.ni.fill(9);
    other.init();
    const signed = other
      .authPayloads()
      .map((payload) => (payload.kind === 'AUTH' ? { ...payload, method: 1 } : payload));
    expect(kinds(other.request(IKE_AUTH, 1, signed)[0])).toEqual([NOTIFY.AUTHENTICATION_FAILED]);
  });
});

describe('an IKE_AUTH that is not authentic', () => {
  it('changes nothing, and the real one after it is taken', () => {
    const both = new Dialogue();
    both.initiate();
    both.deliver(both.a);
    both.deliver(both.b);
    const real = both.take(both.a);
    const forged = real.data.slice();
    forged[forged.length - 1]! ^= 1;
    both.give({ ...real, data: forged });
    expect(both.b.outbox).toEqual([]);
    expect(both.b.states).toEqual([]);
    both.give(real);
    both.settle();
    both.expectTunnel();
  });

  it('in clear is ignored on both sides', () => {
    const both = new Dialogue();
    both.initiate();
    both.deliver(both.a);
    both.deliver(both.b);
    const real = both.take(both.a);
    const { header } = decodeMessage(real.data);
    const payloads: Payload[] = [
      { kind: 'N', protocolId: 0, notifyType: 24, spi: new Uint8Array(0), data: new Uint8Array(0) },
    ];
    both.give({ ...real, data: encodeMessage({ header, payloads }) });
    const answer = { ...header, response: true, initiator: false };
    both.give({
      ...real,
      local: real.remote,
      remote: real.local,
      data: encodeMessage({ header: answer, payloads }),
    });
    expect(both.a.failures).toEqual([]);
    both.give(real);
    both.settle();
    both.expectTunnel();
  });
});

describe('a malformed IKE_AUTH from a peer with keys', () => {
  it('with an unknown critical payload ends the half-open SA', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const unknown: Payload = {
      kind: 'unknown',
      type: 201,
      critical: true,
      body: new Uint8Array(0),
    };
    const [response] = peer.request(IKE_AUTH, 1, [...peer.authPayloads(), unknown]);
    expect(response).toMatchObject([
      { notifyType: NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD, data: Uint8Array.of(201) },
    ]);
    expect(both.b.states).toEqual([]);
  });

  it('with payloads too few is answered INVALID_SYNTAX', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const [response] = peer.request(IKE_AUTH, 1, peer.authPayloads().slice(2));
    expect(kinds(response)).toEqual([NOTIFY.INVALID_SYNTAX]);
    expect(both.b.states).toEqual([]);
  });
});

describe('a Child SA that is refused leaves the IKE SA up', () => {
  it('TS_UNACCEPTABLE, with both policies in words', () => {
    const both = new Dialogue({ a: { localSelectors: ['172.16.0.0/12'] } });
    both.initiate();
    both.settle();
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    expect(both.b.failures[0]).toMatchObject({ notify: 'TS_UNACCEPTABLE' });
    expect(both.b.failures[0]!.explanation).toContain("TSi peer's: 172.16.0.0/12");
    expect(both.a.failures[0]).toMatchObject({ notify: 'TS_UNACCEPTABLE' });
    for (const peer of [both.a, both.b]) {
      expect([peer.installed.size, peer.reserved.size]).toEqual([0, 0]);
    }
  });

  it('NO_PROPOSAL_CHOSEN, with the difference', () => {
    const both = new Dialogue({
      a: { esp: ['aes128gcm16-esn'] },
      b: { esp: ['aes128gcm16-noesn'] },
    });
    both.initiate();
    both.settle();
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    expect(both.b.failures[0]!.explanation).toContain("ours NO_ESN, the peer's ESN");
    expect(both.a.failures[0]).toMatchObject({ notify: 'NO_PROPOSAL_CHOSEN' });
    expect([both.a.reserved.size, both.b.reserved.size]).toEqual([0, 0]);
  });

  it('NO_ADDITIONAL_SAS, where the SAD of the responder is full', () => {
    const both = new Dialogue();
    both.b.sadIsFull = true;
    both.initiate();
    both.settle();
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    expect(both.a.failures[0]).toMatchObject({ notify: 'NO_ADDITIONAL_SAS' });
  });

  it('and an ESP SPI that cannot be is refused as well', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.init();
    peer.outboundSpi.set([0, 0, 0, 255]);
    const [response] = peer.request(IKE_AUTH, 1, peer.authPayloads());
    expect(kinds(response)).toEqual(['IDr', 'AUTH', NOTIFY.NO_PROPOSAL_CHOSEN]);
    expect(both.b.installed.size).toBe(0);
  });
});

describe('two Child SAs with the same networks', () => {
  const net = [['10.2.0.0/16'], ['10.1.0.0/16']] as const;
  const b = {
    children: { strong: [...net, ['aes256gcm16']], usual: [...net, ['aes128gcm16']] },
  } as const;

  it.each([
    ['strong', 'aes256gcm16'],
    ['usual', 'aes128gcm16'],
  ])('it becomes the one whose algorithms fit: %s', (name, esp) => {
    const both = new Dialogue({ a: { esp: [esp] }, b });
    both.establish();
    expect(both.b.ike.ikeSas()[0]!.children.map((child) => child.name)).toEqual([name]);
    both.rekey(both.a, 'child');
    both.settle();
    both.wait(60_000);
    both.settle();
    expect(both.b.ike.ikeSas()[0]!.children.map((child) => child.name)).toEqual([name]);
  });

  it('it becomes none where those of neither fit, and both are told of', () => {
    const both = new Dialogue({ a: { esp: ['chacha20poly1305'] }, b });
    both.initiate();
    both.settle();
    const [failure] = both.b.failures;
    expect(failure).toMatchObject({ notify: 'NO_PROPOSAL_CHOSEN' });
    expect(failure!.explanation).toContain('strong');
    expect(failure!.explanation).toContain('AES_GCM_16_256');
    expect(failure!.explanation).toContain('usual');
    expect(failure!.explanation).toContain('AES_GCM_16_128');
  });
});

describe('narrowing (§2.9)', () => {
  it('takes what both policies have in common, several selectors and both families', () => {
    const both = new Dialogue({
      a: { localSelectors: ['10.0.0.0/8', 'fd01::/16'], remoteSelectors: ['0.0.0.0/0', '::/0'] },
      b: {
        localSelectors: ['10.2.0.0/16', '10.3.0.0/16', 'fd02::/16'],
        remoteSelectors: ['10.1.0.0/16[tcp]', 'fd01::/16'],
      },
    });
    both.establish();
    const [child] = both.a.installed.values();
    expect(child!.localSelectors.map(formatSelector)).toEqual(['10.1.0.0/16[tcp]', 'fd01::/16']);
    expect(child!.remoteSelectors.map(formatSelector)).toEqual([
      '10.2.0.0/16',
      '10.3.0.0/16',
      'fd02::/16',
    ]);
  });
});

describe('a childless IKE_AUTH (RFC 6023)', () => {
  it('is answered without a Child SA', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    peer.init();
    const [response] = peer.request(IKE_AUTH, 1, peer.authPayloads().slice(0, 2));
    expect(kinds(response)).toEqual(['IDr', 'AUTH']);
    expect(both.b.states).toEqual(['established']);
    expect(peer.request(INFORMATIONAL, 2, [])).toEqual([[]]);
  });
});
