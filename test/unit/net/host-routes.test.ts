import { describe, expect, it } from 'vitest';
import type { SpdEntry } from '../../../src/dataplane/dataplane.js';
import { hostRoutes } from '../../../src/net/host-routes.js';
import { parseSelector } from '../../../src/wire/index.js';

function entry(
  local: string,
  remote: string,
  more: Partial<SpdEntry> = { action: 'protect' },
): SpdEntry {
  return {
    action: 'protect',
    direction: 'outbound',
    localSelectors: [parseSelector(local)],
    remoteSelectors: [parseSelector(remote)],
    ...more,
  };
}

const addresses = ['192.0.2.1', '10.1.0.1', '2001:db8::1', 'fd01::1', 'fe80::1'];

function lines(spd: SpdEntry[], family: 4 | 6 = 4, priority = 4500) {
  return hostRoutes({ spd, addresses, family, tun: 'esp-main', table: 4500, priority });
}

/** The rules between those for IKE and the last one. */
const inside = (spd: SpdEntry[], family: 4 | 6 = 4) => lines(spd, family).rules.slice(2, -1);

describe('the routes of what this host itself sends', () => {
  it('lead traffic from protected addresses, and such without a source, into the TUN', () => {
    const { rules, routes } = lines([entry('10.1.0.0/16', '10.2.0.0/16')]);
    expect(rules).toEqual([
      'pref 4500 iif lo ipproto 17 sport 500 goto 4501',
      'pref 4500 iif lo ipproto 17 sport 4500 goto 4501',
      'pref 4500 iif lo from 10.1.0.0/16 to 10.2.0.0/16 lookup 4500',
      'pref 4500 iif lo from 0.0.0.0/32 to 10.2.0.0/16 lookup 4500',
      'pref 4501 nop',
    ]);
    expect(routes).toEqual(['10.2.0.0/16 dev esp-main table 4500 src 10.1.0.1']);
  });

  it('go by the destination alone in IPv6, which has no rule for a source not chosen yet', () => {
    const spd = [entry('fd01::/64', 'fd02::/64')];
    expect(inside(spd, 6)).toEqual(['pref 4500 iif lo to fd02::/64 lookup 4500']);
    expect(lines(spd, 6).routes).toEqual(['fd02::/64 dev esp-main table 4500 src fd01::1']);
    expect(lines(spd, 4)).toEqual({ rules: [], routes: [] });
  });

  it('leave the host reachable where everything is behind the peer', () => {
    expect(inside([entry('10.1.0.0/16', '0.0.0.0/0')])).toEqual([
      'pref 4500 iif lo from 10.1.0.0/16 to 0.0.0.0/0 lookup 4500',
    ]);
    expect(inside([entry('fd01::/64', '::/0')], 6)).toEqual([
      'pref 4500 iif lo from fd01::/64 to ::/0 lookup 4500',
    ]);
  });

  it('are for bound traffic only where this host has no protected address', () => {
    const spd = [entry('10.7.0.0/16', '10.2.0.0/16')];
    expect(inside(spd)).toEqual(['pref 4500 iif lo from 10.7.0.0/16 to 10.2.0.0/16 lookup 4500']);
    expect(lines(spd).routes).toEqual(['10.2.0.0/16 dev esp-main table 4500']);
  });

  it('follow the SPD in its order, with protocols and ports', () => {
    const bypass = { action: 'bypass' } as const;
    expect(
      inside([
        entry('0.0.0.0/0[tcp/22]', '192.0.2.2', bypass),
        entry('0.0.0.0/0', '198.51.100.0/24', { action: 'discard' }),
        entry('192.0.2.1[tcp]', '192.0.2.2[tcp/80-90]'),
      ]),
    ).toEqual([
      'pref 4500 iif lo to 192.0.2.2/32 ipproto 6 sport 22 goto 4501',
      'pref 4500 iif lo from 192.0.2.1/32 to 192.0.2.2/32 ipproto 6 dport 80-90 lookup 4500',
      'pref 4500 iif lo from 0.0.0.0/32 to 192.0.2.2/32 ipproto 6 dport 80-90 lookup 4500',
    ]);
  });

  it('have nothing to do with tunnels that have an interface, or with inbound entries', () => {
    expect(
      lines([
        entry('0.0.0.0/0', '0.0.0.0/0', { interface: 'ipsec0' }),
        entry('10.1.0.0/16', '10.2.0.0/16', { direction: 'inbound' }),
      ]),
    ).toEqual({ rules: [], routes: [] });
  });

  it('name each rule and each route once', () => {
    const twice = lines([entry('10.1.0.0/16', '10.2.0.0/16'), entry('10.1.0.0/16', '10.2.0.0/16')]);
    expect(twice).toEqual(lines([entry('10.1.0.0/16', '10.2.0.0/16')]));
  });
});
