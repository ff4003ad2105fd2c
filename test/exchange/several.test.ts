/**
 * Several IKE SAs with one peer: INITIAL_CONTACT (RFC 7296 §2.4), both sides at once, restarts;
 * and connections that are kept up.
 */
import { describe, expect, it } from 'vitest';
import { Dialogue } from './harness/dialogue.js';
import { connectionOf } from './harness/peer.js';
import { ScriptedPeer } from './harness/scripted-peer.js';

describe('INITIAL_CONTACT', () => {
  it('of a peer that has restarted drops the SAs from before, without a Delete', () => {
    const both = new Dialogue();
    both.establish();
    both.wait(1_000);
    const again = new Dialogue({ seed: 99 });
    Object.assign(both, { a: again.a });
    again.a.now = both.now;
    both.initiate();
    both.settle();
    both.expectTunnel();
    expect(both.b.closed).toHaveLength(1);
    expect(both.b.closed[0]!.reason).toContain('INITIAL_CONTACT');
  });

  it('is not said where another IKE SA with the peer is established', () => {
    const both = new Dialogue();
    const peer = new ScriptedPeer(both.b);
    both.establish();
    both.wait(1_000);
    peer.establish(); // a second one, without INITIAL_CONTACT
    expect(both.b.states).toEqual(['established', 'established']);
    expect(both.b.established.map(({ initialContact }) => initialContact)).toEqual([true, false]);
  });

  it('does not drop an SA that was under way at the same time', () => {
    const both = new Dialogue();
    both.initiate(both.a);
    const requestA = both.take(both.a);
    both.initiate(both.b);
    // b's attempt gets through first; a's request has reached b before.
    both.give(requestA);
    both.take(both.b); // b's own request is lost
    both.settle();
    both.wait(60_000);
    both.settle();
    expect(both.a.states).toEqual(['established']);
    expect(both.b.states).toEqual(['established']);
  });
});

describe('both sides at once', () => {
  it('end with one tunnel, the other deleted by its initiator', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const both = new Dialogue({ seed });
      both.initiate(both.a);
      both.initiate(both.b);
      // Every message crosses the other's.
      for (let round = 0; round < 4; round++) {
        const [fromA, fromB] = [both.a.outbox.splice(0), both.b.outbox.splice(0)];
        for (const datagram of [...fromA, ...fromB]) both.give(datagram);
      }
      both.settle();
      both.wait(60_000);
      both.settle();
      both.expectTunnel();
    }
  });

  it('the slower gives way before it has sent IKE_AUTH', () => {
    const both = new Dialogue();
    both.initiate(both.b);
    const late = both.take(both.b);
    both.initiate(both.a);
    both.settle();
    both.expectTunnel();
    expect(both.b.failures).toEqual([]);
    both.give(late); // its request comes after all, and its answer meets nobody
    both.settle();
    both.wait(60_000);
    both.expectTunnel();
    expect([...both.a.timers.keys(), ...both.b.timers.keys()]).toEqual([]);
  });
});

describe('superseded', () => {
  it('drops the IKE SA without a Delete', () => {
    const both = new Dialogue();
    both.establish();
    const { initiatorSpi: ikeSpi } = both.a.ike.ikeSas()[0]!;
    both.a.handle({ type: 'superseded', ikeSpi });
    expect(both.a.outbox).toEqual([]);
    expect(both.a.states).toEqual([]);
    expect(both.a.installed.size).toBe(0);
  });
});

describe('the IKE SAs of one connection', () => {
  it('are bounded: the oldest is deleted', () => {
    const both = new Dialogue({ optionsB: { maxIkeSasPerConnection: 3 } });
    for (let i = 0; i < 6; i++) {
      const peer = new ScriptedPeer(both.b);
      peer.ni.fill(i);
      both.wait(10);
      peer.establish();
    }
    expect(both.b.states.filter((state) => state === 'established')).toHaveLength(3);
    expect(both.b.states.filter((state) => state === 'deleting')).toHaveLength(3);
  });
});

describe('a connection that is kept up', () => {
  it('is tried again ever more slowly, and comes up when the peer is there', () => {
    const both = new Dialogue({ a: { start: 'always' } });
    both.initiate();
    both.wait(500_000);
    const attempts = both.a.failures.length;
    expect(attempts).toBeGreaterThan(4);
    expect(attempts).toBeLessThan(12);
    both.a.outbox.splice(0);
    for (let i = 0; i < 40; i++) {
      both.settle();
      both.wait(3_000);
    }
    both.expectTunnel();
  });

  it('comes back after the peer has deleted it, or its Child SA', () => {
    const both = new Dialogue({ a: { start: 'always' } });
    both.establish();
    both.b.handle({ type: 'terminate', connection: 'site' });
    both.settle();
    expect(both.a.states).toEqual([]);
    both.wait(2_000);
    both.settle();
    both.expectTunnel();
  });

  it('stays down when it was taken down by its own side', () => {
    const both = new Dialogue({ a: { start: 'always' } });
    both.establish();
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.settle();
    both.wait(200_000);
    expect([both.a.states, both.a.outbox]).toEqual([[], []]);
    expect(both.a.isClean).toBe(true);
  });

  it('is tried again where the Child SA was refused, once a while', () => {
    const both = new Dialogue({ a: { start: 'always', localSelectors: ['172.16.0.0/12'] } });
    both.initiate();
    for (let i = 0; i < 100; i++) {
      both.settle();
      both.wait(3_000);
    }
    expect(both.a.failures.length).toBeGreaterThan(3);
    expect(both.a.failures.length).toBeLessThan(15);
    both.b.ike.setConnections([connectionOf('b', { remoteSelectors: ['172.16.0.0/12'] })]);
    for (let i = 0; i < 40; i++) {
      both.settle();
      both.wait(3_000);
    }
    both.expectTunnel();
  });
});

describe('stop', () => {
  it('deletes what is established, abandons what is not, and answers retransmissions only', () => {
    const both = new Dialogue({ a: { start: 'always' } });
    both.establish();
    both.a.handle({ type: 'stop' });
    expect(both.a.states).toEqual(['deleting']);
    both.settle();
    expect([both.a.states, both.b.states]).toEqual([[], []]);
    both.initiate(both.b);
    both.settle();
    both.initiate(both.a);
    both.wait(100_000);
    expect(both.a.states).toEqual([]);
    expect(both.a.isClean).toBe(true);
  });
});
