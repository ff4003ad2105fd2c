/**
 * When keys are renewed (RFC 7296 §2.8), and silent peers asked whether they live (§2.4): each side
 * by its own clock, sooner by a part that chance decides, so that the two seldom do it at once, and
 * one does not do it on all its IKE SAs at once; and when what the peer has put off is tried again
 * (§2.25).
 */
import type { Core } from '../core.js';
import type { Milliseconds } from '../event.js';

/** So many seconds, less a part that chance decides. */
export function shortened({ options, environment }: Core, seconds: number): Milliseconds {
  const delay = seconds * 1000;
  return Math.round(delay * (1 - options.rekeyJitter * unit(environment.random(2))));
}

/** Until the next attempt after so many that the peer has refused for now. */
export function postponedDelay({ options, environment }: Core, times: number): Milliseconds {
  const { postponedFirst, postponedMaximum } = options;
  const delay = Math.min(postponedFirst * 2 ** Math.max(0, times - 1), postponedMaximum);
  return Math.round(delay * (0.5 + unit(environment.random(2))));
}

/** 0 <= x < 1 of two random octets. */
function unit(random: Uint8Array): number {
  return (random[0]! * 256 + random[1]!) / 65536;
}
