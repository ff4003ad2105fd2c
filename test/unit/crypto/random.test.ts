import { expect, it } from 'vitest';
import { pooledRandom } from '../../../src/crypto/random.js';

it('hands out pieces of any length, none of them twice', () => {
  const random = pooledRandom();
  const seen = new Set<string>();
  const lengths = [...Array.from({ length: 2_000 }, (_, i) => 8 + (i % 90)), 4_096, 5_000];
  for (const length of lengths) {
    const piece = random(length);
    expect(piece).toHaveLength(length);
    seen.add(Buffer.from(piece.subarray(0, 8)).toString('hex'));
  }
  expect(seen.size).toBe(lengths.length);
});

it('hands out memory of its own', () => {
  const random = pooledRandom();
  const first = random(16);
  const before = first.slice();
  random(4_096).fill(0);
  expect(first).toEqual(before);
  expect(first.buffer.byteLength).toBe(16);
});
