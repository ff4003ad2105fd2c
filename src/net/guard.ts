/**
 * The guard: nftables rules that keep what a PROTECT policy covers from leaving in clear while
 * the dataplane does not run: before it starts, after a crash or SIGKILL, and after a stop unless
 * `gateway.guard_on_stop = "open"`. The dataplane takes packets before the kernel's forwarding
 * sees them, so that the rules count nothing while it runs.
 *
 * The rules follow the SPD in its order (RFC 4301 §4.4.1): BYPASS leaves the chain, DISCARD and
 * PROTECT drop. What the gateway itself sends is held to PROTECT only. What it receives is held to
 * the inbound entries, so that in transport mode a peer's clear text is dropped (§5.2). IKE has to
 * pass (§3.2), and so has Neighbour Discovery, without which IPv6 finds no peer on its own link.
 *
 * What leaves by the gateway's own TUN or by the interface of a tunnel is the dataplane's to judge,
 * and passes. An interface outlives the process, so that nothing takes another way without it.
 */
import { spawnSync } from 'node:child_process';
import type { SpdEntry } from '../dataplane/dataplane.js';
import { formatSelector, type TrafficSelector } from '../wire/index.js';
import { commonProtocol, isExact, portRange } from './exact-ports.js';

export interface Guard {
  /** Puts the rules of an SPD in place of those before, of an earlier run too, in one transaction. */
  install(spd: readonly SpdEntry[]): void;
  /** Lets everything pass again. */
  remove(): void;
}

export interface GuardOptions {
  /** Name of the gateway. */
  readonly name: string;
  /** The TUN interface through which the dataplane hands packets to the kernel, and takes them. */
  readonly tun: string;
}

/** For gateways over memory ports, whose traffic never meets the kernel. */
export const noGuard: Guard = { install() {}, remove() {} };

export function nftGuard(options: GuardOptions): Guard {
  const table = guardTable(options.name);
  return {
    install: (spd) => runNft(guardRuleset({ ...options, spd })),
    remove: () => runNft(`table inet ${table}\ndelete table inet ${table}\n`),
  };
}

/** A dash may not stand in nft's names; gateway names have no underscore. */
export function guardTable(gateway: string): string {
  return `esplane_${gateway.replaceAll('-', '_')}`;
}

/** The whole ruleset, as `nft -f` reads it; declaring the table first lets the delete succeed. */
export function guardRuleset({
  name,
  spd,
  tun,
}: GuardOptions & { readonly spd: readonly SpdEntry[] }): string {
  const table = guardTable(name);
  const rules = (direction: SpdEntry['direction'], actions: readonly SpdEntry['action'][]) =>
    spd
      .filter((entry) => entry.interface === undefined && entry.direction === direction)
      .filter((entry) => actions.includes(entry.action))
      .flatMap(renderEntry);
  const doors = `{ ${[tun, ...interfacesOf(spd)].map((door) => `"${door}"`).join(', ')} }`;
  const chain = (title: string, lines: readonly string[]) => [
    `  chain ${title} {`,
    ...lines.map((line) => `    ${line}`),
    '  }',
  ];
  const hook = (at: string) => `type filter hook ${at} priority filter; policy accept;`;
  return [
    `table inet ${table}`,
    `delete table inet ${table}`,
    `table inet ${table} {`,
    ...chain('outbound', rules('outbound', ['protect', 'bypass', 'discard'])),
    ...chain('inbound', rules('inbound', ['protect', 'bypass', 'discard'])),
    ...chain('own', rules('outbound', ['protect', 'bypass'])),
    // What comes out of them has passed an SPD (RFC 4301 §5.2).
    ...chain('forward', [
      hook('forward'),
      `oifname ${doors} accept`,
      'jump outbound',
      `iifname ${doors} accept`,
      'jump inbound',
    ]),
    ...chain('output', [
      hook('output'),
      'oifname "lo" accept',
      `oifname ${doors} accept`,
      'udp sport { 500, 4500 } accept',
      'icmpv6 type { 135, 136 } accept',
      'jump own',
    ]),
    ...chain('input', [
      hook('input'),
      'iifname "lo" accept',
      `iifname ${doors} accept`,
      'udp dport { 500, 4500 } accept',
      'icmpv6 type { 135, 136 } accept',
      'jump inbound',
    ]),
    '}',
    '',
  ].join('\n');
}

/** The interfaces that entries are of, each once. */
function interfacesOf(spd: readonly SpdEntry[]): string[] {
  return [...new Set(spd.flatMap((entry) => entry.interface ?? []))];
}

/** A rule for each pair of one local and one remote selector. */
function renderEntry(entry: SpdEntry): string[] {
  const bypass = entry.action === 'bypass';
  return entry.localSelectors.flatMap((local) =>
    entry.remoteSelectors.flatMap((remote) => {
      const [from, to] = entry.direction === 'outbound' ? [local, remote] : [remote, local];
      // ICMP types are not written as rules: a drop holds the whole protocol, a bypass none of it.
      if (bypass && !(isExact(from) && isExact(to))) return [];
      const match = renderMatch(from, to);
      if (match === undefined) return [];
      if (bypass) return [`${match.addresses}${match.ports} return`];
      // A fragment without ports may be of the very packet that the ports are meant to hold.
      const fragments = match.ports === '' ? [] : [`${match.addresses} ${FRAGMENT[from.family]}`];
      return [`${match.addresses}${match.ports}`, ...fragments].map(
        (rule) => `${rule} counter drop`,
      );
    }),
  );
}

/** Not the first fragment of a packet. */
const FRAGMENT = { 4: 'ip frag-off & 0x1fff != 0', 6: 'frag frag-off != 0' } as const;

/** Undefined where no packet can match both. */
function renderMatch(
  from: TrafficSelector,
  to: TrafficSelector,
): { addresses: string; ports: string } | undefined {
  const protocol = commonProtocol(from, to);
  if (protocol === undefined) return undefined;
  const ip = from.family === 4 ? 'ip' : 'ip6';
  const addresses = `${ip} saddr ${renderAddresses(from)} ${ip} daddr ${renderAddresses(to)}`;
  const l4 = protocol === 0 ? '' : ` meta l4proto ${protocol}`;
  const ports = [...renderPorts('sport', from), ...renderPorts('dport', to)];
  return { addresses: `${addresses}${l4}`, ports: ports.map((port) => ` ${port}`).join('') };
}

/** A prefix, or a range from first to last. */
function renderAddresses(selector: TrafficSelector): string {
  return formatSelector({ ...selector, protocol: 0, startPort: 0, endPort: 65535 });
}

function renderPorts(field: 'sport' | 'dport', selector: TrafficSelector): string[] {
  const range = portRange(selector);
  return range === undefined ? [] : [`th ${field} ${range}`];
}

function runNft(ruleset: string): void {
  const result = spawnSync('nft', ['-f', '-'], { input: ruleset, encoding: 'utf8' });
  if (result.error !== undefined) {
    const missing = (result.error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new Error(
      missing
        ? 'nft is not installed, and without it protected traffic might leave in clear: ' +
            'install the package nftables'
        : `cannot run nft: ${result.error.message}`,
    );
  }
  if (result.status !== 0) {
    throw new Error(`nft refused the guard rules: ${result.stderr.trim().split('\n')[0]}`);
  }
}
