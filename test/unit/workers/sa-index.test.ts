import { describe, expect, it } from 'vitest';
import type { IkeSpi } from '../../../src/wire/index.js';
import { type IndexedSa, SaIndex } from '../../../src/workers/sa-index.js';

function sa(spi: string, fields: Partial<IndexedSa> = {}): IndexedSa {
  return {
    ikeSpi: spi as IkeSpi,
    shard: 0,
    connection: 'office',
    peerIdentity: 'b.example',
    begunAt: 0,
    establishedAt: 10,
    ...fields,
  };
}

describe('the index of established IKE SAs', () => {
  it('finds in all shards what an INITIAL_CONTACT supersedes', () => {
    const index = new SaIndex();
    index.add(sa('01'), false);
    index.add(sa('02', { shard: 1, establishedAt: 20 }), false);
    const superseded = index.add(sa('03', { shard: 2, begunAt: 30, establishedAt: 40 }), true);
    expect(superseded.map(({ ikeSpi, shard }) => [ikeSpi, shard])).toEqual([
      ['01', 0],
      ['02', 1],
    ]);
  });

  it('keeps older SAs where there is no INITIAL_CONTACT', () => {
    const index = new SaIndex();
    index.add(sa('01'), false);
    expect(index.add(sa('02', { begunAt: 30 }), false)).toEqual([]);
  });

  it('keeps SAs with another identity or of another connection', () => {
    const index = new SaIndex();
    index.add(sa('01', { peerIdentity: 'c.example' }), false);
    index.add(sa('02', { connection: 'lab' }), false);
    expect(index.add(sa('03', { begunAt: 30 }), true)).toEqual([]);
  });

  it('keeps both SAs where both sides initiated at once', () => {
    const index = new SaIndex();
    index.add(sa('01', { begunAt: 0, establishedAt: 10 }), true);
    expect(index.add(sa('02', { begunAt: 5, establishedAt: 12 }), true)).toEqual([]);
  });

  it('forgets a shard that died, and nothing else', () => {
    const index = new SaIndex();
    index.add(sa('01', { shard: 0 }), false);
    index.add(sa('02', { shard: 1 }), false);
    expect(index.removeShard(0).map(({ ikeSpi }) => ikeSpi)).toEqual(['01']);
    expect(index.ofConnection('office').map(({ ikeSpi }) => ikeSpi)).toEqual(['02']);
    expect(index.remove('02' as IkeSpi)?.shard).toBe(1);
    expect(index.size).toBe(0);
  });
});
