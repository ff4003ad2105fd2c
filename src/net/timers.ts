/**
 * Named timers of one IKE worker, of which there may be a hundred thousand: a heap over one timer of
 * the runtime. Those that run out together are told of in slices, with a turn of the event loop
 * between two, so that what arrives does not wait for all of them.
 *
 * A name has one timer at most: starting it again moves it.
 */
import { ChurnMap } from '../churn-map.js';
import type { Milliseconds } from '../ike/event.js';
import { monotonicNow } from './clock.js';

/** setTimeout treats a longer delay as none. */
const MAX_DELAY = 2 ** 31 - 1;
/** Longest that one turn tells of timers. */
const SLICE_MS = 10;
/** Timers in the heap that were moved or cancelled, above which it is made anew. */
const MAX_DEAD = 1_024;

interface Timer {
  readonly name: string;
  readonly at: Milliseconds;
}

export class Timers {
  /** Those that run. */
  readonly #timers = new ChurnMap<string, Timer>();
  /** A binary heap by time, with some that do not run any more. */
  #heap: Timer[] = [];
  readonly #expired: (name: string) => void;
  /** Of the runtime, and when it runs out. */
  #alarm: NodeJS.Timeout | undefined;
  #alarmAt: Milliseconds = Number.POSITIVE_INFINITY;
  #next: NodeJS.Immediate | undefined;

  constructor(expired: (name: string) => void) {
    this.#expired = expired;
  }

  get size(): number {
    return this.#timers.size;
  }

  start(name: string, delay: Milliseconds): void {
    const timer = { name, at: monotonicNow() + Math.max(0, delay) };
    this.#timers.set(name, timer);
    push(this.#heap, timer);
    if (this.#heap.length > 2 * this.#timers.size + MAX_DEAD) this.#compact();
    if (timer.at < this.#alarmAt) this.#setAlarm(timer.at);
  }

  cancel(name: string): void {
    this.#timers.delete(name);
  }

  clear(): void {
    this.#timers.clear();
    this.#heap = [];
    clearTimeout(this.#alarm);
    clearImmediate(this.#next);
    this.#next = undefined;
    this.#alarmAt = Number.POSITIVE_INFINITY;
  }

  #isRunning(timer: Timer): boolean {
    return this.#timers.get(timer.name) === timer;
  }

  #compact(): void {
    // What is sorted is a heap.
    this.#heap = [...this.#timers.values()].sort((a, b) => a.at - b.at);
  }

  #setAlarm(at: Milliseconds): void {
    clearTimeout(this.#alarm);
    this.#alarmAt = at;
    const delay = Math.ceil(at - monotonicNow());
    this.#alarm = setTimeout(() => this.#run(), Math.min(Math.max(0, delay), MAX_DELAY));
  }

  /** Tells of those that have run out, as long as that does not take long. */
  #run(): void {
    this.#next = undefined;
    // Timers that are started meanwhile are seen here.
    this.#alarmAt = Number.NEGATIVE_INFINITY;
    const began = monotonicNow();
    let now = began;
    while (this.#heap.length > 0) {
      const first = this.#heap[0]!;
      const runs = this.#isRunning(first);
      if (runs && first.at > now) break;
      if (now - began >= SLICE_MS) {
        this.#next = setImmediate(() => this.#run());
        return;
      }
      pop(this.#heap);
      if (!runs) continue;
      this.#timers.delete(first.name);
      this.#expired(first.name);
      now = monotonicNow();
    }
    const [first] = this.#heap;
    if (first === undefined) this.#alarmAt = Number.POSITIVE_INFINITY;
    else this.#setAlarm(first.at);
  }
}

function push(heap: Timer[], timer: Timer): void {
  let at = heap.length;
  heap.push(timer);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]!.at <= timer.at) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = timer;
}

/** Takes the first one off. */
function pop(heap: Timer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
    if (heap[child]!.at >= last.at) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}
