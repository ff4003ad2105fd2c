/**
 * The guard: nftables rules that keep what a PROTECT policy covers from leaving in clear while
 * the dataplane does not run: before it starts, after a crash or SIGKILL, and after a stop unless
 * `gateway.guard_on_stop = "open"`. The dataplane takes packets before the kernel's forwarding
 * sees them, so that the rules count nothing while it runs.
 *
 * The rules follow the SPD in its order (RFC 4301 §4.4.1): BYPASS leaves the chain, DISCARD and
 * PROTECT drop. What the gateway itself sends is held to PROTECT only, except for its IKE
 * messages, which have to pass (RFC 4301 §3.2).
 */
import { spawnSync } from 'node:child_process';
import type { SpdEntry } from '../dataplane/dataplane.js';
import { formatSelector, isOpaque, type TrafficSelector } from '../wire/index.js';

export interface Guard {
  /** Puts the rules of an SPD in place of those before, of an earlier run too, in one transaction. */
  install(spd: readonly SpdEntry[]): void;
  /** Lets everything pass again. */
  remove(): void;
}

export interface GuardOptions {
  /** Name of the gateway. */
  readonly name: string;
  /** The TUN interface through which the dataplane hands packets to the kernel. */
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
      .filter((entry) => entry.direction === direction && actions.includes(entry.action))
      .flatMap(renderEntry);
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
    // What comes out of the TUN has passed the inbound SPD (RFC 4301 §5.2).
    ...chain('forward', [
      hook('forward'),
      'jump outbound',
      `iifname "${tun}" accept`,
      'jump inbound',
    ]),
    ...chain('output', [
      hook('output'),
      'oifname "lo" accept',
      'udp sport { 500, 4500 } accept',
      'jump own',
    ]),
    '}',
    '',
  ].join('\n');
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
  if (from.family !== to.family) return undefined;
  const protocol = from.protocol === 0 ? to.protocol : from.protocol;
  if (to.protocol !== 0 && to.protocol !== protocol) return undefined;
  const ip = from.family === 4 ? 'ip' : 'ip6';
  const addresses = `${ip} saddr ${renderAddresses(from)} ${ip} daddr ${renderAddresses(to)}`;
  const l4 = protocol === 0 ? '' : ` meta l4proto ${protocol}`;
  const ports = [...renderPorts('sport', from), ...renderPorts('dport', to)];
  return { addresses: `${addresses}${l4}`, ports: ports.map((port) => ` ${port}`).join('') };
}

/** Whether the rule of a selector matches exactly what the selector does. */
function isExact(selector: TrafficSelector): boolean {
  return isAllPorts(selector) || (hasPorts(selector) && !isOpaque(selector));
}

function isAllPorts({ startPort, endPort }: TrafficSelector): boolean {
  return startPort === 0 && endPort === 65535;
}

/** TCP, UDP, DCCP, SCTP, UDP-Lite: both ports are the first four octets. */
function hasPorts({ protocol }: TrafficSelector): boolean {
  return [6, 17, 33, 132, 136].includes(protocol);
}

/** A prefix, or a range from first to last. */
function renderAddresses(selector: TrafficSelector): string {
  return formatSelector({ ...selector, protocol: 0, startPort: 0, endPort: 65535 });
}

function renderPorts(field: 'sport' | 'dport', selector: TrafficSelector): string[] {
  if (isAllPorts(selector) || isOpaque(selector) || !hasPorts(selector)) return [];
  const { startPort, endPort } = selector;
  return [`th ${field} ${startPort === endPort ? startPort : `${startPort}-${endPort}`}`];
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
