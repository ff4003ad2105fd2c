/**
 * The keys of an IKE SA at the beginning (RFC 7296 §2.14), and after each further key exchange, which
 * goes into them together with all before it (RFC 9370 §2.2.2).
 */
import { deriveIkeKeys, rekeyedSkeyseed, skeyseed } from '../../crypto/keymat.js';
import { prfById } from '../../crypto/prf.js';
import type { Secret } from '../../crypto/secret.js';
import { additionalMethods, type Suite } from '../../policy/suite.js';
import type { Core } from '../core.js';
import { Protection, protectionOf } from '../messages/protection.js';
import type { IkeSa } from './ike-sa.js';
import { Intermediate } from './intermediate.js';

/** What IKE_SA_INIT has brought besides the shared secret. */
export interface Exchanged {
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
  readonly initRequest: Uint8Array;
  readonly initResponse: Uint8Array;
}

/** SKEYSEED and all SK_* (§2.14), of either role. The shared secret is wiped. */
export function agreeOnKeys(
  sa: IkeSa,
  core: Core,
  suite: Suite,
  sharedSecret: Secret,
  exchanged: Exchanged,
): void {
  const prf = prfById(suite.prf!.id)!;
  sa.negotiated = { prf, suite, ...exchanged };
  sa.intermediate = new Intermediate(additionalMethods(suite));
  protect(sa, core, skeyseed(prf, exchanged.ni, exchanged.nr, sharedSecret));
  sharedSecret.wipe();
}

/**
 * SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr), and new SK_* (RFC 9370 §2.2.2). The shared secret is
 * wiped; the keys before serve for duplicates of what they have protected.
 */
export function strengthenKeys(sa: IkeSa, core: Core, sharedSecret: Secret): void {
  const { prf, ni, nr } = sa.negotiated!;
  const before = sa.protection!;
  protect(sa, core, rekeyedSkeyseed(prf, before.keys.skD, sharedSecret, ni, nr));
  sharedSecret.wipe();
  sa.channel.retire(before);
}

function protect(sa: IkeSa, core: Core, seed: Secret): void {
  const { prf, suite, ni, nr } = sa.negotiated!;
  const sk = protectionOf(suite);
  const keys = deriveIkeKeys(prf, sk, { skeyseed: seed, ni, nr, ...sa.spis });
  seed.wipe();
  sa.protection = new Protection(sk, keys, sa.role, core.environment);
}
