/**
 * Rekeying of the IKE SA (RFC 7296 §1.3.2, §2.8, §2.18), and setting the connection up anew beside
 * it (§2.8.3): the Child SAs stay what they are, or are there before the old ones go.
 */
import { describe, expect, it } from 'vitest';
import { DEFAULT_OPTIONS } from '../../src/ike/options.js';
import { EXCHANGE, peekHeader } from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import { connectionOf } from './harness/peer.js';

const { drainTime, redundantTimeout, replacedTimeout } = DEFAULT_OPTIONS;

const spisOf = (both: Dialogue) => {
  const [view] = both.a.ike.ikeSas();
  return [view!.initiatorSpi, view!.responderSpi];
};

describe.each([
  ['initiator', 'a'],
  ['responder', 'b'],
] as const)('rekeying by the %s', (_, side) => {
  it('makes a new IKE SA with the Child SAs of the old one, which goes', () => {
    const both = Dialogue.established();
    const before = spisOf(both);
    const children = [...both.a.installed.keys()];
    const [own, other] = side === 'a' ? [both.a, both.b] : [both.b, both.a];
    both.rekey(own, 'ike');
    const first = side === 'a' ? 2 : 0;
    //  own -> other  HDR, SK {SA, Ni, KEi}
    expect(both.deliver(own)).toBe(`CREATE_CHILD_SA request ${first}`);
    expect(other.states).toEqual(['replaced', 'established']);
    //  own <- other  HDR, SK {SA, Nr, KEr}
    expect(both.deliver(other)).toBe(`CREATE_CHILD_SA response ${first}`);
    expect(own.states).toEqual(['deleting', 'established']);
    //  own -> other  HDR, SK {D}, of the old one, under its keys
    expect(both.deliver(own)).toBe(`INFORMATIONAL request ${first + 1}`);
    //  own <- other  HDR, SK {}
    expect(both.deliver(other)).toBe(`INFORMATIONAL response ${first + 1}`);
    both.expectTunnel();
    expect([...both.a.installed.keys()]).toEqual(children);
    expect(spisOf(both).some((spi) => before.includes(spi))).toBe(false);
    expect(own.ike.ikeSas()[0]!.role).toBe('initiator');
  });

  it('counts messages from zero on the new one, and uses its keys', () => {
    const both = Dialogue.established();
    const [own, other] = side === 'a' ? [both.a, both.b] : [both.b, both.a];
    both.rekey(own, 'ike');
    both.settle();
    both.rekey(own, 'child');
    expect(both.settleFlowing()).toEqual([
      `${own.name} CREATE_CHILD_SA request 0`,
      `${other.name} CREATE_CHILD_SA response 0`,
      `${own.name} INFORMATIONAL request 1`,
      `${other.name} INFORMATIONAL response 1`,
    ]);
    both.rekey(other, 'child');
    expect(both.settleFlowing()[0]).toBe(`${other.name} CREATE_CHILD_SA request 0`);
    both.wait(drainTime);
    both.expectTunnel();
  });

  it('follows on itself, again and again', () => {
    const both = Dialogue.established({ a: { livenessSeconds: 10 } });
    for (let i = 0; i < 10; i++) {
      both.rekey(i % 3 === 0 ? both.b : both.a, 'ike');
      both.settleFlowing();
      both.wait(1_000);
    }
    both.expectTunnel();
    both.wait(60_000);
    both.settle();
    both.expectTunnel();
    expect([...both.a.timers.keys()].map((timer) => timer.split('/')[0])).toEqual(['liveness']);
    expect([...both.b.timers.keys()]).toEqual([]);
  });
});

describe('an IKE SA that was rekeyed', () => {
  it('is deleted by the responder, where the peer never does', () => {
    const both = Dialogue.established();
    both.rekey(both.a, 'ike');
    both.deliver(both.a);
    both.deliver(both.b);
    both.a.outbox.length = 0; // the Delete, and a says no more
    both.a.timers.clear();
    both.wait(replacedTimeout);
    // That a has the new one shows in its answer on it.
    expect(both.settle()).toEqual(['b INFORMATIONAL request 0', 'a INFORMATIONAL response 0']);
    expect(both.b.states).toEqual(['replaced', 'established']);
    both.wait(redundantTimeout);
    expect(both.deliver(both.b)).toBe('INFORMATIONAL request 0');
    both.settle();
    both.expectTunnel();
  });

  it('is not deleted before the peer has the new one, which it would forget (§2.25.2)', () => {
    const both = Dialogue.established();
    both.rekey(both.a, 'ike');
    both.deliver(both.a);
    const response = both.take(both.b);
    // The clock of b jumps, as after a suspension, and what is due is done.
    both.b.now += replacedTimeout;
    both.b.runTimer([...both.b.timers.keys()].find((timer) => timer.startsWith('replaced'))!);
    // b -> a  HDR, SK {}, on the new one, which a does not have yet
    expect(both.settle()).toEqual(['b INFORMATIONAL request 0', 'a INFORMATIONAL response 0']);
    both.give(response);
    both.settleFlowing();
    both.expectTunnel();
    both.wait(replacedTimeout + 60_000);
    both.settleFlowing();
    both.expectTunnel();
    expect([both.a.timers.size, both.b.timers.size]).toEqual([0, 0]);
  });

  it('goes in the end, where the peer never has the new one', () => {
    const both = Dialogue.established();
    both.rekey(both.a, 'ike');
    both.deliver(both.a);
    both.a.timers.clear(); // a says no more of its own
    both.b.outbox.length = 0;
    for (let t = 0; t < 2 * replacedTimeout; t += 1_000) {
      both.wait(1_000);
      both.settle();
    }
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });

  it('takes nothing but its end: no Child SA any more', () => {
    const both = Dialogue.established();
    both.rekey(both.a, 'ike');
    both.deliver(both.a);
    both.take(both.b);
    const [old] = both.b.ike.ikeSas();
    expect(old).toMatchObject({ state: 'replaced', children: [] });
    expect(both.b.ike.ikeSas()[1]!.children).toHaveLength(1);
  });

  it('hands over what waits to be asked for', () => {
    const both = Dialogue.established();
    both.rekey(both.a, 'ike');
    both.rekey(both.a, 'child');
    expect(both.settleFlowing()).toEqual([
      'a CREATE_CHILD_SA request 2',
      'b CREATE_CHILD_SA response 2',
      'a INFORMATIONAL request 3',
      'a CREATE_CHILD_SA request 0',
      'b INFORMATIONAL response 3',
      'b CREATE_CHILD_SA response 0',
      'a INFORMATIONAL request 1',
      'b INFORMATIONAL response 1',
    ]);
    both.wait(drainTime);
    both.expectTunnel();
  });

  it('is known to those who look after several workers', () => {
    const both = Dialogue.established();
    const first = both.a.established[0]!.ikeSpi;
    both.rekey(both.a, 'ike');
    both.settle();
    expect(both.a.established[1]).toMatchObject({ replaces: first, initialContact: false });
    expect(both.a.closed).toMatchObject([{ ikeSpi: first }]);
  });
});

describe('a rekeying of the IKE SA for which there is no key pair', () => {
  it('is tried again', () => {
    const both = Dialogue.established();
    const before = spisOf(both);
    const { runJob } = both.a;
    both.a.runJob = () => ({ type: 'failed', reason: 'no key pair' });
    both.rekey(both.a, 'ike');
    expect(both.a.outbox).toEqual([]);
    both.a.runJob = runJob;
    both.wait(5_000);
    both.settle();
    both.expectTunnel();
    expect(spisOf(both)).not.toEqual(before);
  });
});

describe('a key exchange that the peer does not have any more', () => {
  it('is changed for the one that INVALID_KE_PAYLOAD names', () => {
    const both = Dialogue.established({
      a: { ike: ['aes128gcm16-prfsha256-ecp256-x25519'] },
      b: { ike: ['aes128gcm16-prfsha256-x25519'] },
    });
    both.rekey(both.a, 'ike');
    expect(both.settleFlowing()).toEqual([
      'a CREATE_CHILD_SA request 2',
      'b CREATE_CHILD_SA response 2',
      'a CREATE_CHILD_SA request 3',
      'b CREATE_CHILD_SA response 3',
      'a INFORMATIONAL request 4',
      'b INFORMATIONAL response 4',
    ]);
    both.expectTunnel();
  });
});

describe('terminate while a rekeying is under way', () => {
  it('takes the new IKE SA down as well', () => {
    const both = Dialogue.established();
    both.rekey(both.a, 'ike');
    both.deliver(both.a);
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.settle();
    both.wait(60_000);
    both.settle();
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });
});

describe('lifetimes of the IKE SA', () => {
  it('rekey it, from either side, for ever', () => {
    const lifetime = { rekeySeconds: 100, endSeconds: 120 };
    const both = Dialogue.established({ a: { lifetime }, b: { lifetime } });
    const before = spisOf(both);
    for (let t = 0; t < 1_000; t++) {
      both.wait(1_000);
      both.settle();
      both.expectTunnel();
    }
    expect(spisOf(both)).not.toEqual(before);
  });

  it('end it, where nobody rekeys it', () => {
    const both = Dialogue.established({ a: { lifetime: { rekeySeconds: 0, endSeconds: 100 } } });
    both.wait(100_000);
    both.settle();
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });
});

describe('reauthentication (§2.8.3)', () => {
  const children = {
    five: [['10.1.5.0/24'], ['10.2.0.0/16']],
    six: [['10.1.6.0/24'], ['10.2.0.0/16']],
  } as const;
  const mirrored = {
    five: [['10.2.0.0/16'], ['10.1.5.0/24']],
    six: [['10.2.0.0/16'], ['10.1.6.0/24']],
  } as const;

  it('sets up a new IKE SA with all Child SAs, then deletes the old one', () => {
    const both = new Dialogue({ a: { children }, b: { children: mirrored } });
    both.initiate();
    both.settle();
    both.expectChildren(2);
    const before = spisOf(both);
    both.rekey(both.a, 'reauth');
    const story: string[] = [];
    while (both.a.outbox.length + both.b.outbox.length > 0) {
      const from = both.a.outbox.length > 0 ? both.a : both.b;
      story.push(`${from.name} ${both.deliver(from)}`);
      both.expectFlow('site/five');
      both.expectFlow('site/six');
    }
    expect(story).toEqual([
      'a IKE_SA_INIT request 0',
      'b IKE_SA_INIT response 0',
      'a IKE_AUTH request 1',
      'b IKE_AUTH response 1',
      'a CREATE_CHILD_SA request 2',
      'b CREATE_CHILD_SA response 2',
      // The Delete on the old one, and on the new one what shows that all of it has come.
      'a INFORMATIONAL request 3',
      'a INFORMATIONAL request 3',
      'b INFORMATIONAL response 3',
      'b INFORMATIONAL response 3',
    ]);
    both.wait(drainTime);
    both.expectChildren(2);
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    expect(spisOf(both)).not.toEqual(before);
  });

  it.each([
    ['without a key exchange', ['aes128gcm16']],
    ['with one of its own', ['aes128gcm16-x25519']],
  ])('deletes the old one too where a Child SA %s cannot be asked for', (_, esp) => {
    const both = new Dialogue({ a: { children, esp }, b: { children: mirrored, esp } });
    both.initiate();
    both.settle();
    both.rekey(both.a, 'reauth');
    for (let i = 0; i < 3; i++) both.deliver(i % 2 === 0 ? both.a : both.b);
    both.a.sadIsFull = true;
    both.settle();
    both.wait(drainTime);
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    expect(both.a.failures).toMatchObject([{ notify: 'NO_ADDITIONAL_SAS', child: 'six' }]);
    both.expectFlow('site/five');
  });

  it('deletes the old one with a Child SA that the peer has come to refuse', () => {
    const both = new Dialogue({ a: { children }, b: { children: mirrored } });
    both.initiate();
    both.settle();
    both.b.ike.setConnections([connectionOf('b', { children: { five: mirrored.five } })]);
    both.rekey(both.a, 'reauth');
    while (both.a.outbox.length + both.b.outbox.length > 0) {
      both.deliver(both.a.outbox.length > 0 ? both.a : both.b);
      both.expectFlow('site/five');
    }
    both.wait(drainTime);
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    both.expectChildren(1);
    expect(both.a.failures).toMatchObject([{ notify: 'TS_UNACCEPTABLE', child: 'six' }]);
  });

  it('asks for all Child SAs before the old one goes, where one cannot be asked for', () => {
    const three = { ...children, seven: [['10.1.7.0/24'], ['10.2.0.0/16']] } as const;
    const mirror = { ...mirrored, seven: [['10.2.0.0/16'], ['10.1.7.0/24']] } as const;
    const esp = ['aes128gcm16'];
    const both = new Dialogue({ a: { children: three, esp }, b: { children: mirror, esp } });
    both.initiate();
    both.settle();
    both.rekey(both.a, 'reauth');
    for (let i = 0; i < 3; i++) both.deliver(i % 2 === 0 ? both.a : both.b);
    let asked = 0;
    Object.defineProperty(both.a, 'sadIsFull', { get: () => asked++ === 0 });
    while (both.a.outbox.length + both.b.outbox.length > 0) {
      both.deliver(both.a.outbox.length > 0 ? both.a : both.b);
      for (const child of ['five', 'seven']) both.expectFlow(`site/${child}`);
    }
    expect(both.a.failures).toMatchObject([{ notify: 'NO_ADDITIONAL_SAS', child: 'six' }]);
    both.wait(drainTime);
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
  });

  it('still receives what a peer sends that does not hear that the old one is to go', () => {
    const both = Dialogue.established();
    both.rekey(both.a, 'reauth');
    both.rekey(both.a, 'child');
    const isOfOld = ({ data }: { data: Uint8Array }) => data[18]! >= EXCHANGE.CREATE_CHILD_SA;
    while (both.a.states.length < 2 || !both.a.states.includes('deleting')) {
      both.a.outbox.splice(
        0,
        both.a.outbox.length,
        ...both.a.outbox.filter((one) => !isOfOld(one)),
      );
      both.deliver(both.a.outbox.length > 0 ? both.a : both.b);
    }
    while (both.a.states.length > 1) {
      both.a.outbox.splice(0);
      both.wait(100);
      both.expectFlow();
    }
    expect(both.a.failures).toMatchObject([{ notify: 'no answer' }]);
  });

  it('shows the peer what is there, where all that is said on the old one is lost', () => {
    const both = Dialogue.established();
    const [old] = spisOf(both);
    const isOfOld = ({ data }: { data: Uint8Array }) => peekHeader(data)!.initiatorSpi === old;
    both.rekey(both.a, 'child');
    both.rekey(both.a, 'reauth');
    for (let t = 0; t < 60_000; t += 100) {
      while (both.a.outbox.length + both.b.outbox.length > 0) {
        const from = both.a.outbox.length > 0 ? both.a : both.b;
        if (isOfOld(from.outbox[0]!)) both.take(from);
        else both.deliver(from);
      }
      both.wait(100);
      both.expectFlow();
    }
    expect(both.a.states).toEqual(['established']);
  });

  it('comes at its time, rekeyed or not', () => {
    const both = Dialogue.established({
      a: { reauthSeconds: 1_000, lifetime: { rekeySeconds: 300, endSeconds: 400 } },
    });
    let authentications = 0;
    for (let t = 0; t < 3_000; t++) {
      both.wait(1_000);
      authentications += both.settle().filter((line) => line.startsWith('a IKE_AUTH')).length;
      both.expectFlow();
    }
    expect(authentications).toBeGreaterThanOrEqual(2);
    expect(authentications).toBeLessThanOrEqual(3);
    both.wait(drainTime);
    both.expectTunnel();
  });

  it('is tried again where it fails at its time', () => {
    const both = Dialogue.established({
      a: { reauthSeconds: 1_000, lifetime: { rekeySeconds: 0, endSeconds: 0 } },
    });
    const before = spisOf(both);
    both.b.ike.setConnections([]);
    for (let t = 0; t < 1_200; t++) {
      both.wait(1_000);
      both.settle();
    }
    expect(spisOf(both)).toEqual(before);
    expect(both.a.failures.length).toBeGreaterThan(0);
    both.b.ike.setConnections([connectionOf('b', {})]);
    for (let t = 0; t < 120; t++) {
      both.wait(1_000);
      both.settle();
    }
    expect(spisOf(both)).not.toEqual(before);
    both.expectTunnel();
  });

  it('leaves the old IKE SA where the new one fails', () => {
    const both = Dialogue.established();
    const before = spisOf(both);
    both.b.ike.setConnections([]);
    both.rekey(both.a, 'reauth');
    both.settle();
    both.wait(120_000);
    both.settle();
    expect(spisOf(both)).toEqual(before);
    both.expectTunnel();
  });

  it('leaves no IKE SA behind that got no Child SA, while the old one goes on', () => {
    const both = Dialogue.established({ a: { esp: ['aes128gcm16'] } });
    const before = spisOf(both);
    both.b.ike.setConnections([connectionOf('b', { esp: ['aes256gcm16'] })]);
    for (let time = 0; time < 3; time++) {
      both.rekey(both.a, 'reauth');
      both.settle();
    }
    expect(spisOf(both)).toEqual(before);
    expect([both.a.states, both.b.states]).toEqual([['established'], ['established']]);
    both.expectFlow();
  });
});
