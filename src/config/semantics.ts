/** What takes two keys to be wrong: each function complains about all that it finds. */
import { type AddressRange, parseAddress, parseNetwork } from '../net/address.js';
import type { KeyPath } from './key-locator.js';
import type { ConfigFile, ConnectionFile, PolicyFile } from './schema.js';

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
  } else if (familyOf(local.address) !== familyOf(remote.address)) {
    const found = `found ${remote.address} for the local address ${local.address}`;
    complain(at('remote', 'address'), found, 'both IPv4 or both IPv6');
  }
  if (remote.address === local.address) {
    complain(at('remote', 'address'), `found our own address ${local.address}`, "the peer's");
  }
  checkOverlap(entry, (i, found) => {
    complain(at('remote', 'networks', i), found, 'networks that are not on both sides');
  });
  const families = (networks: readonly string[]) => new Set(networks.map(familyOfNetwork));
  const here = families(local.networks);
  if (![...families(remote.networks)].some((family) => here.has(family))) {
    const found = 'found no network of a family that local.networks has';
    complain(at('remote', 'networks'), found, 'IPv4 with IPv4, IPv6 with IPv6');
  }
}

function checkOverlap(entry: ConnectionFile, complain: (i: number, found: string) => void): void {
  entry.remote.networks.forEach((text, i) => {
    const other = entry.local.networks.find((mine) => same(mine, text));
    if (other !== undefined) complain(i, `found "${text}", which is local too`);
  });
}

function same(a: string, b: string): boolean {
  const [left, right] = [parseNetwork(a), parseNetwork(b)];
  if (typeof left === 'string' || typeof right === 'string') return false;
  return Buffer.compare(left.start, right.start) === 0 && Buffer.compare(left.end, right.end) === 0;
}

export function checkPolicy(policy: PolicyFile, index: number, complain: Complain): void {
  const hasPorts = ['tcp', 'udp', 'sctp', 6, 17, 132].includes(policy.protocol);
  for (const key of ['local_ports', 'remote_ports'] as const) {
    if (policy[key] !== undefined && !hasPorts) {
      const found = `found ports with the protocol ${policy.protocol}`;
      complain(['policy', index, key], found, 'ports of tcp, udp or sctp');
    }
  }
}

function familyOf(address: string): number | undefined {
  return parseAddress(address)?.length;
}

function familyOfNetwork(text: string): 4 | 6 {
  return (parseNetwork(text) as AddressRange).family;
}
