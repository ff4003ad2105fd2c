import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChurnMap } from '../../src/churn-map.js';

describe('a map whose entries come and go', () => {
  it('has what a Map has, in its order, whatever is done to both', () => {
    const key = fc.nat(12);
    const steps = fc.array(
      fc.oneof(
        fc.tuple(fc.constant('set' as const), key),
        fc.tuple(fc.constant('delete' as const), key),
        fc.tuple(fc.constant('delete' as const), key),
      ),
      { maxLength: 600, size: 'max' },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const [map, churn] = [new Map<number, number>(), new ChurnMap<number, number>()];
        for (const [at, [what, k]] of all.entries()) {
          if (what === 'delete') expect(churn.delete(k)).toBe(map.delete(k));
          else {
            map.set(k, at);
            churn.set(k, at);
          }
          expect([churn.size, churn.has(k), churn.get(k)]).toEqual([
            map.size,
            map.has(k),
            map.get(k),
          ]);
        }
        expect([...churn.entries()]).toEqual([...map]);
        expect([...churn.keys()]).toEqual([...map.keys()]);
        expect([...churn.values()]).toEqual([...map.values()]);
      }),
    );
  });

  it('can be emptied from the front while it is gone through', () => {
    const churn = new ChurnMap<number, number>();
    for (let i = 0; i < 1_000; i++) churn.set(i, i);
    const seen: number[] = [];
    for (const value of churn.values()) {
      if (value >= 900) break;
      seen.push(value);
      churn.delete(value);
    }
    expect(seen).toEqual(Array.from({ length: 900 }, (_, i) => i));
    expect([...churn.keys()]).toEqual(Array.from({ length: 100 }, (_, i) => 900 + i));
    churn.clear();
    expect(churn.size).toBe(0);
  });
});
