/** What takes two keys to be wrong: each function complains about all that it finds. */
import { equalSelectors, parseAddress, parseSelector } from '../wire/index.js';
import type { KeyPath } from './key-locator.js';
import type { ConfigFile, ConnectionFile } from './schema.js';

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
  if (child === undefined) {
    for (const side of ['local', 'remote'] as const) {
      if (entry[side].networks !== undefined) continue;
      complain(
        at(side, 'networks'),
        'missing',
        'a list, or [connection.<name>.child.<name>] tables',
      );
    }
    const paths = [at('local', 'networks'), at('remote', 'networks')] as const;
    checkNetworks(local.networks ?? [], remote.networks ?? [], paths, complain);
    return;
  }
  if (Object.keys(child).length === 0) complain(at('child'), 'found no table', 'one or more');
  for (const side of ['local', 'remote'] as const) {
    if (entry[side].networks === undefined) continue;
    complain(at(side, 'networks'), 'found networks beside child tables', 'one or the other');
  }
  for (const [name, one] of Object.entries(child)) {
    const paths = [at('child', name, 'local'), at('child', name, 'remote')] as const;
    checkNetworks(one.local, one.remote, paths, complain);
    const rekey = one.rekey_seconds ?? entry.child_rekey_seconds;
    checkLifetime(at('child', name, 'lifetime_seconds'), rekey, one.lifetime_seconds, complain);
    if (entry.remote.address === '%any' && one.start !== undefined && one.start !== 'wait') {
      complain(at('child', name, 'start'), `found "${one.start}" with a peer at "%any"`, '"wait"');
    }
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

function checkNetworks(
  local: readonly string[],
  remote: readonly string[],
  [localPath, remotePath]: readonly [KeyPath, KeyPath],
  complain: Complain,
): void {
  const here = local.map(parseSelector);
  const there = remote.map(parseSelector);
  there.forEach((selector, i) => {
    if (here.some((mine) => equalSelectors(mine, selector))) {
      const found = `found "${remote[i]}", which is local too`;
      complain([...remotePath, i], found, 'networks that are not on both sides');
    }
  });
  if (here.length === 0 || there.length === 0) return;
  if (!there.some((selector) => here.some(({ family }) => family === selector.family))) {
    const found = `found no network of a family that ${localPath.slice(2).join('.')} has`;
    complain(remotePath, found, 'IPv4 with IPv4, IPv6 with IPv6');
  }
}
