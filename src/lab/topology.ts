/**
 * The lab's network: five namespaces in a row. The wire bridges the two WAN links, so that a tap
 * there sees every packet between the gateways: taps on a gateway's own veth see neither what
 * AF_XDP sends nor what XDP redirected.
 *
 *     host a --- gateway a ===wire=== gateway b --- host b
 */
import { execute, inNamespace, ip, ipBatch, Namespaces, switchOffOffloads } from './namespaces.js';

/** The addresses of a host and its gateway. Sites differ in their number. */
export interface SiteAddresses {
  readonly name: 'a' | 'b';
  readonly host: Address;
  /** The gateway's address towards its host. */
  readonly lan: Address;
  /** The gateway's address towards the other gateway. */
  readonly wan: Address;
  readonly networks: Address;
}

export interface Site extends SiteAddresses {
  readonly hostNamespace: string;
  readonly gatewayNamespace: string;
}

/** The same thing in both families. */
export interface Address {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Names of the gateways' interfaces. */
export const LAN = 'lan';
export const WAN = 'wan';

export interface Topology {
  readonly a: Site;
  readonly b: Site;
  readonly wireNamespace: string;
  /** The bridge's ports in the wire's namespace: whatever crosses the wire enters by one. */
  readonly wirePorts: readonly [string, string];
  /** Ends what runs in the namespaces, and removes them. May be called twice. */
  remove(): void;
}

/**
 * Makes the network; without a gateway daemon, the kernels forward everything in clear.
 * @param untouched  leave every setting of the hosts and their links as it is
 */
export function makeTopology({ untouched = false } = {}): Topology {
  const namespaces = new Namespaces();
  try {
    const wireNamespace = namespaces.add('wire');
    const a = makeSite(namespaces, 'a', untouched);
    const b = makeSite(namespaces, 'b', untouched);
    joinSites(wireNamespace, [a, b], untouched);
    routeToEachOther(a, b);
    return {
      a,
      b,
      wireNamespace,
      wirePorts: ['to-a', 'to-b'],
      remove: () => namespaces.remove(),
    };
  } catch (error) {
    namespaces.remove();
    throw error;
  }
}

export function siteAddresses(name: 'a' | 'b'): SiteAddresses {
  const number = name === 'a' ? 1 : 2;
  return {
    name,
    host: { ipv4: `10.${number}.0.2`, ipv6: `fd0${number}::2` },
    lan: { ipv4: `10.${number}.0.1`, ipv6: `fd0${number}::1` },
    wan: { ipv4: `192.0.2.${number}`, ipv6: `2001:db8::${number}` },
    networks: { ipv4: `10.${number}.0.0/24`, ipv6: `fd0${number}::/64` },
  };
}

/** A host and its gateway, joined by a veth. */
export function makeSite(namespaces: Namespaces, name: 'a' | 'b', untouched = false): Site {
  const site = {
    ...siteAddresses(name),
    hostNamespace: namespaces.add(`host-${name}`),
    gatewayNamespace: namespaces.add(`gateway-${name}`),
  };
  const { hostNamespace, gatewayNamespace, host, lan } = site;
  link(hostNamespace, 'eth0', gatewayNamespace, LAN, { untouched });
  ipBatch(hostNamespace, [
    ...addresses('eth0', host),
    `route add default via ${lan.ipv4}`,
    `route add ::/0 via ${lan.ipv6}`,
  ]);
  ipBatch(gatewayNamespace, addresses(LAN, lan));
  if (!untouched) boundTcpWindow(hostNamespace);
  return site;
}

/**
 * Keeps what a TCP connection has in flight below the ring of a port. Without a bound, TCP finds
 * out what the slowest queue holds by overflowing it, and takes the pings with it.
 */
function boundTcpWindow(namespace: string): void {
  // The window offered is half of the buffer (tcp_adv_win_scale): some 350 full packets.
  execute(inNamespace(namespace, ['sysctl', '-qw', 'net.ipv4.tcp_rmem=4096 131072 1048576']));
}

/** The wire: a bridge that floods nothing of its own. */
function joinSites(wire: string, sites: readonly Site[], untouched: boolean): void {
  for (const site of sites) {
    link(site.gatewayNamespace, WAN, wire, `to-${site.name}`, { untouched });
    ipBatch(site.gatewayNamespace, addresses(WAN, site.wan));
  }
  ipBatch(wire, [
    'link add bridge type bridge stp_state 0 mcast_snooping 0 forward_delay 0',
    'link set bridge addrgenmode none up',
    'link set to-a addrgenmode none master bridge',
    'link set to-b addrgenmode none master bridge',
  ]);
}

/** With these routes a gateway's kernel would forward in clear: only the gateway keeps it from it. */
function routeToEachOther(a: Site, b: Site): void {
  for (const [here, there] of [
    [a, b],
    [b, a],
  ] as const) {
    ipBatch(here.gatewayNamespace, [
      `route add ${there.networks.ipv4} via ${there.wan.ipv4}`,
      `route add ${there.networks.ipv6} via ${there.wan.ipv6}`,
    ]);
  }
}

export interface LinkOptions {
  /** Of each end, each way. */
  readonly queues?: number;
  /** Leave checksums and segmentation to the "hardware", as a veth does of itself. */
  readonly untouched?: boolean;
}

/** Joins two namespaces by a veth, both ends up. */
export function link(
  here: string,
  device: string,
  there: string,
  peer: string,
  { queues = 1, untouched = false }: LinkOptions = {},
): void {
  const many = `numrxqueues ${queues} numtxqueues ${queues}`;
  const [near, far] = [`${device} netns ${here} ${many}`, `${peer} netns ${there} ${many}`];
  ip(`link add ${near} type veth peer name ${far}`.split(' '));
  for (const [namespace, name] of [
    [here, device],
    [there, peer],
  ] as const) {
    if (!untouched) switchOffOffloads(namespace, name);
    ip(['-n', namespace, 'link', 'set', name, 'up']);
  }
}

/** Lines of `ip` that give a device both addresses. */
export function addresses(device: string, { ipv4, ipv6 }: Address): string[] {
  return [`address add ${ipv4}/24 dev ${device}`, `address add ${ipv6}/64 dev ${device} nodad`];
}
