/** Mutations of octets, for fuzzing: one of these at a time, or several after each other. */
import type { Random } from './random.js';

const INTERESTING = [0, 1, 2, 3, 4, 7, 8, 16, 33, 40, 46, 48, 53, 127, 128, 254, 255];

type Mutation = (data: Uint8Array, random: Random, corpus: readonly Uint8Array[]) => Uint8Array;

export function splice(data: Uint8Array, at: number, remove: number, insert: Uint8Array) {
  const end = Math.min(data.length, at + remove);
  const result = new Uint8Array(data.length - (end - at) + insert.length);
  result.set(data.subarray(0, at));
  result.set(insert, at);
  result.set(data.subarray(end), at + insert.length);
  return result;
}

export function noise(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => random.next());
}

const mutations: readonly Mutation[] = [
  (data, random) => {
    if (data.length > 0) data[random.below(data.length)]! ^= 1 << random.below(8);
    return data;
  },
  (data, random) => {
    if (data.length > 0) data[random.below(data.length)] = random.pick(INTERESTING);
    return data;
  },
  (data, random) => {
    if (data.length > 0) data[random.below(data.length)] = random.below(256);
    return data;
  },
  (data, random) => {
    // A length, a count or a type, a little off.
    if (data.length < 2) return data;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const at = random.below(data.length - 1);
    view.setUint16(at, view.getUint16(at) + random.below(17) - 8);
    return data;
  },
  (data, random) => data.subarray(0, random.below(data.length + 1)),
  (data, random) =>
    splice(data, random.below(data.length + 1), random.below(40), new Uint8Array(0)),
  (data, random) => splice(data, random.below(data.length + 1), 0, noise(random, random.below(24))),
  (data, random) => {
    const from = random.below(data.length + 1);
    const copy = data.slice(from, from + random.below(200));
    return splice(data, random.below(data.length + 1), 0, copy);
  },
  (data, random, corpus) => {
    if (corpus.length === 0) return data;
    const other = random.pick(corpus);
    const from = random.below(other.length);
    const part = other.slice(from, from + random.below(300));
    return splice(data, random.below(data.length + 1), random.below(300), part);
  },
];

/**
 * A changed copy of `data`: up to three mutations, sometimes up to eight.
 * @param corpus  what parts are taken from
 */
export function mutate(
  data: Uint8Array,
  random: Random,
  corpus: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  let changed: Uint8Array = data.slice();
  for (let n = 1 + random.below(random.oneIn(3) ? 8 : 3); n > 0; n--) {
    changed = random.pick(mutations)(changed, random, corpus);
  }
  return changed.slice(0, 0xffff);
}
