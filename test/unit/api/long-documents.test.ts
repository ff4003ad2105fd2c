import { describe, expect, it } from 'vitest';
import { composeIkeSas } from '../../../src/api/compose-status.js';
import { jsonParts } from '../../../src/api/json-parts.js';
import type { IkeSaView, IkeSpi } from '../../../src/ike/event.js';

const endpoint = { address: '192.0.2.1', port: 500 };
const spi = (number: number) => number.toString(16).padStart(16, '0') as IkeSpi;
const view = (connection: string, at: number): IkeSaView => ({
  ...{ connection, state: 'established', role: 'initiator', children: [] },
  ...{ initiatorSpi: spi(at), responderSpi: spi(255) },
  ...{ local: endpoint, remote: endpoint, localId: 'a', remoteId: 'b', proposal: 'AES' },
  ...{ natLocal: false, natRemote: false, startedAt: 0, establishedAt: 1000 },
});

/** How often others had a turn until `work` was done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let done = false;
  const count = () => {
    turns++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  await work;
  done = true;
  return turns;
}

describe('a status of very many IKE SAs', () => {
  it('is put together in parts, in which each connection has its own', async () => {
    const views = Array.from({ length: 5000 }, (_, n) => view(n % 2 ? 'odd' : 'even', n));
    const composing = composeIkeSas(views, { counters: () => undefined }, 3000);
    expect(await turnsDuring(composing)).toBeGreaterThanOrEqual(20);
    const found = await composing;
    expect([...found.keys()]).toEqual(['even', 'odd']);
    expect(found.get('odd')).toHaveLength(2500);
    expect(found.get('odd')![1]).toMatchObject({
      ...{ initiatorSpi: '0000000000000003', local: '192.0.2.1:500', ageSeconds: 2 },
    });
  });

  it('is written as JSON in parts, none of them long', () => {
    const sa = { spi: 'c0000001', age: 1.5, gone: undefined, nothing: null, text: '"\n\u2028' };
    const many = Array.from({ length: 1000 }, () => sa);
    const documents = [
      { first: undefined, name: 'a', connections: many, last: [] },
      { connections: [{ name: 'one', ikeSas: many }, { name: 'other' }] },
      many.map(() => undefined),
    ];
    for (const document of documents) {
      const parts = [...jsonParts(document)];
      expect(parts.join('')).toBe(JSON.stringify(document));
      expect(Math.max(...parts.map((part) => part.length))).toBeLessThan(200);
    }
    for (const short of [{}, [], 'a', 1, null, { a: [1, 2] }])
      expect([...jsonParts(short)]).toEqual([JSON.stringify(short)]);
  });
});
