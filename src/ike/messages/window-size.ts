/**
 * SET_WINDOW_SIZE (RFC 7296 §2.3): how many requests each side takes before it has answered the first
 * of them. It is said with IKE_AUTH; of an IKE SA that rekeying has made, whose window is 1 again, with
 * the first INFORMATIONAL and its response.
 */
import { NOTIFY, type Payload, type PayloadOf } from '../../wire/index.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { fourOctets, notify, notifyOf, numberOf } from './payloads.js';

/** Tells the peer, unless it is 1 or told already. */
export function announceWindow({ connection, window }: IkeSa): PayloadOf<'N'>[] {
  const { windowSize } = connection!;
  if (windowSize <= window.offered) return [];
  window.offer(windowSize);
  return [notify(NOTIFY.SET_WINDOW_SIZE, fourOctets(windowSize))];
}

/** The peer may have told us. @returns whether it has */
export function heedWindow({ connection, window }: IkeSa, payloads: readonly Payload[]): boolean {
  const told = notifyOf(payloads, NOTIFY.SET_WINDOW_SIZE);
  const size = told && numberOf(told.data);
  if (size === undefined) return false;
  window.grant(Math.min(size, connection!.windowSize));
  return true;
}
