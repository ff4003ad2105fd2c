/**
 * What this host itself sends under a PROTECT policy of the ports: routing rules lead it into the
 * gateway's own TUN, where the dataplane takes it up. Packets that the host forwards are not
 * concerned (`iif lo`), nor are IKE's own (RFC 4301 §3.2).
 *
 * There are rules for each entry of the SPD, in its order: BYPASS goes past them, PROTECT looks a
 * route up in a table of its own, which knows the source address too, for programs that have not
 * chosen one. Where everything is behind the peer, only what comes from a protected address is led
 * there: the host stays reachable. IPv6 has no rule for packets without a source yet, so that the
 * destination alone decides; what then has a source that no policy covers is dropped.
 *
 * The rules outlive the process. Their routes go with the TUN; then the guard drops (guard.ts).
 */
import { spawnSync } from 'node:child_process';
import type { SpdEntry } from '../dataplane/dataplane.js';
import { hostSelector, intersect, parseAddress, type TrafficSelector } from '../wire/index.js';
import { commonProtocol, isExact, portRange } from './exact-ports.js';
import { selectorPrefixes } from './prefixes.js';

export interface HostRoutes {
  /**
   * Puts the rules and routes of an SPD in place of those before, of an earlier run too. What is in
   * both stays in force meanwhile.
   * @param addresses  all of this host
   */
  lead(spd: readonly SpdEntry[], addresses: readonly string[]): void;
  /** Nothing is led any more. */
  remove(): void;
}

export interface HostRoutesOptions {
  readonly tun: string;
  /** Number of the table, and priority of the rules; the three above it are theirs too. */
  readonly table: number;
}

/** For gateways over memory ports, and for those that leave their host's traffic alone. */
export const noHostRoutes: HostRoutes = { lead() {}, remove() {} };

const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];

/** What stands behind `ip rule add` and `ip route replace`. */
export interface HostRouteLines {
  readonly rules: readonly string[];
  readonly routes: readonly string[];
}

export function ipHostRoutes(options: HostRoutesOptions): HostRoutes {
  const places = FAMILIES.map((family) => new FamilyRoutes(family, options));
  return {
    lead: (spd, addresses) => {
      for (const place of places) place.lead(spd, addresses);
    },
    remove: () => {
      for (const place of places) place.lead([], []);
    },
  };
}

/** Rules have one of two priorities in turn: the new ones are there before the old ones go. */
class FamilyRoutes {
  readonly #family: Family;
  readonly #options: HostRoutesOptions;
  #lines: HostRouteLines | undefined;
  #priority: number;

  constructor(family: Family, options: HostRoutesOptions) {
    this.#family = family;
    this.#options = options;
    this.#priority = options.table;
  }

  lead(spd: readonly SpdEntry[], addresses: readonly string[]): void {
    const { table } = this.#options;
    const first = this.#lines === undefined;
    const before = this.#lines ?? { rules: [], routes: [] };
    const renderAt = (priority: number) =>
      hostRoutes({ ...this.#options, spd, addresses, family: this.#family, priority });
    if (first) this.#sweep();
    const same = renderAt(this.#priority);
    if (isSame(same, before)) {
      this.#lines = same;
      return;
    }
    const priority = this.#priority === table ? table + 2 : table;
    const next = isSame(same.rules, before.rules) ? same : renderAt(priority);
    const kept = new Set(next.routes.map(prefixOf));
    const gone = before.routes.map(prefixOf).filter((prefix) => !kept.has(prefix));
    this.#run(next.routes.map((route) => `route replace ${route}`));
    if (next !== same) {
      this.#run(next.rules.map((rule) => `rule add ${rule}`));
      this.#forget(this.#priority, before.rules.length);
      this.#priority = priority;
    }
    this.#run(gone.map((prefix) => `route del ${prefix} table ${table}`));
    this.#lines = next;
  }

  /** Takes away what an earlier run has left behind. */
  #sweep(): void {
    const { table } = this.#options;
    const { stdout } = spawnSync('ip', [`-${this.#family}`, 'rule', 'show'], { encoding: 'utf8' });
    for (let priority = table; priority < table + 4; priority++) {
      const count = (stdout ?? '').match(new RegExp(`^${priority}:`, 'gm'))?.length ?? 0;
      for (let i = 0; i < count; i++) this.#run([`rule del pref ${priority}`]);
    }
  }

  #forget(priority: number, rules: number): void {
    if (rules === 0) return;
    const inside = Array.from({ length: rules - 1 }, () => `rule del pref ${priority}`);
    this.#run([...inside, `rule del pref ${priority + 1}`]);
  }

  #run(lines: readonly string[]): void {
    if (lines.length === 0) return;
    const input = `${lines.join('\n')}\n`;
    const result = spawnSync('ip', [`-${this.#family}`, '-batch', '-'], {
      input,
      encoding: 'utf8',
    });
    if (result.error !== undefined) {
      throw new Error(
        `cannot run ip, and without it what this host itself sends stays outside of tunnels: ` +
          `install the package iproute2, or set route_table = 0 (${result.error.message})`,
      );
    }
    if (result.status !== 0) {
      throw new Error(`ip refused a rule or route: ${result.stderr.trim().split('\n')[0]}`);
    }
  }
}

/** The lines for one family; none where no policy of the ports protects anything. The last is a nop. */
export function hostRoutes({
  spd,
  addresses,
  family,
  tun,
  table,
  priority = table,
}: HostRoutesOptions & {
  readonly spd: readonly SpdEntry[];
  readonly addresses: readonly string[];
  readonly family: Family;
  readonly priority?: number;
}): HostRouteLines {
  const own = addresses.flatMap((address) => ownSelector(address, family));
  const rules: string[] = [];
  const routes = new Map<string, string>();
  const past = `goto ${priority + 1}`;
  for (const { action, direction, interface: name, localSelectors, remoteSelectors } of spd) {
    if (direction !== 'outbound' || name !== undefined || action === 'discard') continue;
    for (const local of localSelectors.filter((one) => one.family === family)) {
      for (const remote of remoteSelectors) {
        const what = whatMatches(local, remote);
        if (what === undefined) continue;
        const isBypass = action === 'bypass';
        if (isBypass && !(isExact(local) && isExact(remote))) continue;
        const source = isBypass
          ? undefined
          : own.find(({ selector }) => intersect(local, selector));
        for (const to of selectorPrefixes(remote)) {
          const then = isBypass ? past : `lookup ${table}`;
          const origins = originsOf(local, to, source !== undefined);
          rules.push(...origins.map((from) => `iif lo${from} to ${to}${what} ${then}`));
          const src = source === undefined ? '' : ` src ${source.address}`;
          if (!isBypass && !routes.has(to)) routes.set(to, `dev ${tun} table ${table}${src}`);
        }
      }
    }
  }
  if (routes.size === 0) return { rules: [], routes: [] };
  // What IKE sends has to pass, also where a peer's own address is protected.
  const ike = [500, 4500].map((port) => `iif lo ipproto 17 sport ${port} ${past}`);
  const inside = [...new Set([...ike, ...rules])].map((rule) => `pref ${priority} ${rule}`);
  return {
    rules: [...inside, `pref ${priority + 1} nop`],
    routes: [...routes].map(([prefix, rest]) => `${prefix} ${rest}`),
  };
}

const EVERYTHING = ['0.0.0.0/0', '::/0'];

/** The sources that a rule is made for, as words of it. */
function originsOf(local: TrafficSelector, to: string, hasOwnAddress: boolean): string[] {
  const prefixes = selectorPrefixes(local);
  const bound = prefixes.map((from) => (EVERYTHING.includes(from) ? '' : ` from ${from}`));
  if (!hasOwnAddress || EVERYTHING.includes(to)) return bound;
  // Nothing else than 0.0.0.0 is in this one: a source that is still to be chosen.
  return local.family === 4 ? [...bound, ' from 0.0.0.0/32'] : [''];
}

/** Protocol and ports of both ends, as words of a rule; undefined where no packet can match both. */
function whatMatches(local: TrafficSelector, remote: TrafficSelector): string | undefined {
  const protocol = commonProtocol(local, remote);
  if (protocol === undefined) return undefined;
  const [sport, dport] = [portRange(local), portRange(remote)];
  return [
    protocol === 0 ? '' : ` ipproto ${protocol}`,
    sport === undefined ? '' : ` sport ${sport}`,
    dport === undefined ? '' : ` dport ${dport}`,
  ].join('');
}

/** An address of this host that packets may come from. */
function ownSelector(address: string, family: Family) {
  const octets = parseAddress(address);
  if (octets === undefined || octets.length !== (family === 4 ? 4 : 16)) return [];
  const isLinkLocal = family === 6 && octets[0] === 0xfe && (octets[1]! & 0xc0) === 0x80;
  return isLinkLocal ? [] : [{ address, selector: hostSelector(octets) }];
}

const prefixOf = (route: string) => route.split(' ')[0]!;

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
