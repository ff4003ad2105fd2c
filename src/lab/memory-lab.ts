/**
 * The lab without privileges: the same two gateways, from the same configuration, in this process
 * over memory ports. Pings are answered in the process, and datagrams stand in for TCP, since no
 * host has a TCP there; IKE runs over a network in memory as well.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../config/load.js';
import type { PortOptions } from '../dataplane/dataplane.js';
import { createLog, type DaemonLog } from '../log.js';
import { type Gateway, memoryParts, runGateway } from '../main.js';
import { MemoryNetwork } from '../net/memory.js';
import { childSas } from './draw.js';
import { gatewayConfig } from './gateway-process.js';
import { MemoryLabNetwork } from './memory-network.js';
import { waitFor } from './program.js';
import { labSettings, type RunningLab } from './running-lab.js';
import { LAN, type SiteAddresses, siteAddresses, WAN } from './topology.js';

const link = (kind: string, site: SiteAddresses): string =>
  `lab-${process.pid}-${kind}-${site.name}`;

/** Starts both gateways; resolves once the tunnel is up, if there is to be one. */
export async function startMemoryLab(folder: string, plain: boolean): Promise<RunningLab> {
  let ikePackets = 0;
  const ike = new MemoryNetwork(() => {
    ikePackets++;
    return true;
  });
  const [siteA, siteB] = [siteAddresses('a'), siteAddresses('b')];
  const settings = labSettings(plain);
  const lines: string[] = [];
  const start = (site: SiteAddresses, peer: SiteAddresses): Promise<Gateway> => {
    const config = writeConfig(join(folder, site.name), settings(site, peer));
    return startGateway(config, site, peer, ike, collectingLog(site.name, lines));
  };
  const b = await start(siteB, siteA);
  const a = await start(siteA, siteB);
  const network = new MemoryLabNetwork(
    {
      lan: [link('lan', siteA), link('lan', siteB)],
      wan: [link('wan', siteA), link('wan', siteB)],
    },
    { a: siteA.host, b: siteB.host },
  );
  const lab = makeLab(a, b, network, () => ikePackets);
  try {
    if (!plain) await waitFor('the tunnel', 20, async () => (await isUp(a)) && (await isUp(b)));
    return lab;
  } catch (error) {
    await lab.stop();
    throw new Error(`${(error as Error).message}\n${lines.join('')}`);
  }
}

function makeLab(
  a: Gateway,
  b: Gateway,
  network: MemoryLabNetwork,
  ikePackets: () => number,
): RunningLab {
  return {
    network: 'memory',
    headline: 'two gateways in one process, over memory ports',
    bulkName: 'bulk',
    async statuses() {
      const [statusA, statusB] = await Promise.all([a.status(), b.status()]);
      return { a: statusA, b: statusB };
    },
    wire: async () => network.wire(ikePackets()),
    makeTraffic: async () => ({
      pingRounds: [() => network.pingRound('ipv4'), () => network.pingRound('ipv6')],
      transfer: (direction, seconds) => network.bulk(direction, seconds),
      close: async () => {},
    }),
    async stop() {
      await a.stop();
      await b.stop();
      network.stop();
      return [];
    },
  };
}

async function isUp(gateway: Gateway): Promise<true | undefined> {
  return childSas(await gateway.status()).length > 0 || undefined;
}

/** The same file that a daemon would read; the path of it. */
function writeConfig(folder: string, settings: Parameters<typeof gatewayConfig>[0]): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'gateway.toml');
  writeFileSync(path, gatewayConfig(settings, join(folder, 'api.sock')));
  writeFileSync(join(folder, 'psk'), `${settings.psk}\n`, { mode: 0o600 });
  return path;
}

/** Keeps the last lines, for an error's text. */
function collectingLog(name: string, lines: string[]): DaemonLog {
  const write = (line: string): void => {
    lines.push(`${name} ${line}`);
    if (lines.length > 50) lines.shift();
  };
  return createLog({ level: 'info', format: 'text', write });
}

function startGateway(
  configFile: string,
  site: SiteAddresses,
  peer: SiteAddresses,
  ike: MemoryNetwork,
  log: DaemonLog,
): Promise<Gateway> {
  const parts = memoryParts({
    log,
    transport: ike.transport(),
    localAddresses: [...Object.values(site.lan), ...Object.values(site.wan)],
    reinjectLink: link('kernel', site),
  });
  return runGateway({ ...loadConfig(configFile), ports: memoryPorts(site, peer) }, parts);
}

/** What the kernels of the namespaces know as routes and addresses, told to the ports. */
function memoryPorts(site: SiteAddresses, peer: SiteAddresses): PortOptions[] {
  const common = { kind: 'memory', queues: 1 } as const;
  const toPeer = [`${peer.wan.ipv4}/32`, `${peer.wan.ipv6}/128`, ...Object.values(peer.networks)];
  return [
    {
      ...{ ...common, name: LAN, device: LAN, role: 'lan', link: link('lan', site) },
      networks: Object.values(site.networks),
      addresses: Object.values(site.lan),
    },
    {
      ...{ ...common, name: WAN, device: WAN, role: 'wan', link: link('wan', site) },
      networks: toPeer,
      addresses: Object.values(site.wan),
    },
  ];
}
