/**
 * What is done with the Child SAs of an IKE SA: asking for them, rekeying and deleting them, at
 * their time or on demand (RFC 7296 §1.3, §1.4.1, §2.8, §2.9).
 */
import { assertNever } from '../../crypto/assert-never.js';
import type { ChildPolicy } from '../../policy/connection.js';
import type { Core } from '../core.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { rekeyedSelectors } from '../tasks/child-offer.js';
import { CreateChild } from '../tasks/create-child.js';
import { deleteChild } from '../tasks/delete.js';
import { type InstalledChild, pairOf } from './child-sa.js';
import type { ChildTimerKind } from './children.js';
import { fallbackInUse, isAskedFor } from './resources.js';

/** Asks for a Child SA of the policy, unless that is under way. */
export function requestChild(sa: IkeSa, core: Core, policy: ChildPolicy): void {
  if (!isAskedFor(sa, policy, undefined)) sa.request(new CreateChild(sa, core, { policy }));
}

/** Asks for a Child SA of its own for a resource that sends on a fallback (RFC 9611). */
export function requestForResource(
  sa: IkeSa,
  core: Core,
  policy: ChildPolicy,
  resource: number,
): void {
  const fallback = fallbackInUse(sa, core, policy, resource);
  if (fallback === undefined) return;
  sa.request(new CreateChild(sa, core, { policy, selectors: pairOf(fallback), resource }));
}

/** Rekeys a Child SA, unless that is under way or it is on its way out. */
export function rekeyChild(sa: IkeSa, core: Core, child: InstalledChild): void {
  if (child.state !== 'installed') return;
  if (!child.known && !child.confirmed) {
    // The peer may not have our answer that tells it of this one.
    sa.children.startTimer(child, 'child-rekey', core.options.postponedFirst);
    return;
  }
  if (sa.isAbout(({ plan }) => plan?.rekeys === child)) return;
  const { policy } = child;
  const selectors = rekeyedSelectors(sa, child);
  sa.request(new CreateChild(sa, core, { policy, selectors, rekeys: child }));
}

/** It may be used no more: it is deleted, and another is made where the connection is kept up. */
export function endChild(sa: IkeSa, core: Core, child: InstalledChild, reason: string): void {
  const { state } = child;
  if (state === 'deleting') return;
  const isKnown = child.known || child.confirmed;
  if (state === 'rekeying' || !isKnown) {
    // Another may be about to take its place; or the peer may not have our answer that tells it of this one.
    sa.children.startTimer(child, 'child-end', core.options.postponedFirst);
    return;
  }
  deleteChild(sa, core, child, reason);
  if (state === 'installed') core.childGone(sa);
}

/** A timer of a Child SA has run out. */
export function childTimer(
  sa: IkeSa,
  core: Core,
  child: InstalledChild,
  kind: ChildTimerKind,
): void {
  switch (kind) {
    case 'child-rekey':
      rekeyChild(sa, core, child);
      break;
    case 'child-end':
      endChild(sa, core, child, 'its lifetime is over');
      break;
    case 'child-switch':
      sa.children.confirm(child);
      break;
    case 'child-replaced':
      endChild(sa, core, child, 'the peer has not deleted what it has replaced');
      break;
    default:
      assertNever(kind);
  }
}
