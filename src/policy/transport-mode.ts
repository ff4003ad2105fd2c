/**
 * The traffic selectors of transport mode (RFC 7296 §1.3.1, §2.23.1): the packets' own addresses are
 * the ends of the SA, so each selector is about these two alone. Behind a NAT each side knows other
 * addresses than its peer; the responder puts its own in their place, and the peer's back again.
 */
import {
  compareAddresses,
  familyOf,
  hostSelector,
  intersect,
  type TrafficSelector,
} from '../wire/index.js';
import type { SelectorPair } from './narrow.js';

/** Addresses on the initiator's and on the responder's side. */
export interface Ends {
  readonly tsi: Uint8Array;
  readonly tsr: Uint8Array;
}

/** What of the selectors is about packets between the two ends. */
export function betweenEnds({ tsi, tsr }: SelectorPair, ends: Ends): SelectorPair {
  const of = (selectors: readonly TrafficSelector[], end: Uint8Array) =>
    selectors
      .map((selector) => intersect(selector, hostSelector(end)))
      .filter((both) => both !== undefined);
  return { tsi: of(tsi, ends.tsi), tsr: of(tsr, ends.tsr) };
}

/** The same protocols and ports between other addresses, of the sides that are named. */
export function withEnds({ tsi, tsr }: SelectorPair, ends: Partial<Ends>): SelectorPair {
  const of = (selectors: readonly TrafficSelector[], end: Uint8Array | undefined) =>
    selectors.map((selector) =>
      end === undefined || selector.family !== familyOf(end)
        ? selector
        : { ...selector, startAddress: end, endAddress: end },
    );
  return { tsi: of(tsi, ends.tsi), tsr: of(tsr, ends.tsr) };
}

/** The one address of each side; undefined where a side has more, or none (§2.23.1 forbids both). */
export function endsOf({ tsi, tsr }: SelectorPair): Ends | undefined {
  const [i, r] = [onlyAddress(tsi), onlyAddress(tsr)];
  return i === undefined || r === undefined ? undefined : { tsi: i, tsr: r };
}

function onlyAddress(selectors: readonly TrafficSelector[]): Uint8Array | undefined {
  const [first] = selectors;
  const isOnly = selectors.every(
    ({ family, startAddress, endAddress }) =>
      family === first!.family &&
      compareAddresses(startAddress, first!.startAddress) === 0 &&
      compareAddresses(endAddress, first!.startAddress) === 0,
  );
  return isOnly ? first?.startAddress : undefined;
}
