/** What the lab needs of two gateways and the network between them, however they are run. */
import { randomBytes } from 'node:crypto';
import type { Status } from '../api/status.js';
import type { GatewaySettings } from './gateway-process.js';
import type { TrafficDriver } from './lab-traffic.js';
import type { LabReport, WireCounts } from './report.js';
import type { SiteAddresses } from './topology.js';

export interface RunningLab {
  readonly network: LabReport['network'];
  readonly headline: string;
  readonly bulkName: string;
  statuses(): Promise<{ a: Status; b: Status }>;
  wire(): Promise<WireCounts>;
  makeTraffic(): Promise<TrafficDriver>;
  /** Stops both gateways in an orderly way; what did not go well. */
  stop(): Promise<string[]>;
}

/** The settings of both gateways: a begins, b waits, and they share a key made for this run. */
export function labSettings(
  plain: boolean,
): (site: SiteAddresses, peer: SiteAddresses) => GatewaySettings {
  const psk = randomBytes(32).toString('base64url');
  const end = ({ wan, networks, name }: SiteAddresses) => ({
    address: wan.ipv4,
    id: `${name}.lab`,
    networks: Object.values(networks),
  });
  return (site, peer) => ({
    name: `lab-${site.name}`,
    local: end(site),
    remote: end(peer),
    psk,
    start: site.name === 'a' && !plain ? 'always' : 'wait',
    plain,
  });
}
