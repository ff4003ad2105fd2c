import { describe, expect, it } from 'vitest';
import type { SpdEntry } from '../../../src/dataplane/dataplane.js';
import { guardRuleset, guardTable } from '../../../src/net/guard.js';
import { parseSelector } from '../../../src/wire/index.js';

function entry(
  action: SpdEntry['action'],
  direction: SpdEntry['direction'],
  local: string[],
  remote: string[],
): SpdEntry {
  const localSelectors = local.map(parseSelector);
  return { action, direction, localSelectors, remoteSelectors: remote.map(parseSelector) };
}

/** The rules of one chain. */
function chain(ruleset: string, name: string): string[] {
  const body = new RegExp(`chain ${name} \\{\n([^}]*?)\n? *\\}\n`).exec(
    ruleset.replaceAll(/\{ ([^\n{}]*) \}/g, '($1)'),
  );
  return (body?.[1] ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

describe('the guard', () => {
  const protect = (['outbound', 'inbound'] as const).map((direction) =>
    entry('protect', direction, ['10.1.0.0/16'], ['10.2.0.0/16', '10.3.0.1-10.3.0.9']),
  );
  const ruleset = (spd: SpdEntry[]) => guardRuleset({ name: 'main', spd, tun: 'esp-main' });

  it('drops both directions of what is protected, in the forward hook', () => {
    const text = ruleset(protect);
    expect(chain(text, 'outbound')).toEqual([
      'ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 counter drop',
      'ip saddr 10.1.0.0/16 ip daddr 10.3.0.1-10.3.0.9 counter drop',
    ]);
    expect(chain(text, 'inbound')).toEqual([
      'ip saddr 10.2.0.0/16 ip daddr 10.1.0.0/16 counter drop',
      'ip saddr 10.3.0.1-10.3.0.9 ip daddr 10.1.0.0/16 counter drop',
    ]);
    expect(chain(text, 'forward')).toEqual([
      'type filter hook forward priority filter; policy accept;',
      'oifname ("esp-main") accept',
      'jump outbound',
      'iifname ("esp-main") accept',
      'jump inbound',
    ]);
  });

  it('replaces an earlier table in the same transaction', () => {
    expect(ruleset(protect).split('\n').slice(0, 3)).toEqual([
      'table inet esplane_main',
      'delete table inet esplane_main',
      'table inet esplane_main {',
    ]);
  });

  it('follows the order of the SPD: BYPASS before, DISCARD as a drop', () => {
    const text = ruleset([
      entry('bypass', 'outbound', ['10.1.0.0/24[tcp]'], ['10.2.0.0/16[tcp/22]']),
      entry('discard', 'outbound', ['10.1.0.0/16'], ['198.51.100.0/24']),
      ...protect.slice(0, 1),
    ]);
    expect(chain(text, 'outbound').slice(0, 2)).toEqual([
      'ip saddr 10.1.0.0/24 ip daddr 10.2.0.0/16 meta l4proto 6 th dport 22 return',
      'ip saddr 10.1.0.0/16 ip daddr 198.51.100.0/24 counter drop',
    ]);
  });

  it('holds what the gateway itself sends to PROTECT, and lets its IKE out', () => {
    const text = ruleset([entry('discard', 'outbound', ['0.0.0.0/0'], ['0.0.0.0/0']), ...protect]);
    expect(chain(text, 'output').slice(1)).toEqual([
      'oifname "lo" accept',
      'oifname ("esp-main") accept',
      'udp sport (500, 4500) accept',
      'icmpv6 type (135, 136) accept',
      'jump own',
    ]);
    expect(chain(text, 'input').slice(1)).toEqual([
      'iifname "lo" accept',
      'iifname ("esp-main") accept',
      'udp dport (500, 4500) accept',
      'icmpv6 type (135, 136) accept',
      'jump inbound',
    ]);
    expect(chain(text, 'own')).toEqual([
      'ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 counter drop',
      'ip saddr 10.1.0.0/16 ip daddr 10.3.0.1-10.3.0.9 counter drop',
    ]);
  });

  it('does not widen a BYPASS that it cannot write exactly', () => {
    const icmp = ['10.1.0.0/16[icmp/8]'];
    const text = ruleset([
      entry('bypass', 'outbound', icmp, ['10.2.0.0/16[icmp/8]']),
      entry('protect', 'outbound', icmp, ['10.2.0.0/16[icmp/8]']),
    ]);
    expect(chain(text, 'outbound')).toEqual([
      'ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 meta l4proto 1 counter drop',
    ]);
  });

  it('drops fragments that have no ports to look at', () => {
    const text = ruleset([
      entry('protect', 'outbound', ['10.1.0.0/16[udp]'], ['10.2.0.0/16[udp/53]']),
      entry('protect', 'outbound', ['2001:db8:1::/48'], ['2001:db8:2::/48[tcp/443]']),
    ]);
    expect(chain(text, 'outbound')).toEqual([
      'ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 meta l4proto 17 th dport 53 counter drop',
      'ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 meta l4proto 17 ip frag-off & 0x1fff != 0 counter drop',
      'ip6 saddr 2001:db8:1::/48 ip6 daddr 2001:db8:2::/48 meta l4proto 6 th dport 443 counter drop',
      'ip6 saddr 2001:db8:1::/48 ip6 daddr 2001:db8:2::/48 meta l4proto 6 frag frag-off != 0 counter drop',
    ]);
  });

  it('skips pairs of different families, and writes IPv6', () => {
    const both = entry(
      'protect',
      'outbound',
      ['10.1.0.0/16', '2001:db8:1::/48'],
      ['2001:db8:2::/48'],
    );
    expect(chain(ruleset([both]), 'outbound')).toEqual([
      'ip6 saddr 2001:db8:1::/48 ip6 daddr 2001:db8:2::/48 counter drop',
    ]);
  });

  it('lets what an interface takes, or lets in, pass: it has an SPD of its own', () => {
    const routed = {
      ...entry('protect', 'outbound', ['0.0.0.0/0'], ['0.0.0.0/0']),
      interface: 'ipsec0',
    };
    const text = ruleset([routed, routed, ...protect]);
    expect(chain(text, 'outbound')).toEqual(chain(ruleset(protect), 'outbound'));
    expect(chain(text, 'forward').slice(1)).toEqual([
      'oifname ("esp-main", "ipsec0") accept',
      'jump outbound',
      'iifname ("esp-main", "ipsec0") accept',
      'jump inbound',
    ]);
  });

  it('names its table after the gateway', () => {
    expect(guardTable('site-b')).toBe('esplane_site_b');
  });
});
