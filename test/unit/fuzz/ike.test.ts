/** A short attack on the IKE core; `npm run fuzz:ike` has the long one. */
import { describe, expect, it } from 'vitest';
import { IkeAttack } from '../../fuzz/ike-attack.js';

const CASES = 30_000;

describe('thirty thousand hostile IKE datagrams', () => {
  it('leave the tunnel as it was, and nothing behind', () => {
    const attack = new IkeAttack(4711);
    attack.run(CASES);
    attack.calm();
    attack.takeDown();
    const counted = [...attack.outcomes.values()].reduce((sum, n) => sum + n, 0);
    expect(counted).toBeGreaterThanOrEqual(CASES);
    expect(attack.tunnels).toBeGreaterThanOrEqual(2);
    // Half-open SAs are bounded, and so are their timers.
    expect(attack.mostTimers).toBeLessThan(2_500);
    // The attack has got where it should.
    const stories = [...attack.outcomes.keys()].join('\n');
    for (const story of [
      'aimed: silence, not authentic',
      'replayed: answered, answered again',
      'half-open flood: answered, COOKIE',
      'half-open flood with a COOKIE: answered',
      'insider, sealed, established: answered, refused',
      'insider, sealed, half-open: answered, refused',
      'mutated: answered, INVALID_MAJOR_VERSION',
    ]) {
      expect(stories).toContain(story);
    }
  }, 60_000);
});
