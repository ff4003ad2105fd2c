/**
 * Narrowing of traffic selectors (RFC 7296 §2.9): what both sides' policies have in common, and
 * what is left of a policy for further Child SAs where a peer takes one pair in each.
 */
import { contains, equalSelectors, intersect, type TrafficSelector } from '../wire/index.js';

/** Selectors of one Child SA: of the initiator's side and of the responder's. */
export interface SelectorPair {
  readonly tsi: readonly TrafficSelector[];
  readonly tsr: readonly TrafficSelector[];
}

/** More than that of one side is not looked at, and not answered. */
const MAX_SELECTORS = 64;

/** What policy and offer have in common, or undefined where that is nothing: TS_UNACCEPTABLE. */
export function narrow(policy: SelectorPair, offered: SelectorPair): SelectorPair | undefined {
  const tsi = narrowSide(policy.tsi, offered.tsi);
  const tsr = narrowSide(policy.tsr, offered.tsr);
  // An address of one family never talks to one of the other through a tunnel's policy.
  const both = (selectors: readonly TrafficSelector[], others: readonly TrafficSelector[]) =>
    selectors.filter(({ family }) => others.some((other) => other.family === family));
  const pair = { tsi: both(tsi, tsr), tsr: both(tsr, tsi) };
  return pair.tsi.length > 0 && pair.tsr.length > 0 ? pair : undefined;
}

/** Every intersection, in the order of the offer, without those inside another. */
function narrowSide(
  policy: readonly TrafficSelector[],
  offered: readonly TrafficSelector[],
): TrafficSelector[] {
  const found: TrafficSelector[] = [];
  for (const offer of offered.slice(0, MAX_SELECTORS)) {
    for (const own of policy) {
      const both = intersect(offer, own);
      if (both === undefined || found.some((other) => contains(other, both))) continue;
      if (found.length < MAX_SELECTORS) found.push(both);
    }
  }
  return found.filter(
    (one) => !found.some((other) => contains(other, one) && !equalSelectors(other, one)),
  );
}

/** Whether what is left has the first selectors of the offer, of both sides (§2.9). */
export function hasFirstChoices(narrowed: SelectorPair, offered: SelectorPair): boolean {
  const has = (selectors: readonly TrafficSelector[], first: TrafficSelector | undefined) =>
    first !== undefined && selectors.some((selector) => contains(selector, first));
  return has(narrowed.tsi, offered.tsi[0]) && has(narrowed.tsr, offered.tsr[0]);
}

/** Whether an answer asks for no more than what was offered (§2.9). */
export function isNarrowed(answer: SelectorPair, offered: SelectorPair): boolean {
  const within = (inner: readonly TrafficSelector[], outer: readonly TrafficSelector[]) =>
    inner.length > 0 && inner.every((one) => outer.some((other) => contains(other, one)));
  return within(answer.tsi, offered.tsi) && within(answer.tsr, offered.tsr);
}

/** Whether each packet that fits `inner` fits `outer`. */
export function isCovered(inner: SelectorPair, outer: SelectorPair): boolean {
  return isNarrowed(inner, outer);
}

export function sameSelectors(a: SelectorPair, b: SelectorPair): boolean {
  return isNarrowed(a, b) && isNarrowed(b, a);
}

/** More Child SAs than that are not made of one policy. */
const MAX_PAIRS = 64;

/**
 * Each selector of one side with each of the other, for a peer that takes one pair in a Child SA
 * (§2.9, SINGLE_PAIR_REQUIRED), without those that are covered already.
 */
export function remainingPairs(policy: SelectorPair, covered: readonly SelectorPair[]) {
  const pairs: SelectorPair[] = [];
  for (const one of policy.tsi) {
    for (const other of policy.tsr) {
      if (one.family !== other.family || pairs.length >= MAX_PAIRS) continue;
      const pair = { tsi: [one], tsr: [other] };
      if (!covered.some((outer) => isCovered(pair, outer))) pairs.push(pair);
    }
  }
  return pairs;
}
