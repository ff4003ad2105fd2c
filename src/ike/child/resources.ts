/**
 * Child SAs of single resources (RFC 9611): a group of Child SAs with the same selectors, of which
 * one is for all resources, the fallback, and each other one for one of them. A resource is a lane
 * of the dataplane, that is a queue of its ports, whoever serves it; its number is the identifier.
 *
 * Which resource the peer's identifiers name is for people only. A further Child SA is asked for
 * when the dataplane says that a resource sends on the fallback for want of its own: none is made
 * ahead of traffic, and none again that the peer has deleted as idle before there is some.
 */
import type { ChildPolicy } from '../../policy/connection.js';
import { type SelectorPair, sameSelectors } from '../../policy/narrow.js';
import type { Suite } from '../../policy/suite.js';
import type { ChildSa } from '../../sad/sad.js';
import { NOTIFY, type Payload, type PayloadOf } from '../../wire/index.js';
import type { Core } from '../core.js';
import { fourOctets, notify, notifyOf } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { ChildState } from '../sa/state.js';
import { type InstalledChild, pairOf } from './child-sa.js';

/** The part of a Child SA in its group; both peers have said that it is of one. */
export interface GroupPart {
  /** Which sends on it; undefined: all that have none of their own. */
  readonly resource: number | undefined;
  /** The peer's identifier of its own resource, as far as it is kept. */
  readonly peer: Uint8Array;
}

/** What is kept of an identifier, which may be of any length. */
const MAX_IDENTIFIER_OCTETS = 32;

/** Further Child SAs of a group by default, at least: a peer may have more resources than we. */
const MIN_FURTHER = 16;

/** N(SA_RESOURCE_INFO), with the identifier of the resource; that of the fallback has none (§5.1). */
export function resourceInfo(resource: number | undefined): PayloadOf<'N'> {
  if (resource === undefined) return notify(NOTIFY.SA_RESOURCE_INFO);
  return notify(NOTIFY.SA_RESOURCE_INFO, fourOctets(resource));
}

/** The identifier in the message, perhaps an empty one; undefined: it is of no group. */
export function peerIdentifier(payloads: readonly Payload[]): Uint8Array | undefined {
  const info = notifyOf(payloads, NOTIFY.SA_RESOURCE_INFO);
  return info?.data.slice(0, MAX_IDENTIFIER_OCTETS);
}

/** What the dataplane is told: whose it is, and whether who has none of its own is to ask for one. */
export function partInDataplane(
  { options }: Core,
  group: GroupPart | undefined,
): Pick<ChildSa, 'resource' | 'asks'> {
  if (group === undefined) return {};
  if (group.resource !== undefined) return { resource: group.resource };
  return options.resources > 1 ? { asks: true } : {};
}

/** Whether it is for one resource, and not for all. */
export function isOfResource({ group }: Pick<InstalledChild, 'group'>): boolean {
  return group?.resource !== undefined;
}

const IN_USE: readonly ChildState[] = ['installed', 'rekeying'];

/** Those of the same policy and selectors that are in use, or in these states, whatever their part. */
function alike(
  sa: IkeSa,
  policy: ChildPolicy,
  pair: SelectorPair,
  states: readonly ChildState[] = IN_USE,
): InstalledChild[] {
  return [...sa.children].filter(
    (child) =>
      child.policy.name === policy.name &&
      states.includes(child.state) &&
      sameSelectors(pairOf(child), pair),
  );
}

function isFallback(child: InstalledChild): boolean {
  return child.group !== undefined && !isOfResource(child);
}

/** Most Child SAs of a group beside the fallback: twice as many as resources, at least. */
function mostFurther({ perResource }: ChildPolicy, { options }: Core): number {
  if (perResource === undefined) return 0;
  return perResource === 'auto' ? Math.max(MIN_FURTHER, 2 * options.resources) : perResource;
}

// --- the responder ----------------------------------------------------------------------------

/** What a request is answered that would make one Child SA too many, or another than the first. */
export type GroupRefusal = 'too many' | 'of another kind';

/**
 * The part of a Child SA that the peer asks for, or why it may have none; undefined: it is of no
 * group.
 * @param pair  its selectors, ours first
 */
export function partOfRequest(
  sa: IkeSa,
  core: Core,
  { policy, pair, suite }: { policy: ChildPolicy; pair: SelectorPair; suite: Suite },
  payloads: readonly Payload[],
): GroupPart | GroupRefusal | undefined {
  const peer = peerIdentifier(payloads);
  if (peer === undefined) return undefined;
  const others = alike(sa, policy, pair);
  const fallback = others.find(isFallback);
  // Who names none may ask for a fallback that we have had made before it knew (`findTwin`).
  const { now, options } = core;
  const isRecent = (fallback?.installedAt ?? 0) > now - options.switchDelay;
  if (peer.length === 0 && fallback?.role === 'initiator' && isRecent) {
    return { resource: undefined, peer };
  }
  const further = others.filter(isOfResource);
  // Who names a resource while the fallback goes has asked for one beside it.
  const going = () => alike(sa, policy, pair, ['deleting']).find(isFallback);
  const first = fallback ?? (peer.length > 0 ? (further[0] ?? going()) : undefined);
  if (first === undefined) {
    if (policy.perResource !== undefined) return { resource: undefined, peer };
    return others.length === 0 ? undefined : 'too many';
  }
  if (further.length >= mostFurther(policy, core)) return 'too many';
  // All of a group have the same properties.
  if (!sameProtection(first.suite, suite)) return 'of another kind';
  return { resource: leastUsed(sa, core, policy, further), peer };
}

/** The resource with the fewest Child SAs of the group, those that we have asked for included. */
function leastUsed(
  sa: IkeSa,
  core: Core,
  policy: ChildPolicy,
  further: readonly InstalledChild[],
): number {
  const uses = new Array<number>(core.options.resources).fill(0);
  for (const { group } of further) uses[group!.resource!]!++;
  for (const resource of uses.keys()) if (isAskedFor(sa, policy, resource)) uses[resource]!++;
  return uses.indexOf(Math.min(...uses));
}

function sameProtection(a: Suite, b: Suite): boolean {
  const key = ({ encryption, integrity, esn }: Suite) =>
    [encryption?.id, encryption?.keyBits, integrity?.id, esn].join();
  return key(a) === key(b);
}

// --- the initiator ----------------------------------------------------------------------------

/** What is said of the Child SA that is asked for. */
export function offeredInfo(
  policy: ChildPolicy,
  resource: number | undefined,
  rekeys?: InstalledChild,
): PayloadOf<'N'> | undefined {
  if (rekeys !== undefined) return rekeys.group && resourceInfo(rekeys.group.resource);
  return policy.perResource === undefined ? undefined : resourceInfo(resource);
}

/** The part of the Child SA that the peer has granted; after a rekeying it is that of the old one. */
export function partOfAnswer(
  offered: PayloadOf<'N'> | undefined,
  resource: number | undefined,
  payloads: readonly Payload[],
  rekeys?: InstalledChild,
): GroupPart | undefined {
  const peer = peerIdentifier(payloads);
  if (rekeys !== undefined) return rekeys.group && { ...rekeys.group, ...(peer && { peer }) };
  if (offered === undefined || peer === undefined) return undefined;
  return { resource, peer };
}

/**
 * Whether nothing of a group is there any more: then the one that the peer has made is for all, as at
 * its beginning; unless the peer names a resource of its own, having had the group then.
 */
export function isGroupGone(
  sa: IkeSa,
  policy: ChildPolicy,
  pair: SelectorPair,
  payloads: readonly Payload[],
): boolean {
  const namesResource = (peerIdentifier(payloads)?.length ?? 0) > 0;
  return !namesResource && alike(sa, policy, pair).every(({ group }) => group === undefined);
}

/** The fallback that the resource sends on for want of its own, where it may have one yet to be asked for. */
export function fallbackInUse(
  sa: IkeSa,
  core: Core,
  policy: ChildPolicy,
  resource: number,
): InstalledChild | undefined {
  if (resource >= core.options.resources || isAskedFor(sa, policy, resource)) return undefined;
  return [...sa.children].find((child) => lacks(sa, core, child, policy, resource));
}

/** Whether the resource still has none of its own beside a fallback of these selectors. */
export function isWanted(
  sa: IkeSa,
  core: Core,
  policy: ChildPolicy,
  pair: SelectorPair,
  resource: number,
): boolean {
  return alike(sa, policy, pair).some((child) => lacks(sa, core, child, policy, resource));
}

/** Whether `child` is a fallback beside which the resource has no Child SA, and may have one. */
function lacks(
  sa: IkeSa,
  core: Core,
  child: InstalledChild,
  policy: ChildPolicy,
  resource: number,
): boolean {
  if (child.policy.name !== policy.name || child.group === undefined) return false;
  if (isOfResource(child) || (child.state !== 'installed' && child.state !== 'rekeying')) {
    return false;
  }
  const further = alike(sa, policy, pairOf(child)).filter(isOfResource);
  return (
    further.every(({ group }) => group!.resource !== resource) &&
    further.length < mostFurther(policy, core) &&
    further.length < sa.children.mostOf(groupOf(policy, pairOf(child)))
  );
}

/** Whether a Child SA of the policy is asked for, for one resource or, where none is named, for all. */
export function isAskedFor(sa: IkeSa, policy: ChildPolicy, resource: number | undefined): boolean {
  return sa.isAbout(({ plan }) => plan?.policy.name === policy.name && plan.resource === resource);
}

/** The peer has refused one more: none is asked for as long as there are as many as now. */
export function haveEnough(sa: IkeSa, policy: ChildPolicy, pair: SelectorPair): void {
  const further = alike(sa, policy, pair).filter(isOfResource);
  sa.children.limit(groupOf(policy, pair), further.length);
}

function groupOf({ name }: ChildPolicy, pair: SelectorPair): string {
  return `${name} ${JSON.stringify(pair)}`;
}
