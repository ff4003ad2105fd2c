/**
 * What a configuration says in vain: a policy all of whose packets an earlier one takes, since an SPD
 * is ordered (RFC 4301 §4.4.1). Left out: one that several earlier ones cover together, and what
 * comes after so many that each would take long to compare with all.
 */
import type { SpdEntry } from '../dataplane/dataplane.js';
import { isCovered, type SelectorPair } from '../policy/narrow.js';
import type { GatewayConfig } from './gateway-config.js';

const MOST_COMPARED = 500;

/** Hints, since a peer may still want such a connection, and send through it. */
export function shadowedPolicies({ spd }: Pick<GatewayConfig, 'spd'>): string[] {
  const outbound = spd.filter(({ direction }) => direction === 'outbound').slice(0, MOST_COMPARED);
  return outbound.flatMap((entry, i) => {
    const first = outbound.slice(0, i).find((earlier) => takesAllOf(earlier, entry));
    if (first === undefined) return [];
    return [`${nameOf(entry)} is sent nothing: ${nameOf(first)} comes before it and takes it all`];
  });
}

function takesAllOf(earlier: SpdEntry, entry: SpdEntry): boolean {
  return earlier.interface === entry.interface && isCovered(pairOf(entry), pairOf(earlier));
}

function pairOf({ localSelectors, remoteSelectors }: SpdEntry): SelectorPair {
  return { tsi: localSelectors, tsr: remoteSelectors };
}

function nameOf({ policy, action }: SpdEntry): string {
  return policy === undefined ? `[[policy]] with action "${action}"` : `connection ${policy}`;
}
