import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type IkeSpi, type PeekedHeader, ZERO_IKE_SPI } from '../../../src/wire/index.js';
import { makeIkeSpi, ShardMap, shardOfSpi } from '../../../src/workers/shard-map.js';

function header(fields: Partial<PeekedHeader>): PeekedHeader {
  return {
    initiatorSpi: 'a1b2c3d4e5f60718' as IkeSpi,
    responderSpi: ZERO_IKE_SPI,
    majorVersion: 2,
    exchangeType: 34,
    initiator: true,
    response: false,
    messageId: 0,
    length: 28,
    ...fields,
  };
}

describe('the shard map', () => {
  it('makes SPIs that carry their shard, for every shard of every number of shards', () => {
    for (let shards = 1; shards <= 64; shards++) {
      for (let shard = 0; shard < shards; shard++) {
        for (let i = 0; i < 8; i++) {
          expect(shardOfSpi(makeIkeSpi(shard, shards, randomBytes), shards)).toBe(shard);
        }
      }
    }
  });

  it('marks SPIs where there is a key, as the gate before IKE knows them', () => {
    const key = Buffer.from('010203'.padEnd(64, '0'), 'hex');
    const random = () => Buffer.from([9, 1, 2, 3, 4, 5, 6, 7]);
    // printf '\011\001\002\003\004\005' | openssl dgst -sha256 -mac HMAC -macopt hexkey:010203000...
    expect(makeIkeSpi(0, 1, random, key)).toBe('0901020304057897');
    expect(makeIkeSpi(0, 1, random)).toBe('0901020304050607');
  });

  it('keeps all first octets of a shard in use', () => {
    let next = 0;
    const random = () => Buffer.from([next++ & 0xff, 1, 2, 3, 4, 5, 6, 7]);
    const octets = new Set(Array.from({ length: 256 }, () => makeIkeSpi(2, 3, random).slice(0, 2)));
    expect(octets.size).toBe(85);
  });

  it('never makes the SPI zero', () => {
    const draws = [Buffer.alloc(8), Buffer.from('0000000000000001', 'hex')];
    expect(makeIkeSpi(0, 4, () => draws.shift()!)).toBe('0000000000000001');
  });

  it('goes by our SPI, which the I flag tells from the peer’s', () => {
    const map = new ShardMap(8, randomBytes(32));
    const [initiatorSpi, responderSpi] = ['0300000000000000', '0500000000000000'] as IkeSpi[];
    const spis = { initiatorSpi: initiatorSpi!, responderSpi: responderSpi! };
    expect(map.ofMessage(header({ ...spis, initiator: true }), '192.0.2.9')).toBe(5);
    expect(map.ofMessage(header({ ...spis, initiator: false }), '192.0.2.9')).toBe(3);
    // A COOKIE or INVALID_KE_PAYLOAD answers our request without a responder SPI.
    const answer = header({ ...spis, responderSpi: ZERO_IKE_SPI, initiator: false });
    expect(map.ofMessage(answer, '192.0.2.9')).toBe(3);
  });

  it('sends a first request to the same shard each time, and spreads peers over all', () => {
    const map = new ShardMap(4, randomBytes(32));
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) {
      const initiatorSpi = randomBytes(8).toString('hex') as IkeSpi;
      const shard = map.ofMessage(header({ initiatorSpi }), '192.0.2.9');
      expect(map.ofMessage(header({ initiatorSpi }), '192.0.2.9')).toBe(shard);
      counts[shard]!++;
    }
    // 1000 each; 5 standard deviations are 137.
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(137);
  });

  it('places a request by initiator SPI and source, by a key of this process', () => {
    const shards = (key: Uint8Array) => {
      const map = new ShardMap(64, key);
      return Array.from({ length: 16 }, (_, i) => map.ofMessage(header({}), `192.0.2.${i}`));
    };
    const key = randomBytes(32);
    expect(shards(key)).toEqual(shards(key));
    expect(new Set(shards(key)).size).toBeGreaterThan(1);
    expect(shards(key)).not.toEqual(shards(randomBytes(32)));
  });

  it('refuses a number of shards that SPIs cannot carry', () => {
    for (const shards of [0, 65, 1.5]) {
      expect(() => new ShardMap(shards, randomBytes(32))).toThrow(RangeError);
    }
  });
});
