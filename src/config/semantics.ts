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
    if (remote.id === undefined) complain(at('remote'), 'id is missing', 'an identity for "%any"');
  } else if (parseAddress(local.address)?.length !== parseAddress(remote.address)?.length) {
    const found = `found ${remote.address} for the local address ${local.address}`;
    complain(at('remote', 'address'), found, 'both IPv4 or both IPv6');
  }
  if (remote.address === local.address) {
    complain(at('remote', 'address'), `found our own address ${local.address}`, "the peer's");
  }
  for (const what of ['ike', 'child'] as const) {
    const rekey = entry[`${what}_rekey_seconds`];
    const end = entry[`${what}_lifetime_seconds`];
    if (end === undefined || end === 0 || (rekey > 0 && rekey < end)) continue;
    const found = `found ${end} with ${what}_rekey_seconds = ${rekey}`;
    complain(at(`${what}_lifetime_seconds`), found, 'more than until the rekeying, or 0: never');
  }
  const here = local.networks.map(parseSelector);
  const there = remote.networks.map(parseSelector);
  there.forEach((selector, i) => {
    if (here.some((mine) => equalSelectors(mine, selector))) {
      const found = `found "${remote.networks[i]}", which is local too`;
      complain(at('remote', 'networks', i), found, 'networks that are not on both sides');
    }
  });
  if (!there.some((selector) => here.some(({ family }) => family === selector.family))) {
    const found = 'found no network of a family that local.networks has';
    complain(at('remote', 'networks'), found, 'IPv4 with IPv4, IPv6 with IPv6');
  }
}
