/**
 * Several IKE SAs with one peer: which of them go.
 *
 * - INITIAL_CONTACT (RFC 7296 §2.4): the peer knows of no other, so those that were established
 *   before it began are dead; they go without a Delete. Those that were under way at the same
 *   time are not meant: each side has sent INITIAL_CONTACT before it knew of the other's.
 * - Both sides initiate at once: an attempt of ours that has not sent IKE_AUTH gives way to the
 *   one of the peer's that is established. Where both have got through, the IKE SA with the
 *   lowest of the four nonces is deleted by its initiator, as RFC 7296 §2.8.1 has it of rekeying.
 * - Otherwise they stay: a peer may want several (§2.8). The number is bounded all the same.
 *
 * `at` times are of this side's clock. Both sides see the same nonces, so that they never delete
 * one each.
 */
import type { Milliseconds } from '../event.js';
import type { Role } from './state.js';

/** What is compared of an IKE SA. */
export interface Contender {
  readonly role: Role;
  /** When its IKE_SA_INIT request was sent or received. */
  readonly startedAt: Milliseconds;
  readonly establishedAt: Milliseconds;
  /** The lower of Ni and Nr, in hexadecimal digits. */
  readonly lowestNonce: string;
  /** The initiator has sent INITIAL_CONTACT. */
  readonly initialContact: boolean;
}

/** What becomes of the other IKE SA once `newest` is established. */
export type Verdict =
  | 'both stay'
  /** The peer has forgotten the other: it goes without a Delete. */
  | 'other is dead'
  /** We delete ours; the peer knows as much and leaves it to us. */
  | 'delete other'
  | 'delete newest';

export function judge(newest: Contender, other: Contender): Verdict {
  const otherWasThere = other.establishedAt < newest.startedAt;
  if (newest.role === 'responder' && newest.initialContact && otherWasThere) {
    return 'other is dead';
  }
  if (newest.role === other.role || otherWasThere) return 'both stay';
  const loser = newest.lowestNonce < other.lowestNonce ? newest : other;
  if (loser.role !== 'initiator') return 'both stay';
  return loser === newest ? 'delete newest' : 'delete other';
}
