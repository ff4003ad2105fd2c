/** Retransmission and its end (RFC 7296 §2.1, §2.4). */
import { describe, expect, it } from 'vitest';
import { Dialogue } from './harness/dialogue.js';

/** When each datagram of a leaves, with nobody answering. */
function sendTimes(both: Dialogue, until: number): number[] {
  const times: number[] = [];
  for (let t = 0; t <= until; t += 100) {
    for (const _ of both.a.outbox.splice(0)) times.push(t);
    both.wait(100);
  }
  return times;
}

describe('a request without an answer', () => {
  it('is sent again bit by bit', () => {
    const both = new Dialogue();
    both.initiate();
    const first = both.take(both.a);
    both.wait(600);
    expect(both.take(both.a).data).toEqual(first.data);
  });

  it('is sent ever more slowly, with jitter, and given up with an explanation', () => {
    const both = new Dialogue();
    both.initiate();
    const times = sendTimes(both, 60_000);
    expect(times).toHaveLength(7);
    const gaps = times.slice(1).map((time, i) => time - times[i]!);
    for (const [i, gap] of gaps.entries()) {
      expect(gap).toBeGreaterThan(500 * 2 ** i * 0.9 - 101);
      expect(gap).toBeLessThan(500 * 2 ** i * 1.1 + 101);
    }
    expect(both.a.failures).toMatchObject([
      {
        notify: 'no answer',
        explanation: 'no answer from 192.0.2.2:500 to IKE_SA_INIT, sent 7 times',
      },
    ]);
    expect(both.a.isClean).toBe(true);
  });

  it('does not march in step with that of another peer', () => {
    const delays = [1, 2, 3].map((seed) => {
      const both = new Dialogue({ seed });
      both.initiate();
      return both.a.nextTimer()!.at;
    });
    expect(new Set(delays).size).toBe(3);
  });
});

describe('a response that was lost', () => {
  it('of IKE_SA_INIT is sent again, the same, for the same request', () => {
    const both = new Dialogue();
    both.initiate();
    both.deliver(both.a);
    const lost = both.take(both.b);
    both.wait(600);
    both.deliver(both.a);
    expect(both.b.outbox.map(({ data }) => data)).toEqual([lost.data]);
    both.settle();
    both.expectTunnel();
  });

  it('of IKE_AUTH is sent again, and the Child SA is not made twice', () => {
    const both = new Dialogue();
    both.initiate();
    both.deliver(both.a);
    both.deliver(both.b);
    both.deliver(both.a);
    const lost = both.take(both.b);
    both.wait(600);
    both.deliver(both.a);
    expect(both.b.outbox.map(({ data }) => data)).toEqual([lost.data]);
    both.settle();
    both.expectTunnel();
  });

  it('for good leaves the responder with an SA that its liveness check ends', () => {
    const both = new Dialogue({ b: { livenessSeconds: 20 } });
    both.initiate();
    both.deliver(both.a);
    both.deliver(both.b);
    both.deliver(both.a);
    both.wait(600_000);
    expect([both.a.states, both.b.states]).toEqual([[], []]);
    expect(both.a.failures[0]!.explanation).toContain('IKE_AUTH request 1, sent 13 times');
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });
});

describe('a response that comes twice', () => {
  it('is a stray the second time', () => {
    const both = new Dialogue();
    both.initiate();
    both.deliver(both.a);
    const init = both.take(both.b);
    both.give(init);
    both.give(init);
    both.deliver(both.a);
    const auth = both.take(both.b);
    both.give(auth);
    both.give(auth);
    both.give(init);
    both.expectTunnel();
    expect(both.a.outbox).toEqual([]);
  });
});
