/**
 * What is done with the Child SAs of an IKE SA: asking for them, rekeying and deleting them, at
 * their time or on demand (RFC 7296 §1.3, §1.4.1, §2.8, §2.9).
 */
import { assertNever } from '../crypto/assert-never.js';
import type { ChildPolicy } from '../policy/connection.js';
import { remainingPairs, type SelectorPair } from '../policy/narrow.js';
import type { InstalledChild } from './child-sa.js';
import type { ChildTimerKind } from './children.js';
import type { Core } from './core.js';
import type { IkeSa } from './ike-sa.js';
import { isOfResource } from './resources.js';
import { policySelectors, rekeyedSelectors } from './tasks/child-offer.js';
import { CreateChild } from './tasks/create-child.js';
import { DeleteChild } from './tasks/delete.js';

/** The selectors of a Child SA, seen from our side as its initiator. */
export function pairOf({ sa: { localSelectors, remoteSelectors } }: InstalledChild): SelectorPair {
  return { tsi: localSelectors, tsr: remoteSelectors };
}

/** Those of all Child SAs of a policy that are there for all senders, and stay. */
export function selectorsOf(sa: IkeSa, policy: ChildPolicy): SelectorPair[] {
  return [...sa.children]
    .filter((child) => child.policy.name === policy.name && child.state !== 'deleting')
    .filter((child) => !isOfResource(child))
    .map(pairOf);
}

/** Asks for a Child SA of the policy, unless that is under way. */
export function requestChild(sa: IkeSa, core: Core, policy: ChildPolicy): void {
  const isAsked = sa.isAbout(
    (task) =>
      task instanceof CreateChild &&
      task.plan.policy.name === policy.name &&
      task.plan.resource === undefined,
  );
  if (!isAsked) sa.request(new CreateChild(sa, core, { policy }));
}

/**
 * Asks for what of a policy is in no Child SA yet, one pair of selectors in each, once on this IKE
 * SA (§2.9). False where nothing is left to ask for.
 */
export function requestPairs(sa: IkeSa, core: Core, policy: ChildPolicy): boolean {
  const left = remainingPairs(policySelectors(sa, policy), selectorsOf(sa, policy)).filter((pair) =>
    sa.isFirstTry(`${policy.name} ${JSON.stringify(pair)}`),
  );
  for (const selectors of left) sa.request(new CreateChild(sa, core, { policy, selectors }));
  return left.length > 0;
}

/** Rekeys a Child SA, unless that is under way or it is on its way out. */
export function rekeyChild(sa: IkeSa, core: Core, child: InstalledChild): void {
  if (child.state !== 'installed') return;
  if (!child.known && !child.confirmed) {
    // The peer may not have our answer that tells it of this one.
    sa.children.startTimer(child, 'child-rekey', core.options.postponedFirst);
    return;
  }
  const isAsked = sa.isAbout((task) => task instanceof CreateChild && task.plan.rekeys === child);
  if (isAsked) return;
  const { policy } = child;
  const selectors = rekeyedSelectors(sa, child);
  sa.request(new CreateChild(sa, core, { policy, selectors, rekeys: child }));
}

/** Sends nothing on it any more and has the peer delete it; what arrives until then is received. */
export function deleteChild(sa: IkeSa, core: Core, child: InstalledChild, reason: string): void {
  sa.log('debug', `Child SA is to be deleted: ${reason}`);
  sa.children.move(child, 'deleting');
  sa.children.retire(child);
  sa.request(new DeleteChild(sa, core, child.sa, child));
}

/** It may be used no more: it is deleted, and another is made where the connection is kept up. */
export function endChild(sa: IkeSa, core: Core, child: InstalledChild, reason: string): void {
  if (child.state !== 'installed' && child.state !== 'replaced') return;
  if (!child.known && !child.confirmed) {
    sa.children.startTimer(child, 'child-end', core.options.postponedFirst);
    return;
  }
  const { state } = child;
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
