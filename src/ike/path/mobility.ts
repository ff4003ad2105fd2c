/**
 * MOBIKE (RFC 4555): what both say in IKE_AUTH, and where an end may be reached. Which addresses are
 * used is for the initiator of the first IKE SA to decide, the mover; the other follows, once the
 * mover has shown that it is there (§3.7).
 * Where its peer falls silent, the mover tries other addresses of both (`paths.ts`).
 */
import type { Connection } from '../../policy/connection.js';
import { NOTIFY, type Payload, parseAddress } from '../../wire/index.js';
import { hasNotify, notify } from '../messages/payloads.js';

export type Mobility = 'mover' | 'follower';

/** MOBIKE_SUPPORTED, with our addresses beside the one that is in use (§3.4). */
export function announceMobility({ local, mobike }: Connection, inUse: string): Payload[] {
  if (!mobike) return [];
  const others = [local.address, ...local.alternatives].filter((address) => address !== inUse);
  return [notify(NOTIFY.MOBIKE_SUPPORTED), ...others.map(additionalAddress)];
}

function additionalAddress(address: string): Payload {
  const octets = parseAddress(address)!;
  const { ADDITIONAL_IP4_ADDRESS, ADDITIONAL_IP6_ADDRESS } = NOTIFY;
  return notify(octets.length === 4 ? ADDITIONAL_IP4_ADDRESS : ADDITIONAL_IP6_ADDRESS, octets);
}

/** Whether both can do it. */
export function isMobile({ mobike }: Connection, payloads: readonly Payload[]): boolean {
  return mobike && hasNotify(payloads, NOTIFY.MOBIKE_SUPPORTED);
}
