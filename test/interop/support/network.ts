/**
 * The network of an interop test: our host and gateway, and on the gateway's WAN link a peer in a
 * namespace of its own. A tap on the peer's end sees every packet.
 *
 *     host a --- gateway a === peer
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ipBatch, Namespaces, whyNoNamespaces } from '../../../src/lab/namespaces.js';
import {
  type Address,
  addresses,
  link,
  makeSite,
  type Site,
  WAN,
} from '../../../src/lab/topology.js';

export interface PeerSite {
  readonly namespace: string;
  /** Its device towards the gateway. */
  readonly device: string;
  readonly wan: Address;
  /** Its protected address, on its loopback. */
  readonly host: Address;
  readonly networks: Address;
}

export interface Network {
  readonly ours: Site;
  readonly peer: PeerSite;
  /** For configurations, logs and captures; removed with the network. */
  readonly folder: string;
  remove(): void;
}

/** A peer's place: 10.2.0.0/24 behind 192.0.2.2, and the same in IPv6. */
export function peerSite(namespace: string, number: number): PeerSite {
  return {
    namespace,
    device: 'eth0',
    wan: { ipv4: `192.0.2.${number}`, ipv6: `2001:db8::${number}` },
    host: { ipv4: `10.${number}.0.2`, ipv6: `fd0${number}::2` },
    networks: { ipv4: `10.${number}.0.0/24`, ipv6: `fd0${number}::/64` },
  };
}

/** Lines of `ip` that give a peer its addresses. */
export function peerAddresses({ device, wan, host }: PeerSite): string[] {
  return [
    ...addresses(device, wan),
    `address add ${host.ipv4}/32 dev lo`,
    `address add ${host.ipv6}/128 dev lo nodad`,
  ];
}

/** @param configurePeer false where the peer is a kernel of its own behind the device */
export function makeNetwork(configurePeer = true): Network {
  const namespaces = new Namespaces();
  const folder = mkdtempSync(join(tmpdir(), 'esplane-interop-'));
  const remove = (): void => {
    namespaces.remove();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const ours = makeSite(namespaces, 'a');
    const peer = peerSite(namespaces.add('peer'), 2);
    link(ours.gatewayNamespace, WAN, peer.namespace, peer.device);
    ipBatch(ours.gatewayNamespace, [
      ...addresses(WAN, ours.wan),
      `route add ${peer.networks.ipv4} via ${peer.wan.ipv4}`,
      `route add ${peer.networks.ipv6} via ${peer.wan.ipv6}`,
    ]);
    if (configurePeer) ipBatch(peer.namespace, peerAddresses(peer));
    return { ours, peer, folder, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Undefined where a test with these programs and namespaces can run; else the reason, said aloud. */
export function whyNot(...programs: readonly string[]): string | undefined {
  return said(missingPrograms(programs) ?? whyNoNamespaces());
}

/** The same for a test that needs no namespace. */
export function whyNoPrograms(...programs: readonly string[]): string | undefined {
  return said(missingPrograms(programs));
}

function missingPrograms(programs: readonly string[]): string | undefined {
  const path = `${process.env.PATH}:/usr/sbin:/sbin`;
  const missing = programs.filter((program) => {
    try {
      execFileSync('/bin/sh', ['-c', `command -v ${program}`], { env: { PATH: path } });
      return false;
    } catch {
      return true;
    }
  });
  return missing.length > 0 ? `no ${missing.join(', ')} here` : undefined;
}

function said(reason: string | undefined): string | undefined {
  if (reason !== undefined) console.warn(`skipped: ${reason}`);
  return reason;
}
