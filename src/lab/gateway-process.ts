/** An esplane daemon in a namespace, with its configuration, its log and its API. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient, RefusedError, UnreachableError } from '../api/client.js';
import type { ChildSaStatus, IkeSaStatus, Status } from '../api/status.js';
import type { RekeyWhat } from '../ike/event.js';
import { compiledProgram, type Exit, Program, waitFor } from './program.js';
import { LAN, WAN } from './topology.js';

const program = compiledProgram('cli/main.js');

/** More than 20 were taken by two CPUs with a load of 14. */
const START_SECONDS = 60;

export interface GatewaySettings {
  readonly name: string;
  readonly local: EndSettings;
  readonly remote: EndSettings;
  readonly psk: string;
  readonly start: 'always' | 'trap' | 'wait';
  readonly ike?: readonly string[];
  readonly esp?: readonly string[];
  /** In place of ESP. */
  readonly ah?: readonly string[];
  readonly mode?: 'tunnel' | 'transport';
  readonly udpEncapsulation?: 'auto' | 'always';
  /** Forward everything in clear: the control run. */
  readonly plain?: boolean;
  /** A route-based tunnel; the networks of both ends do not matter then. */
  readonly interface?: string;
  /** The LAN's interface is a port; default: true. */
  readonly lanPort?: boolean;
  /** In place of the one of the lab's topology. */
  readonly wan?: readonly string[];
  /** Further lines of the [gateway] table. */
  readonly gatewayLines?: readonly string[];
  /** Further lines of the connection's table. */
  readonly connectionLines?: readonly string[];
}

export interface EndSettings {
  readonly address: string;
  /** Local: addresses to move to. */
  readonly alternatives?: readonly string[];
  readonly id?: string;
  /** None where Child SAs have tables of their own. */
  readonly networks: readonly string[];
}

export interface GatewayPlace {
  readonly namespace: string;
  /** For its configuration, its key, its socket and its log. */
  readonly folder: string;
}

/** The configuration file; the key is in `psk` beside it. */
export function gatewayConfig(settings: GatewaySettings, socket: string): string {
  const { name, local, remote, start, ike, esp, ah, udpEncapsulation = 'auto' } = settings;
  const end = ({ address, id = address, networks, alternatives }: EndSettings): string => {
    const list = (key: string, values: readonly string[]) => `, ${key} = ${JSON.stringify(values)}`;
    const isSaid = settings.interface === undefined && networks.length > 0;
    const protects = isSaid ? list('networks', networks) : '';
    const moves = alternatives === undefined ? '' : list('alternatives', alternatives);
    return `{ address = "${address}", id = "${id}"${protects}${moves} }`;
  };
  return [
    '[gateway]',
    `name = "${name}"`,
    ...(settings.lanPort === false ? [] : [`lan = ["${LAN}"]`]),
    `wan = ${JSON.stringify(settings.wan ?? [WAN])}`,
    `api_socket = "${socket}"`,
    ...(settings.plain === true ? ['lab_plain_forwarding = true'] : []),
    ...(settings.gatewayLines ?? []),
    '',
    '[connection.lab]',
    `local = ${end(local)}`,
    `remote = ${end(remote)}`,
    'psk_file = "psk"',
    `start = "${start}"`,
    `udp_encapsulation = "${udpEncapsulation}"`,
    ...(ike === undefined ? [] : [`ike = ${JSON.stringify(ike)}`]),
    ...(esp === undefined ? [] : [`esp = ${JSON.stringify(esp)}`]),
    ...(ah === undefined ? [] : [`ah = ${JSON.stringify(ah)}`]),
    ...(settings.mode === undefined ? [] : [`mode = "${settings.mode}"`]),
    ...(settings.interface === undefined ? [] : [`interface = "${settings.interface}"`]),
    ...(settings.connectionLines ?? []),
    '',
  ].join('\n');
}

export class GatewayProcess {
  readonly program: Program;
  readonly configFile: string;
  readonly #api: ApiClient;
  readonly #name: string;

  private constructor(program: Program, api: ApiClient, configFile: string, name: string) {
    this.program = program;
    this.configFile = configFile;
    this.#api = api;
    this.#name = name;
  }

  /** Resolves once the daemon answers on its API. */
  static async start(place: GatewayPlace, settings: GatewaySettings): Promise<GatewayProcess> {
    const { namespace, folder } = place;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const [configFile, socket] = [join(folder, 'gateway.toml'), join(folder, 'api.sock')];
    writeFileSync(configFile, gatewayConfig(settings, socket));
    writeFileSync(join(folder, 'psk'), `${settings.psk}\n`, { mode: 0o600 });
    const started = new Program({
      namespace,
      command: [process.execPath, program, 'run', '-c', configFile],
      logFile: join(folder, 'log'),
    });
    const api = new ApiClient(socket);
    const gateway = new GatewayProcess(started, api, configFile, settings.name);
    try {
      await waitFor(`gateway ${settings.name}`, START_SECONDS, () => gateway.#answers());
    } catch (error) {
      await started.stop(2);
      throw error;
    }
    return gateway;
  }

  status(): Promise<Status> {
    return this.#api.status();
  }

  up(): ReturnType<ApiClient['up']> {
    return this.#api.up('lab');
  }

  down(): ReturnType<ApiClient['down']> {
    return this.#api.down('lab');
  }

  probe(): ReturnType<ApiClient['probe']> {
    return this.#api.probe('lab');
  }

  rekey(what: RekeyWhat): ReturnType<ApiClient['rekey']> {
    return this.#api.rekey('lab', what);
  }

  /** Resolves once a Child SA is up; throws with the daemon's log. */
  async waitForTunnel(seconds = 20): Promise<{ ikeSa: IkeSaStatus; childSa: ChildSaStatus }> {
    try {
      return await waitFor(`the tunnel of gateway ${this.#name}`, seconds, async () => {
        const connections = (await this.status()).connections;
        for (const ikeSa of connections.flatMap((connection) => connection.ikeSas)) {
          const childSa = ikeSa.childSas[0];
          if (ikeSa.state === 'established' && childSa !== undefined) return { ikeSa, childSa };
        }
        return undefined;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.program.lastLines()}`);
    }
  }

  /** SIGTERM, and the end of the process. */
  stop(): Promise<Exit> {
    return this.program.stop();
  }

  async #answers(): Promise<true | undefined> {
    if (!this.program.running) {
      throw new Error(`gateway ${this.#name} ended:\n${this.program.lastLines()}`);
    }
    try {
      await this.#api.health();
      return true;
    } catch (error) {
      if (error instanceof UnreachableError || error instanceof RefusedError) return undefined;
      throw error;
    }
  }
}
