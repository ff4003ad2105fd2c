/** The monotonic clock that all threads of the process share. */
import type { Milliseconds } from '../ike/event.js';

/** Unlike `performance.now()`, whose origin differs from thread to thread. */
export function monotonicNow(): Milliseconds {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
