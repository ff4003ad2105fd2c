/** The packets of one connection: outside between the gateways, inside between their networks. */
import type { FilterCondition, PacketFilter } from '../dataplane/watch.js';
import type { Connection } from '../policy/connection.js';
import { formatAddress, type TrafficSelector } from '../wire/index.js';

/** Where the gateways are now, by their IKE SA. */
export interface GatewayPair {
  readonly local: { readonly address: string };
  readonly remote: { readonly address: string };
}

/** No list of conditions at all would be every packet. */
const NOTHING: PacketFilter = [
  [
    { field: 'protocol', value: 0 },
    { field: 'protocol', value: 0, negated: true },
  ],
];

/**
 * At ports. A route-based tunnel is inside nowhere but on its interface.
 * @param pairs  of its IKE SAs; without any, the addresses of the configuration count
 */
export function connectionFilter(
  { local, remote, children, interface: tun }: Connection,
  pairs: readonly GatewayPair[],
): PacketFilter {
  const known: readonly GatewayPair[] =
    pairs.length > 0 || remote.address === '%any' ? pairs : [{ local, remote }];
  const outside = known.map((pair) => [host(pair.local.address), host(pair.remote.address)]);
  const byPolicy = tun === undefined ? children : [];
  const inside = byPolicy.flatMap(({ localSelectors, remoteSelectors }) =>
    localSelectors.flatMap((here) =>
      remoteSelectors
        .filter(({ family }) => family === here.family)
        .map((there) => [range(here), range(there), ...protocol(here, there)]),
    ),
  );
  const either = [...outside, ...inside];
  return either.length > 0 ? either : NOTHING;
}

function host(address: string): FilterCondition {
  return { field: 'address', first: address, last: address };
}

function range({ startAddress, endAddress }: TrafficSelector): FilterCondition {
  return {
    field: 'address',
    first: formatAddress(startAddress),
    last: formatAddress(endAddress),
  };
}

function protocol(here: TrafficSelector, there: TrafficSelector): FilterCondition[] {
  const value = here.protocol || there.protocol;
  return value === 0 ? [] : [{ field: 'protocol', value }];
}
