/** Nothing that anybody sends may crash the core, grow it, or take a tunnel down. */
import { describe, expect, it } from 'vitest';
import { Dialogue } from './harness/dialogue.js';
import { SeededRandom } from './harness/random.js';
import { ScriptedPeer } from './harness/scripted-peer.js';

/** Changes some octets, cuts, or repeats. */
function mutate(data: Uint8Array, dice: SeededRandom): Uint8Array {
  let octets = data.slice();
  for (let i = dice.below(4); i >= 0; i--) octets[dice.below(octets.length)] = dice.next() & 0xff;
  if (dice.chance(0.2)) octets = octets.slice(0, dice.below(octets.length) + 1);
  // Half of them have a length that is right, or nothing past it would be reached.
  if (octets.length >= 28 && dice.chance(0.5)) {
    new DataView(octets.buffer).setUint32(24, octets.length);
  }
  return octets;
}

describe('twenty thousand mutated messages', () => {
  it('leave the tunnel up, and few half-open SAs', () => {
    const both = new Dialogue();
    both.initiate();
    const seen: Uint8Array[] = [];
    for (const from of [both.a, both.b, both.a, both.b]) {
      seen.push(from.outbox[0]!.data);
      both.deliver(from);
    }
    both.a.handle({ type: 'terminate', connection: 'site', ikeSpi: 'none' as never });
    both.expectTunnel();
    const dice = new SeededRandom(7);
    for (let i = 0; i < 20_000; i++) {
      const data = mutate(seen[dice.below(seen.length)]!, dice);
      const to = dice.chance(0.5) ? both.a : both.b;
      const [local, remote] =
        to === both.a ? ['192.0.2.1', '192.0.2.2'] : ['192.0.2.2', '192.0.2.1'];
      const port = dice.chance(0.5) ? 500 : 4500;
      to.handle({
        type: 'datagram',
        local: { address: local, port },
        remote: { address: remote, port },
        data,
      });
      to.outbox.splice(0);
      to.log.splice(0);
    }
    both.expectTunnel();
    for (const peer of [both.a, both.b]) {
      expect(peer.timers.size).toBeLessThanOrEqual(10);
      expect(peer.jobs).toEqual([]);
    }
    // A forged error in clear has made a liveness check at most, which is answered now.
    both.wait(20_000);
    both.settle();
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.settle();
    both.wait(60_000);
    expect([both.a.isClean, both.b.isClean]).toEqual([true, true]);
  });
});

describe('mutated payloads of a peer that has keys', () => {
  it('are answered or end that IKE SA, and never more', () => {
    const dice = new SeededRandom(11);
    for (let round = 0; round < 300; round++) {
      const both = new Dialogue({ seed: round });
      const peer = new ScriptedPeer(both.b);
      peer.init();
      const payloads = peer.authPayloads();
      const index = dice.below(payloads.length);
      const payload = payloads[index]!;
      // The same octets under another payload type, with some of them changed.
      const body = mutate(new TextEncoder().encode(JSON.stringify(payload)), dice);
      payloads[index] = { kind: 'unknown', type: 33 + dice.below(16), critical: false, body };
      const responses = peer.request(35, 1, payloads);
      expect(responses.length).toBe(1);
      expect(both.b.jobs).toEqual([]);
    }
  });
});
