/**
 * For how long the responder takes the initiator's authentication, and that it says so (RFC 4478): the
 * initiator proves itself anew, by a new IKE SA, before that is over.
 */
import type { Connection } from '../../policy/connection.js';
import { NOTIFY, type Payload } from '../../wire/index.js';
import { fourOctets, notify, notifyOf, numberOf } from '../messages/payloads.js';

/** Who says less would have us do nothing else; who says more is as good as silent. */
const LEAST_SECONDS = 30;
const MOST_SECONDS = 2_000_000;
/** Of the lifetime: the initiator renews it before the responder has to see to that. */
const INITIATORS_PART = 0.9;

/** AUTH_LIFETIME of an IKE_AUTH response; none where the authentication has no end. */
export function announceLifetime({ reauthSeconds }: Connection): Payload[] {
  if (reauthSeconds === 0) return [];
  return [notify(NOTIFY.AUTH_LIFETIME, fourOctets(reauthSeconds))];
}

/** Seconds after which to reauthenticate at the latest, as the peer has it; 0: it says nothing. */
export function announcedLifetime(payloads: readonly Payload[]): number {
  const lifetime = notifyOf(payloads, NOTIFY.AUTH_LIFETIME);
  const seconds = lifetime && numberOf(lifetime.data);
  if (seconds === undefined) return 0;
  return seconds > MOST_SECONDS ? 0 : Math.max(LEAST_SECONDS, INITIATORS_PART * seconds);
}
