/**
 * Further key exchanges of Child SAs, by IKE_FOLLOWUP_KE (RFC 9370 §2.2.4): new ones and rekeyed
 * ones, and what crosses them. Those of IKE SAs are in `intermediate.test.ts`.
 */
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { deriveChildKeys } from '../../src/crypto/keymat.js';
import { prfById } from '../../src/crypto/prf.js';
import { Secret } from '../../src/crypto/secret.js';
import { notifyOf } from '../../src/ike/messages/payloads.js';
import { EXCHANGE, NOTIFY, type Payload } from '../../src/wire/index.js';
import { Dialogue, type DialogueOptions } from './harness/dialogue.js';
import type { Peer } from './harness/peer.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';

const { CREATE_CHILD_SA, IKE_FOLLOWUP_KE, INFORMATIONAL } = EXCHANGE;
const ESP = ['aes128gcm16-x25519-ke1_mlkem768'];
const TWICE = ['aes128gcm16-x25519-ke1_mlkem512-ke3_ecp256'];

/** Two gateways with a tunnel whose Child SAs have further key exchanges. */
function established(esp = ESP, { a, b, ...more }: DialogueOptions = {}): Dialogue {
  return Dialogue.established({ a: { esp, ...a }, b: { esp, ...b }, ...more });
}

/** What is said until both are silent, time going by for what was put off. */
function calm(dialogue: Dialogue): void {
  for (let second = 0; second < 60; second++) {
    dialogue.settle();
    dialogue.wait(1_000);
  }
  dialogue.settle();
}

function proposalsOf({ ike }: Peer): string[] {
  return ike.ikeSas().flatMap(({ children }) => children.map(({ proposal }) => proposal));
}

describe('the keys of a Child SA with further key exchanges', () => {
  it('come from all secrets, the first one before the nonces and the others behind', () => {
    const octets = (length: number, value: number) => new Uint8Array(length).fill(value);
    const [skD, first, second, third] = [32, 32, 32, 48].map((n, i) => octets(n, i + 1)) as [
      ...[Uint8Array, Uint8Array, Uint8Array, Uint8Array],
    ];
    const [ni, nr] = [octets(32, 5), octets(32, 6)];
    const secrets = [first, second, third].map((one) => new Secret(one));
    const keys = deriveChildKeys(prfById(5)!, new Secret(skD), ni, nr, 20, secrets);
    // prf+ of RFC 7296 §2.13 by hand: T1 = prf(K, S | 0x01), T2 = prf(K, T1 | S | 0x02).
    const seed = Buffer.concat([first, ni, nr, second, third]);
    const hmac = (...data: Uint8Array[]) =>
      createHmac('sha256', skD).update(Buffer.concat(data)).digest();
    const t1 = hmac(seed, Uint8Array.of(1));
    const keymat = Buffer.concat([t1, hmac(t1, seed, Uint8Array.of(2))]);
    expect(Buffer.from(keys.initiator.bytes)).toEqual(keymat.subarray(0, 20));
    expect(Buffer.from(keys.responder.bytes)).toEqual(keymat.subarray(20, 40));
  });
});

describe('two gateways', () => {
  it('rekey a Child SA with a second key exchange, without a gap', () => {
    const whole = { fragmentBytes: 1400 };
    const both = established(ESP, { a: whole, b: whole });
    expect(proposalsOf(both.a)[0]).not.toContain('KE1');
    both.rekey(both.a, 'child');
    // a -> b  HDR, SK {N(REKEY_SA), SA, Ni, KEi(0), TSi, TSr}
    expect(both.deliver(both.a)).toBe('CREATE_CHILD_SA request 2');
    // a <- b  HDR, SK {SA, Nr, KEr(0), N(ADDITIONAL_KEY_EXCHANGE), TSi, TSr}
    expect(both.b.installed.size).toBe(1);
    expect(both.deliver(both.b)).toBe('CREATE_CHILD_SA response 2');
    expect(both.a.installed.size).toBe(1);
    // a -> b  HDR, SK {KEi(1), N(ADDITIONAL_KEY_EXCHANGE)}; a <- b  HDR, SK {KEr(1)}
    expect(both.deliver(both.a)).toBe('IKE_FOLLOWUP_KE request 3');
    both.expectFlow();
    expect(both.deliver(both.b)).toBe('IKE_FOLLOWUP_KE response 3');
    both.expectFlow();
    both.settleFlowing();
    both.wait(5_000);
    both.expectTunnel();
    expect(proposalsOf(both.a)).toEqual(['AES_GCM_16_128/CURVE25519/KE1_ML_KEM_768/ESN']);
    expect(proposalsOf(both.b)).toEqual(proposalsOf(both.a));
    expect([both.a.reserved.size, both.b.reserved.size]).toEqual([0, 0]);
  });

  it('do so with several, and for a new Child SA', () => {
    const both = new Dialogue({ a: { esp: TWICE, childless: true }, b: { esp: TWICE } });
    both.initiate();
    const story = both.settle();
    expect(story.filter((line) => line.includes('IKE_FOLLOWUP_KE request'))).toHaveLength(2);
    both.expectTunnel();
    expect(proposalsOf(both.a)[0]).toContain('CURVE25519/KE1_ML_KEM_512/KE3_ECP_256');
  });

  it('do without where one does not have it', () => {
    const both = established([...ESP, 'aes128gcm16-x25519'], {
      b: { esp: ['aes128gcm16-x25519'] },
    });
    both.rekey(both.a, 'child');
    expect(both.settle().join()).not.toContain('FOLLOWUP');
    expect(proposalsOf(both.a)[0]).toContain('CURVE25519');
  });

  it('send what was lost again', () => {
    const both = established();
    both.rekey(both.a, 'child');
    for (let lost = 0; lost < 6; lost++) {
      both.wait(3_000);
      const sender = [both.a, both.b].find(({ outbox }) => outbox.length > 0)!;
      both.take(sender);
      both.wait(3_000);
      both.deliver(both.a);
      if (both.b.outbox.length > 0) both.deliver(both.b);
    }
    calm(both);
    both.expectTunnel();
    expect(proposalsOf(both.a)[0]).toContain('KE1_ML_KEM_768');
  });

  it.each([0, 1, 2, 3])(
    'have one Child SA where both rekey it at once, %i messages apart',
    (apart) => {
      for (let seed = 1; seed <= 6; seed++) {
        const both = established(ESP, { seed, fast: true });
        both.rekey(both.a, 'child');
        for (let step = 0; step < apart; step++) both.deliver(step % 2 === 0 ? both.a : both.b);
        both.rekey(both.b, 'child');
        both.cross(12);
        calm(both);
        both.expectTunnel();
        both.expectFlow();
        expect([both.a.reserved.size, both.b.reserved.size]).toEqual([0, 0]);
      }
    },
  );

  it.each([1, 2, 3])('rekey the IKE SA too, asked for after %i messages', (apart) => {
    const both = established(ESP, { fast: true });
    both.rekey(both.a, 'child');
    for (let step = 0; step < apart; step++) both.deliver(step % 2 === 0 ? both.a : both.b);
    both.rekey(both.b, 'ike');
    both.cross(12);
    calm(both);
    both.expectTunnel();
    both.expectFlow();
  });

  it.each([1, 2, 3])('are clean after the connection was taken down after %i messages', (apart) => {
    for (const side of ['a', 'b'] as const) {
      const both = established();
      both.rekey(both.a, 'child');
      for (let step = 0; step < apart; step++) both.deliver(step % 2 === 0 ? both.a : both.b);
      both[side].handle({ type: 'terminate', connection: 'site' });
      both.settle();
      both.wait(300_000);
      expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
    }
  });

  it('keep what is there when a Child SA is deleted in between', () => {
    const both = established();
    both.rekey(both.a, 'child');
    both.deliver(both.a);
    const [inboundSpi] = both.b.installed.keys();
    both.b.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'used up' });
    both.cross(10);
    calm(both);
    expect([both.a.reserved.size, both.b.reserved.size]).toEqual([0, 0]);
    expect(both.a.states).toEqual(['established']);
    expect(both.a.installed.size).toBe(both.b.installed.size);
  });
});

describe('a responder', () => {
  /** A peer that has asked for a Child SA with ML-KEM-768 as a second key exchange. */
  function begun(options: DialogueOptions = {}) {
    const dialogue = new Dialogue({ b: { esp: ESP }, ...options });
    const peer = new ScriptedPeer(dialogue.b);
    peer.establish();
    const [answer] = peer.request(CREATE_CHILD_SA, 2, furtherChild(peer));
    return { dialogue, b: dialogue.b, peer, answer: answer!, link: linkOf(answer!) };
  }

  function furtherChild(peer: ScriptedPeer): Payload[] {
    const [, ke] = peer.initPayloads();
    const [, , , tsi, tsr] = peer.authPayloads();
    const nonce: Payload = { kind: 'Nonce', data: new Uint8Array(32) };
    return [peer.childProposal(ESP[0]!), nonce, ke!, tsi!, tsr!];
  }

  function linkOf(answer: readonly Payload[]): Uint8Array {
    return notifyOf(answer, NOTIFY.ADDITIONAL_KEY_EXCHANGE)!.data;
  }

  const followUp = (link: Uint8Array, method = 36, octets = 1184): Payload[] => [
    { kind: 'KE', method, data: new Uint8Array(octets) },
    notify(NOTIFY.ADDITIONAL_KEY_EXCHANGE, link),
  ];

  it('answers the first key exchange, and installs nothing before the last', () => {
    const { b, answer } = begun();
    expect(kinds(answer)).toEqual([
      ...['SA', 'Nonce', 'KE', NOTIFY.ADDITIONAL_KEY_EXCHANGE, 'TSi', 'TSr'],
    ]);
    expect([b.installed.size, b.reserved.size]).toEqual([1, 1]);
  });

  it('knows none by another link (STATE_NOT_FOUND), and goes on with its own', () => {
    const { b, peer, link } = begun();
    const wrong = followUp(Uint8Array.of(1));
    expect(peer.request(IKE_FOLLOWUP_KE, 3, wrong).map(kinds)).toEqual([[NOTIFY.STATE_NOT_FOUND]]);
    expect(b.reserved.size).toBe(1);
    // All zero is an encapsulation key (FIPS 203 §7.2): every coefficient is below the modulus.
    expect(peer.request(IKE_FOLLOWUP_KE, 4, followUp(link)).map(kinds)).toEqual([['KE']]);
    expect([b.installed.size, b.reserved.size]).toEqual([2, 0]);
    expect(peer.request(IKE_FOLLOWUP_KE, 5, followUp(link)).map(kinds)).toEqual([
      [NOTIFY.STATE_NOT_FOUND],
    ]);
  });

  it('forgets what the peer does not go on with, after minutes or for something else', () => {
    const late = begun();
    late.dialogue.wait(240_000);
    expect(late.b.reserved.size).toBe(0);
    expect(late.peer.request(IKE_FOLLOWUP_KE, 3, followUp(late.link)).map(kinds)).toEqual([
      [NOTIFY.STATE_NOT_FOUND],
    ]);
    const other = begun();
    // A liveness check is nothing else; another that has to wait is.
    expect(other.peer.request(INFORMATIONAL, 3, [])).toEqual([[]]);
    expect(other.b.reserved.size).toBe(1);
    other.peer.request(CREATE_CHILD_SA, 4, furtherChild(other.peer));
    expect(other.b.reserved.size).toBe(1);
    expect(other.peer.request(IKE_FOLLOWUP_KE, 5, followUp(other.link)).map(kinds)).toEqual([
      [NOTIFY.STATE_NOT_FOUND],
    ]);
  });

  /** The same with requests that are computed at once, in a window of 4. */
  function computing() {
    const all = begun({ b: { esp: [...ESP, 'aes128gcm16'], windowSize: 4 } });
    all.b.manualJobs = true;
    const finish = () => {
      all.b.finishJob();
      const [answer] = all.b.outbox.splice(0).map(({ data }) => all.peer.open(data));
      return answer!;
    };
    return { ...all, finish };
  }

  it('keeps one of two that come together and have to wait', () => {
    const { b, peer, finish } = computing();
    peer.request(CREATE_CHILD_SA, 3, furtherChild(peer));
    peer.request(CREATE_CHILD_SA, 4, furtherChild(peer));
    const [first, second] = [finish(), finish()].map(linkOf);
    expect(b.reserved.size).toBe(1);
    expect(peer.request(IKE_FOLLOWUP_KE, 5, followUp(first!)).map(kinds)).toEqual([
      [NOTIFY.STATE_NOT_FOUND],
    ]);
    peer.request(IKE_FOLLOWUP_KE, 6, followUp(second!));
    expect(kinds(finish())).toEqual(['KE']);
    expect([b.installed.size, b.reserved.size]).toEqual([2, 0]);
  });

  it('grants another while the last key exchange is computed, but none that has to wait', () => {
    const { b, peer, link, finish } = computing();
    peer.request(IKE_FOLLOWUP_KE, 3, followUp(link));
    peer.request(CREATE_CHILD_SA, 4, furtherChild(peer));
    const granted = peer.request(CREATE_CHILD_SA, 5, peer.childRequest());
    expect(granted.map(kinds)).toEqual([['SA', 'Nonce', 'TSi', 'TSr']]);
    b.jobs.reverse();
    expect(kinds(finish())).toEqual([NOTIFY.TEMPORARY_FAILURE]);
    expect(kinds(finish())).toEqual(['KE']);
    expect([b.installed.size, b.reserved.size, b.states]).toEqual([3, 0, ['established']]);
  });

  it('takes each link once', () => {
    const { b, peer, link, finish } = computing();
    peer.request(IKE_FOLLOWUP_KE, 3, followUp(link));
    const again = peer.request(IKE_FOLLOWUP_KE, 4, followUp(link));
    expect(again.map(kinds)).toEqual([[NOTIFY.STATE_NOT_FOUND]]);
    expect(kinds(finish())).toEqual(['KE']);
    expect([b.jobs.length, b.installed.size, b.reserved.size]).toEqual([0, 2, 0]);
  });

  it('keeps nothing of what it computes when the IKE SA is closed', () => {
    const { b, peer, link } = computing();
    peer.request(IKE_FOLLOWUP_KE, 3, followUp(link));
    peer.request(INFORMATIONAL, 4, [{ kind: 'D', protocolId: 1, spis: [] }]);
    b.finishJob();
    expect([b.installed.size, b.reserved.size, b.states]).toEqual([0, 0, []]);
  });

  it('takes no other method than the one that is due', () => {
    const { b, peer, link } = begun();
    const answer = peer.request(IKE_FOLLOWUP_KE, 3, followUp(link, 35, 800));
    expect(answer.map(kinds)).toEqual([[NOTIFY.NO_PROPOSAL_CHOSEN]]);
    expect([b.installed.size, b.reserved.size]).toEqual([1, 0]);
    expect(b.states).toEqual(['established']);
  });

  it('ends the IKE SA at a public value that is none, and keeps no SPI', () => {
    const { b, peer, link } = begun();
    const [ke, notice] = followUp(link);
    const bad = { ...ke, data: new Uint8Array(1184).fill(0xff) } as Payload;
    expect(peer.request(IKE_FOLLOWUP_KE, 3, [bad, notice!]).map(kinds)).toEqual([
      [NOTIFY.INVALID_SYNTAX],
    ]);
    expect([b.installed.size, b.reserved.size]).toEqual([0, 0]);
  });
});
