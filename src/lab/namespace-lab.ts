/** The lab in five namespaces: a daemon in each gateway's, and a tap in the wire's. */
import { join } from 'node:path';
import { GatewayProcess, type GatewaySettings } from './gateway-process.js';
import type { TrafficDriver } from './lab-traffic.js';
import type { WireCounts } from './report.js';
import { labSettings, type RunningLab } from './running-lab.js';
import { WireTapProcess } from './tap-process.js';
import type { Site, Topology } from './topology.js';
import { measureTcp, ping, serveTcp } from './traffic.js';

/** Echo requests of one round: a second. */
const PINGS = { count: 5, intervalSeconds: 0.2 };

export class NamespaceLab implements RunningLab {
  readonly network = 'namespaces';
  readonly headline = 'two gateways, five network namespaces';
  readonly bulkName = 'TCP';
  readonly topology: Topology;
  readonly folder: string;
  readonly tap: WireTapProcess;
  readonly settings: ReturnType<typeof labSettings>;
  #a: GatewayProcess | undefined;
  #b: GatewayProcess | undefined;

  private constructor(
    topology: Topology,
    folder: string,
    tap: WireTapProcess,
    settings: NamespaceLab['settings'],
  ) {
    this.topology = topology;
    this.folder = folder;
    this.tap = tap;
    this.settings = settings;
  }

  /**
   * Starts the tap, then both gateways; resolves once the tunnel is up, if there is to be one.
   * @param change  what a test wants otherwise
   */
  static async start(
    topology: Topology,
    folder: string,
    plain: boolean,
    change = (settings: GatewaySettings): GatewaySettings => settings,
  ): Promise<NamespaceLab> {
    const { a, b, wireNamespace, wirePorts } = topology;
    const networks = [a, b].flatMap((site) => Object.values(site.networks));
    const tap = await WireTapProcess.start(wireNamespace, wirePorts, networks);
    const usual = labSettings(plain);
    const lab = new NamespaceLab(topology, folder, tap, (...sites) => change(usual(...sites)));
    // The responder first: its peer need not try twice.
    await lab.startGateway('b');
    await lab.startGateway('a');
    if (!plain) await Promise.all([lab.a.waitForTunnel(), lab.b.waitForTunnel()]);
    return lab;
  }

  get a(): GatewayProcess {
    return this.#a!;
  }

  get b(): GatewayProcess {
    return this.#b!;
  }

  /** Starts a gateway, or starts it again with the same configuration. */
  async startGateway(name: 'a' | 'b'): Promise<GatewayProcess> {
    const { a, b } = this.topology;
    const [site, peer]: [Site, Site] = name === 'a' ? [a, b] : [b, a];
    const place = { namespace: site.gatewayNamespace, folder: join(this.folder, name) };
    const gateway = await GatewayProcess.start(place, this.settings(site, peer));
    if (name === 'a') this.#a = gateway;
    else this.#b = gateway;
    return gateway;
  }

  async statuses() {
    const [a, b] = await Promise.all([this.a.status(), this.b.status()]);
    return { a, b };
  }

  async wire(): Promise<WireCounts> {
    const { esp, ike, clearText, kernelDrops } = await this.tap.counts();
    return { espPackets: esp, ikePackets: ike, clearTextPackets: clearText, missed: kernelDrops };
  }

  async makeTraffic(): Promise<TrafficDriver> {
    const { a, b } = this.topology;
    const server = await serveTcp(b.hostNamespace, join(this.folder, 'tcp.log'));
    const round = (address: string) => () => ping(a.hostNamespace, address, PINGS);
    return {
      pingRounds: [round(b.host.ipv4), round(b.host.ipv6)],
      transfer: (direction, seconds) =>
        measureTcp(a.hostNamespace, b.host.ipv4, direction, seconds),
      close: async () => {
        await server.stop(1);
      },
    };
  }

  async stop(): Promise<string[]> {
    const exits = await Promise.all([this.#a?.stop(), this.#b?.stop()]);
    return exits
      .filter((exit) => exit !== undefined && exit.code !== 0)
      .map((exit) => `a gateway ended with ${exit?.code ?? exit?.signal}`);
  }
}
