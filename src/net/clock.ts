/** The monotonic clock that all threads of the process share. */
import type { Milliseconds } from '../ike/event.js';

/** Unlike `performance.now()`, whose origin differs from thread to thread. */
export function monotonicNow(): Milliseconds {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
