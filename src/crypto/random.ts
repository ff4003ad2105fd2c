/** Randomness in small pieces. */
import { randomFillSync } from 'node:crypto';

const POOL_OCTETS = 4_096;

/**
 * Strong octets, cut from a pool that is filled by one call of OpenSSL's, which costs more than the
 * octets do. The pool keeps nothing of what it has handed out.
 */
export function pooledRandom(): (octets: number) => Uint8Array<ArrayBuffer> {
  const pool = new Uint8Array(POOL_OCTETS);
  let used = POOL_OCTETS;
  return (octets) => {
    if (octets > POOL_OCTETS) return randomFillSync(new Uint8Array(octets));
    if (used + octets > POOL_OCTETS) {
      randomFillSync(pool);
      used = 0;
    }
    const piece = pool.slice(used, used + octets);
    pool.fill(0, used, used + octets);
    used += octets;
    return piece;
  };
}
