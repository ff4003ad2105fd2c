/**
 * A gateway with two uplinks, and a peer, on three sides of a router that knows nothing of tunnels.
 *
 *     gateway ===first==== router === peer
 *             ===second===
 */
import { ipBatch, type Namespaces } from '../../../src/lab/namespaces.js';
import { link } from '../../../src/lab/topology.js';

/** Of the gateway. The first is preferred. */
export const UPLINKS = {
  first: { address: '192.0.2.1', router: '192.0.2.254', metric: 10 },
  second: { address: '198.51.100.1', router: '198.51.100.254', metric: 20 },
} as const;
export type Uplink = keyof typeof UPLINKS;
export const PEER = { address: '203.0.113.2', router: '203.0.113.254' } as const;

/**
 * The router's namespace. Its interfaces are `to-first`, `to-second` and `to-peer`.
 * @param device  name of the peer's interface
 */
export function joinByRouter(
  namespaces: Namespaces,
  gateway: string,
  peer: string,
  device: string,
): string {
  const router = namespaces.add('router');
  for (const name of ['first', 'second'] as const) {
    const uplink = UPLINKS[name];
    link(gateway, name, router, `to-${name}`);
    ipBatch(router, [`address add ${uplink.router}/24 dev to-${name}`]);
    ipBatch(gateway, [`address add ${uplink.address}/24 dev ${name}`]);
    routeBy(gateway, name);
  }
  link(peer, device, router, 'to-peer');
  ipBatch(router, [`address add ${PEER.router}/24 dev to-peer`]);
  ipBatch(peer, [
    `address add ${PEER.address}/24 dev ${device}`,
    `route add default via ${PEER.router}`,
  ]);
  return router;
}

/** Also behind a time without the interface, or its address: the kernel has forgotten the route. */
export function routeBy(gateway: string, name: Uplink): void {
  const { router, metric } = UPLINKS[name];
  ipBatch(gateway, [`route add default via ${router} dev ${name} metric ${metric}`]);
}
