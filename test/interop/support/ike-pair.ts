/** Our IKE core and strongSwan's charon, each in a namespace of its own, for a suite of tests. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { IkeOptions } from '../../../src/ike/options.js';
import { waitFor } from '../../../src/lab/program.js';
import { Charon, type CharonOptions, PSK } from './charon.js';
import { GatewayProcess } from './gateway-process.js';
import { makeNetwork, type Network, whyNot } from './network.js';
import { namespacePlace } from './place.js';
import type { GatewayConfig } from './udp-gateway.js';

/** Why there can be no pair on this machine. */
export const whyNoIkePair = whyNot('charon-systemd', 'swanctl');

/** What both propose unless a test says otherwise; the words are strongSwan's too. */
const IKE = 'aes128gcm16-prfsha256-x25519';
const ESP = 'aes128gcm16';

interface Side {
  readonly address: string;
  readonly id: string;
  readonly networks: string[];
}

export class IkePair {
  network!: Network;
  charon!: Charon;
  gateway!: GatewayProcess;
  ours!: Side;
  theirs!: Side;

  async start(peer: Partial<CharonOptions>, options: Partial<IkeOptions>): Promise<void> {
    this.network = makeNetwork();
    const { ours: site, peer: other } = this.network;
    this.ours = { address: site.wan.ipv4, id: 'a.test', networks: [site.networks.ipv4] };
    this.theirs = { address: other.wan.ipv4, id: 'b.test', networks: [other.networks.ipv4] };
    const place = namespacePlace(other.namespace, join(this.network.folder, 'charon'));
    this.charon = await Charon.start(place, this.charonOptions(peer));
    this.gateway = await GatewayProcess.start(site.gatewayNamespace, this.ours.address, options);
  }

  async stop(): Promise<void> {
    await this.gateway?.stop();
    await this.charon?.stop();
    this.network?.remove();
  }

  /** Whatever a test leaves behind: the next one starts without an SA on either side. */
  async clear(): Promise<void> {
    const { gateway, charon } = this;
    if ((await gateway.view()).length > 0) gateway.command({ type: 'terminate' });
    if ((await charon.sas()).length > 0) await charon.terminate().catch(() => '');
    await waitFor('no SA of ours', 5, async () => (await gateway.view()).length === 0 || undefined);
  }

  charonOptions(more: Partial<CharonOptions> = {}): CharonOptions {
    const both = { local: this.theirs, remote: this.ours };
    return { esp: 'userspace', ...both, ikeProposal: IKE, espProposal: ESP, ...more };
  }

  /** Configures both anew, and forgets what our core has reported. */
  async configure(
    config: Partial<GatewayConfig> = {},
    peer: Partial<CharonOptions> = {},
  ): Promise<void> {
    this.gateway.drain();
    await this.charon.load(this.charonOptions(peer));
    this.configureOurs(config);
  }

  configureOurs(config: Partial<GatewayConfig> = {}): void {
    const both = { local: this.ours, remote: this.theirs, psk: PSK };
    this.gateway.command({
      type: 'configure',
      config: { ...both, ike: [IKE], esp: [ESP], ...config },
    });
  }
}

/** A pair that starts and stops with the suite, and is cleared behind every test. */
export function useIkePair(
  peer: Partial<CharonOptions> = {},
  options: Partial<IkeOptions> = {},
): IkePair {
  const pair = new IkePair();
  beforeAll(() => pair.start(peer, options));
  afterAll(() => pair.stop());
  afterEach(() => pair.clear());
  return pair;
}
