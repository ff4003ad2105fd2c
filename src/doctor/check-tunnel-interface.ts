/** The interface of a route-based tunnel. Pure. */
import { type Finding, note, ok } from './finding.js';
import type { Interface, Machine, TunnelInterface } from './machine.js';

export function checkTunnelInterface(
  { name, exists, routes }: TunnelInterface,
  machine: Machine,
): Finding[] {
  if (!exists) return [ok(name, 'a tunnel: the daemon makes it when it starts')];
  return [checkRoutes(name, routes), ...checkReversePath(name, machine)];
}

/** A LAN port from which the kernel forwards into tunnels. Network cards join segments, a veth does not. */
export function checkRoutedFrom({ name, joinsSegments }: Interface): Finding[] {
  if (joinsSegments === undefined) return [];
  const about = `${name}: GRO`;
  if (joinsSegments) return [ok(about, 'on')];
  return [
    note(
      about,
      'off',
      'the kernel carries each TCP segment alone into the interface of a tunnel',
      `ethtool -K ${name} gro on, or leave it out of lan where all tunnels are routed`,
    ),
  ];
}

function checkRoutes(name: string, routes: number): Finding {
  if (routes > 0) return ok(name, `a tunnel, ${routes} route(s) into it`);
  return note(
    name,
    'a tunnel, no route into it',
    'it carries nothing but what programs bind to it',
    `ip route add NETWORK dev ${name}`,
  );
}

function checkReversePath(name: string, { sysctl }: Machine): Finding[] {
  const [all, own] = ['all', name].map((one) => Number(sysctl(`ipv4.conf.${one}.rp_filter`) ?? 0));
  const about = `${name}: rp_filter`;
  if (Math.max(all!, own!) !== 1) return [ok(about, 'not strict')];
  return [
    note(
      about,
      'strict',
      'what comes out of the tunnel is dropped, but from networks that are routed into it',
      `sysctl -w net.ipv4.conf.${all === 1 ? 'all' : name}.rp_filter=2`,
    ),
  ];
}
