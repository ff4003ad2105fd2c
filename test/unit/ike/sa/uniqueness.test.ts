import { describe, expect, it } from 'vitest';
import { type Contender, judge } from '../../../../src/ike/sa/uniqueness.js';

const contender = (more: Partial<Contender>): Contender => ({
  role: 'initiator',
  startedAt: 100,
  establishedAt: 200,
  lowestNonce: '80',
  initialContact: false,
  ...more,
});

describe('judge', () => {
  it('drops what was established before a peer that knows of none began', () => {
    const newest = contender({ role: 'responder', startedAt: 300, initialContact: true });
    expect(judge(newest, contender({ role: 'initiator' }))).toBe('other is dead');
    expect(judge(newest, contender({ role: 'responder' }))).toBe('other is dead');
  });

  it('does not take the INITIAL_CONTACT of a peer that began before for more than it is', () => {
    const newest = contender({ role: 'responder', startedAt: 150, initialContact: true });
    expect(judge(newest, contender({ role: 'responder' }))).toBe('both stay');
    expect(judge(newest, contender({ role: 'initiator', lowestNonce: 'ff' }))).not.toBe(
      'other is dead',
    );
  });

  it('does not heed our own INITIAL_CONTACT', () => {
    const newest = contender({ startedAt: 300, initialContact: true });
    expect(judge(newest, contender({ role: 'responder' }))).toBe('both stay');
  });

  it('lets both stay where one was there before the other began', () => {
    const newest = contender({ role: 'responder', startedAt: 300 });
    expect(judge(newest, contender({ role: 'initiator' }))).toBe('both stay');
  });

  it('of two that crossed lets exactly one side delete, that with the lowest nonce', () => {
    for (const [ours, theirs] of [
      ['10', '20'],
      ['20', '10'],
    ] as const) {
      // The two IKE SAs as a sees them and as b does; either may be the newest at either side.
      const asA = [
        contender({ role: 'initiator', lowestNonce: ours }),
        contender({ role: 'responder', lowestNonce: theirs }),
      ] as const;
      const asB = [
        contender({ role: 'responder', lowestNonce: ours }),
        contender({ role: 'initiator', lowestNonce: theirs }),
      ] as const;
      const deleted = (view: readonly [Contender, Contender], newest: 0 | 1) => {
        const verdict = judge(view[newest], view[newest === 0 ? 1 : 0]);
        if (verdict === 'both stay') return [];
        return [verdict === 'delete newest' ? newest : 1 - newest];
      };
      for (const newestA of [0, 1] as const) {
        for (const newestB of [0, 1] as const) {
          const both = [...deleted(asA, newestA), ...deleted(asB, newestB)];
          expect(both).toEqual([ours < theirs ? 0 : 1]);
        }
      }
    }
  });
});
