/** What guided fuzzing has found its way by, once more; `npm run fuzz:guided` looks for more. */
import { describe, expect, it } from 'vitest';
import { readCorpus, TARGETS } from '../../fuzz/seeds.js';

describe.each(Object.keys(TARGETS))('each case of the corpus "%s"', (name) => {
  it('has an end that is known', () => {
    const corpus = readCorpus(name);
    expect(corpus.length).toBeGreaterThan(20);
    for (const data of corpus)
      expect(TARGETS[name]!(data)).toMatch(/^(accepted|refused|established|half-open)/);
  });
});
