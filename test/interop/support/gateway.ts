/** esplane on our side of an interop test: gateway, host, and what the peer's config needs. */
import { join } from 'node:path';
import { GatewayProcess, type GatewaySettings } from '../../../src/lab/gateway-process.js';
import { type CharonIkeSa, type CharonOptions, PSK, type Side } from './charon.js';
import type { Network } from './network.js';

export interface Suite {
  /** In the words that esplane and strongSwan share, such as `aes128gcm16-prfsha256-x25519`. */
  readonly ike: string;
  readonly esp: string;
  /** In place of ESP. */
  readonly ah?: string;
  readonly family?: 'ipv4' | 'ipv6';
  readonly forceUdp?: boolean;
}

let started = 0;

/** Starts a gateway for a test; it waits for the peer, or for `up`. */
export function startGateway(
  { ours, peer, folder }: Network,
  { ike, esp, ah, family = 'ipv4', forceUdp = false }: Suite,
  more: Partial<GatewaySettings> = {},
): Promise<GatewayProcess> {
  const place = { namespace: ours.gatewayNamespace, folder: join(folder, `esplane-${++started}`) };
  return GatewayProcess.start(place, {
    name: 'interop',
    local: { address: ours.wan[family], id: 'a.test', networks: Object.values(ours.networks) },
    remote: { address: peer.wan[family], id: 'b.test', networks: Object.values(peer.networks) },
    psk: PSK,
    start: 'wait',
    ike: [ike],
    ...(ah === undefined ? { esp: [esp] } : { ah: [ah] }),
    udpEncapsulation: forceUdp ? 'always' : 'auto',
    ...more,
  });
}

/** The other end of the same connection, for charon. */
export function charonOptions(
  { ours, peer }: Network,
  esp: CharonOptions['esp'],
  { ike, esp: espProposal, ah, family = 'ipv4', forceUdp = false }: Suite,
): CharonOptions {
  const side = (id: string, at: Network['ours'] | Network['peer']): Side => {
    return { address: at.wan[family], id, networks: Object.values(at.networks) };
  };
  const ends = { local: side('b.test', peer), remote: side('a.test', ours) };
  const words = ah === undefined ? {} : { ah };
  const net = [ends.local.networks, ends.remote.networks, words] as const;
  return { esp, ...ends, children: { net }, ikeProposal: ike, espProposal, forceUdp };
}

/** What both ends say of one tunnel, in the same words; equal if they agree. */
export interface Agreement {
  readonly ikeSpis: string;
  readonly ike: string;
  readonly toPeer: string;
  readonly toUs: string;
  readonly esp: string;
}

export async function ourView(gateway: GatewayProcess): Promise<Agreement> {
  const { ikeSa, childSa } = await gateway.waitForTunnel();
  return {
    ikeSpis: `${ikeSa.initiatorSpi} ${ikeSa.responderSpi}`,
    ike: plainName(ikeSa.proposal),
    toPeer: childSa.outboundSpi,
    toUs: childSa.inboundSpi,
    esp: plainName(childSa.proposal),
  };
}

export function theirView(sa: CharonIkeSa | undefined): Agreement {
  const child = sa?.children[0];
  return {
    ikeSpis: `${sa?.initiatorSpi} ${sa?.responderSpi}`,
    ike: plainName(sa?.proposal ?? ''),
    toPeer: child?.spiIn ?? '',
    toUs: child?.spiOut ?? '',
    esp: plainName(child?.proposal ?? ''),
  };
}

/** AES_GCM_16-128 and AES_GCM_16_128, CURVE_25519 and CURVE25519 are the same. */
const plainName = (name: string): string => name.replaceAll(/[-_]/g, '');

export async function countIkeSas(gateway: GatewayProcess): Promise<number> {
  const { connections } = await gateway.status();
  return connections.flatMap(({ ikeSas }) => ikeSas).length;
}
