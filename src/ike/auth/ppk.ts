/**
 * Postquantum preshared keys (RFC 8784): a secret of both sides that goes into the keys from which
 * AUTH and Child SAs come, so that who breaks the key exchange has nothing of it.
 */
import { mixPpk, type RootKeys } from '../../crypto/keymat.js';
import type { Connection, Ppk } from '../../policy/connection.js';
import { NOTIFY, type Payload, type PayloadOf } from '../../wire/index.js';
import { hasNotify, need, notify, notifyOf } from '../messages/payloads.js';
import { sameOctets } from '../messages/window.js';
import type { IkeSa } from '../sa/ike-sa.js';

/** RFC 8784 §5.1: an identity that both sides know; the other type is a number of a key server's. */
const PPK_ID_FIXED = 2;

/** The keys with this PPK in them. */
export function keysWithPpk(sa: IkeSa, { secret }: Ppk): RootKeys {
  return mixPpk(sa.negotiated!.prf, secret, sa.protection!.keys);
}

/** PPK_IDENTITY of a request; in a response it has nothing in it. */
export function ppkIdentity({ id }: Ppk): Payload {
  return notify(NOTIFY.PPK_IDENTITY, ppkIdOctets(id));
}

function ppkIdOctets(id: string): Uint8Array {
  return Uint8Array.of(PPK_ID_FIXED, ...new TextEncoder().encode(id));
}

/** Whether the peer can do it, as it has said in IKE_SA_INIT. */
export function usesPpk(payloads: readonly Payload[]): boolean {
  return hasNotify(payloads, NOTIFY.USE_PPK);
}

/**
 * The responder's decision (RFC 8784 §3, table 1): to use our PPK; to go on without, by the AUTH that
 * the initiator has made for that; or neither.
 */
export function decideOnPpk(
  sa: IkeSa,
  { ppk }: Connection,
  payloads: readonly Payload[],
): { readonly use: Ppk } | { readonly auth: PayloadOf<'AUTH'> } | undefined {
  const identity = sa.usesPpk ? notifyOf(payloads, NOTIFY.PPK_IDENTITY) : undefined;
  if (
    ppk !== undefined &&
    identity !== undefined &&
    sameOctets(identity.data, ppkIdOctets(ppk.id))
  ) {
    return { use: ppk };
  }
  if (ppk?.required) return undefined;
  const auth = need(payloads, 'AUTH');
  if (identity === undefined) return { auth };
  const without = notifyOf(payloads, NOTIFY.NO_PPK_AUTH);
  return without && { auth: { ...auth, data: without.data } };
}
