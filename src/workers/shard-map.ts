/**
 * Which IKE worker a message belongs to.
 *
 * An SPI that we chose carries its shard: its first octet modulo the number of shards. Which of
 * the two SPIs is ours the I flag tells (RFC 7296 §3.1): the original initiator sets it. A
 * request without a responder SPI goes by a hash of initiator SPI and source address, so that
 * its retransmissions, and the repetition with a COOKIE (§2.6), find the same worker; the hash is
 * keyed, so that nobody outside can aim at one worker.
 */
import { createHmac } from 'node:crypto';
import { mac } from '../crypto/mac.js';
import type { IkeSpi, PeekedHeader } from '../wire/index.js';
import { ZERO_IKE_SPI } from '../wire/index.js';

export class ShardMap {
  readonly shards: number;
  readonly #key: Uint8Array;

  /**
   * @param shards  1 to 64
   * @param key     random octets, known to this process only
   */
  constructor(shards: number, key: Uint8Array) {
    if (!Number.isInteger(shards) || shards < 1 || shards > 64) {
      throw new RangeError(`${shards} shards: 1 to 64 are possible`);
    }
    this.shards = shards;
    this.#key = key;
  }

  ofMessage(header: PeekedHeader, sourceAddress: string): number {
    if (!header.initiator) return shardOfSpi(header.initiatorSpi, this.shards);
    if (header.responderSpi !== ZERO_IKE_SPI) return shardOfSpi(header.responderSpi, this.shards);
    return this.#hash(`${header.initiatorSpi} ${sourceAddress}`);
  }

  /** Where a connection that has no IKE SA yet is initiated. */
  ofConnection(name: string): number {
    return this.#hash(name);
  }

  #hash(text: string): number {
    if (this.shards === 1) return 0;
    return createHmac('sha256', this.#key).update(text).digest().readUInt32BE() % this.shards;
  }
}

export function shardOfSpi(spi: IkeSpi, shards: number): number {
  return Number.parseInt(spi.slice(0, 2), 16) % shards;
}

/**
 * A fresh SPI of ours that belongs to the shard; `random` answers strong octets.
 * @param key  of the mark by which the gate before IKE knows our SPIs (native/ike/gate.h): the last
 *             two octets are a MAC of the others; without it they are random too
 */
export function makeIkeSpi(
  shard: number,
  shards: number,
  random: (octets: number) => Uint8Array,
  key?: Uint8Array,
): IkeSpi {
  const octets = Buffer.from(random(8));
  // The octets 0 to 255 hold this many of the shard's values.
  const values = Math.floor((255 - shard) / shards) + 1;
  octets[0] = shard + shards * (octets[0]! % values);
  if (key !== undefined) {
    octets.set(mac('sha256', key, octets.subarray(0, 6)).subarray(0, 2), 6);
  }
  const spi = octets.toString('hex') as IkeSpi;
  return spi === ZERO_IKE_SPI ? makeIkeSpi(shard, shards, random, key) : spi;
}
