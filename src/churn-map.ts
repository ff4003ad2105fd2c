/**
 * A Map whose entries come and go: thousands a second, with few there at once.
 *
 * V8 gives a Map another table when deleted entries fill the one that it has, and the old table keeps
 * hold of the new one. Once a table has grown old, the young ones after it count as in use until the
 * whole heap is looked at, with all that was in them then: each IKE SA of a busy responder was moved
 * to the old generation on its way out. Here another Map takes the place of one that has lost as many
 * entries as it has, and the chain ends.
 */

/** Deleted entries of a small one: it is not made anew for each. */
const LEAST_DELETED = 32;

export class ChurnMap<K, V> {
  #map = new Map<K, V>();
  #deleted = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  set(key: K, value: V): void {
    this.#map.set(key, value);
  }

  delete(key: K): boolean {
    if (!this.#map.delete(key)) return false;
    if (++this.#deleted > this.#map.size + LEAST_DELETED) this.#become(new Map(this.#map));
    return true;
  }

  clear(): void {
    this.#become(new Map());
  }

  /** In the order in which they were set first; what has been passed may be deleted meanwhile. */
  keys(): IterableIterator<K> {
    return this.#map.keys();
  }

  /** Likewise. */
  values(): IterableIterator<V> {
    return this.#map.values();
  }

  /** Likewise. */
  entries(): IterableIterator<[K, V]> {
    return this.#map.entries();
  }

  #become(map: Map<K, V>): void {
    this.#map = map;
    this.#deleted = 0;
  }
}
