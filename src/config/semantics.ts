/** What takes two keys to be wrong: each function complains about all that it finds. */
import {
  equalSelectors,
  hostSelector,
  intersect,
  parseAddress,
  parseSelector,
} from '../wire/index.js';
import { tunName } from './gateway-config.js';
import type { KeyPath } from './key-locator.js';
import type { ChildFile, ConfigFile, ConnectionFile } from './schema.js';

export type Complain = (path: KeyPath, found: string, allowed: string) => void;

/** An interface is towards the peers or towards the protected networks, and named once. */
export function checkInterfaces(file: ConfigFile, complain: Complain): void {
  const seen = new Set<string>();
  for (const role of ['lan', 'wan'] as const) {
    file.gateway[role].forEach((name, i) => {
      if (seen.has(name)) {
        complain(['gateway', role, i], `found "${name}" again`, 'each interface once, lan or wan');
      }
      seen.add(name);
    });
  }
}

/** Queues are served by dataplane threads that there are. */
export function checkQueueWorkers({ gateway }: ConfigFile, complain: Complain): void {
  const { workers, queue_workers: owners = [] } = gateway;
  if (workers === 'auto' && owners.length > 0) {
    complain(['gateway', 'workers'], 'found "auto" beside queue_workers', 'a number');
    return;
  }
  for (const [i, owner] of owners.entries()) {
    if (owner < Number(workers)) continue;
    const allowed = `a number below workers, which is ${workers}`;
    complain(['gateway', 'queue_workers', i], `found ${owner}`, allowed);
  }
}

/** An interface is of one tunnel, and none that the gateway has already. */
export function checkTunnelInterfaces(file: ConfigFile, complain: Complain): void {
  const { lan, wan, name: gateway } = file.gateway;
  const taken = new Map<string, string>([...lan, ...wan].map((name) => [name, 'a port']));
  taken.set(tunName(gateway), "the gateway's own");
  for (const [connection, entry] of Object.entries(file.connection)) {
    const { interface: name, mode, child = {} } = entry;
    if (name === undefined) continue;
    const path = ['connection', connection, 'interface'];
    const owner = taken.get(name);
    if (owner !== undefined) {
      complain(path, `found "${name}", which is ${owner}`, 'a name of its own');
    }
    taken.set(name, `of connection "${connection}"`);
    const modes = [mode, ...Object.values(child).map((one) => one.mode ?? mode)];
    if (modes.includes('transport')) {
      complain(path, 'found with transport mode', 'tunnel mode');
    }
  }
}

export function checkConnection(name: string, entry: ConnectionFile, complain: Complain): void {
  const at = (...path: (string | number)[]) => ['connection', name, ...path];
  const { local, remote } = entry;
  if (remote.address === '%any') {
    if (entry.start !== 'wait') {
      complain(at('start'), `found "${entry.start}" with a peer at "%any"`, '"wait"');
    }
    if (remote.id === undefined && remote.cert === undefined) {
      complain(at('remote'), 'id is missing', 'an identity for "%any"');
    }
  } else if (parseAddress(local.address)?.length !== parseAddress(remote.address)?.length) {
    const found = `found ${remote.address} for the local address ${local.address}`;
    complain(at('remote', 'address'), found, 'both IPv4 or both IPv6');
  }
  if (remote.address === local.address) {
    complain(at('remote', 'address'), `found our own address ${local.address}`, "the peer's");
  }
  for (const [i, alternative] of local.alternatives.entries()) {
    if (parseAddress(alternative)?.length === parseAddress(local.address)?.length) continue;
    complain(at('local', 'alternatives', i), `found ${alternative}`, 'the family of address');
  }
  if (!entry.mobike && local.alternatives.length > 0) {
    complain(at('local', 'alternatives'), 'found addresses to move to', 'mobike = true');
  }
  if (!entry.nat_traversal && entry.udp_encapsulation === 'always') {
    complain(at('nat_traversal'), 'found false, and udp_encapsulation = "always"', 'one of them');
  }
  if (!entry.nat_traversal && !entry.mobike) {
    complain(at('nat_traversal'), 'found false, which a peer heeds by MOBIKE', 'mobike = true');
  }
  for (const what of ['ike', 'child'] as const) {
    const [rekey, end] = [entry[`${what}_rekey_seconds`], entry[`${what}_lifetime_seconds`]];
    checkLifetime(at(`${what}_lifetime_seconds`), rekey, end, complain);
  }
  checkChildren(entry, at, complain);
}

type At = (...path: (string | number)[]) => KeyPath;

/** The Child SAs are in tables of their own, or there is one with the networks of both sides. */
function checkChildren(entry: ConnectionFile, at: At, complain: Complain): void {
  const { local, remote, child } = entry;
  checkProtocol(entry, entry, at, complain);
  checkOuterHeader(entry, entry, at, complain);
  if (child === undefined) {
    const places = { local: at('local', 'networks'), remote: at('remote', 'networks') };
    checkNetworks(entry, { local: local.networks, remote: remote.networks }, places, complain);
    return;
  }
  if (Object.keys(child).length === 0) complain(at('child'), 'found no table', 'one or more');
  for (const side of ['local', 'remote'] as const) {
    if (entry[side].networks === undefined) continue;
    complain(at(side, 'networks'), 'found networks beside child tables', 'one or the other');
  }
  for (const [name, one] of Object.entries(child)) {
    const below: At = (...path) => at('child', name, ...path);
    checkProtocol(entry, one, below, complain);
    checkOuterHeader(entry, one, below, complain);
    checkNetworks(entry, one, { local: below('local'), remote: below('remote') }, complain);
    const rekey = one.rekey_seconds ?? entry.child_rekey_seconds;
    checkLifetime(below('lifetime_seconds'), rekey, one.lifetime_seconds, complain);
    if (remote.address === '%any' && one.start !== undefined && one.start !== 'wait') {
      complain(below('start'), `found "${one.start}" with a peer at "%any"`, '"wait"');
    }
  }
}

/** A Child SA is of ESP or of AH, and AH goes through no NAT (RFC 3948 §1). */
function checkProtocol(
  { udp_encapsulation }: ConnectionFile,
  { esp, ah }: Pick<ChildFile, 'esp' | 'ah'>,
  at: At,
  complain: Complain,
): void {
  if (ah === undefined) return;
  if (esp !== undefined) complain(at('ah'), 'found proposals of ESP too', 'esp or ah, not both');
  if (udp_encapsulation === 'always') {
    complain(at('ah'), 'found udp_encapsulation = "always"', 'ESP, which can go in UDP');
  }
}

function checkLifetime(
  path: KeyPath,
  rekey: number,
  end: number | undefined,
  complain: Complain,
): void {
  if (end === undefined || end === 0 || (rekey > 0 && rekey < end)) return;
  const found = `found ${end}, with a rekeying after ${rekey === 0 ? 'no time' : rekey}`;
  complain(path, found, 'more than until the rekeying, or 0: never');
}

/** In transport mode there is no header of ours, and AH has no padding. */
function checkOuterHeader(
  entry: ConnectionFile,
  table: Pick<ChildFile, 'df' | 'dscp' | 'tfc' | 'mode' | 'esp' | 'ah'>,
  at: At,
  complain: Complain,
): void {
  const isTransport = (table.mode ?? entry.mode) === 'transport';
  const isAh = table.ah !== undefined || (table.esp === undefined && entry.ah !== undefined);
  if (table.tfc !== undefined && (isTransport || isAh)) {
    complain(at('tfc'), `found with ${isAh ? 'AH' : 'transport mode'}`, 'ESP in tunnel mode');
  }
  if (!isTransport) return;
  for (const key of ['df', 'dscp'] as const) {
    if ((table[key] ?? 'copy') === 'copy') continue;
    complain(at(key), `found "${table[key]}" in transport mode`, 'tunnel mode, whose header it is');
  }
}

type Side = 'local' | 'remote';

function checkNetworks(
  entry: ConnectionFile,
  child: ChildFile,
  places: Readonly<Record<Side, KeyPath>>,
  complain: Complain,
): void {
  const isTransport = (child.mode ?? entry.mode) === 'transport';
  for (const side of ['local', 'remote'] as const) {
    const { address } = entry[side];
    const networks = child[side];
    if (networks !== undefined) {
      if (isTransport) checkOwnAddress(address, networks, places[side], complain);
    } else if (!isTransport && entry.interface === undefined) {
      const tables =
        entry.child === undefined ? ', or [connection.<name>.child.<name>] tables' : '';
      complain(places[side], 'missing', `a list${tables}`);
    } else if (isTransport && address === '%any') {
      complain(places[side], 'missing', 'where peers at "%any" may be, in transport mode');
    }
  }
  const here = (child.local ?? []).map(parseSelector);
  const there = (child.remote ?? []).map(parseSelector);
  there.forEach((selector, i) => {
    // What is routed into an interface may go anywhere.
    if (entry.interface === undefined && here.some((mine) => equalSelectors(mine, selector))) {
      const found = `found "${child.remote![i]}", which is local too`;
      complain([...places.remote, i], found, 'networks that are not on both sides');
    }
  });
  if (here.length === 0 || there.length === 0) return;
  if (!there.some((selector) => here.some(({ family }) => family === selector.family))) {
    const found = `found no network of a family that ${places.local.slice(2).join('.')} has`;
    complain(places.remote, found, 'IPv4 with IPv4, IPv6 with IPv6');
  }
}

/** In transport mode packets go between the gateways' own addresses and nowhere else. */
function checkOwnAddress(
  address: string,
  networks: readonly string[],
  path: KeyPath,
  complain: Complain,
): void {
  const octets = parseAddress(address);
  if (octets === undefined) return;
  const host = hostSelector(octets);
  networks.forEach((text, i) => {
    if (intersect(parseSelector(text), host) !== undefined) return;
    complain([...path, i], `found "${text}" in transport mode`, `a network with ${address} in it`);
  });
}
