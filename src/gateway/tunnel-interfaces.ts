/**
 * The interfaces of route-based tunnels: they come and go with their connections.
 *
 * An interface outlives the process, with the addresses and routes that the administrator gave it:
 * what is routed there while no daemon runs is dropped by the kernel, and takes no other way. Its
 * alias says whose it is (`ip link`), so that the next run finds one that no connection names any
 * more.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { GatewayConfig } from '../config/gateway-config.js';
import type { Dataplane } from '../dataplane/dataplane.js';
import type { Log } from '../log.js';

export interface TunnelInterfacesParts {
  readonly dataplane: Pick<Dataplane, 'addInterface' | 'removeInterface'>;
  readonly log: Log;
  readonly host: InterfaceHost;
}

/** What marks interfaces as ours, beyond the life of a process. */
export interface InterfaceHost {
  mark(name: string): void;
  /** Those that are marked. */
  marked(): readonly string[];
}

/** For gateways over memory ports. */
export const noInterfaceHost: InterfaceHost = { mark() {}, marked: () => [] };

export function aliasHost(gateway: string): InterfaceHost {
  const alias = `esplane ${gateway}`;
  return {
    mark(name) {
      // Without it nothing is lost but the tidying up after a change that no daemon saw.
      spawnSync('ip', ['link', 'set', 'dev', name, 'alias', alias]);
    },
    marked: () => interfaceNames().filter((name) => aliasOf(name) === alias),
  };
}

export class TunnelInterfaces {
  readonly #parts: TunnelInterfacesParts;
  readonly #names = new Set<string>();

  constructor(parts: TunnelInterfacesParts) {
    this.#parts = parts;
  }

  /** Makes those that are not there yet. Throws, and then none of them is there. */
  provide(names: readonly string[]): void {
    const made: string[] = [];
    try {
      for (const name of names.filter((one) => !this.#names.has(one))) {
        this.#add(name);
        made.push(name);
      }
    } catch (error) {
      for (const name of made) this.#remove(name);
      throw error;
    }
  }

  /** Takes all others away, those of an earlier run too. No SPD entry names one of them. */
  retain(names: readonly string[]): void {
    for (const name of [...this.#names]) if (!names.includes(name)) this.#remove(name);
    for (const name of this.#parts.host.marked()) {
      if (names.includes(name)) continue;
      this.#add(name);
      this.#remove(name);
    }
  }

  #add(name: string): void {
    this.#parts.dataplane.addInterface({ name });
    this.#parts.host.mark(name);
    this.#names.add(name);
    this.#parts.log.info(`interface ${name} is there`);
  }

  #remove(name: string): void {
    this.#names.delete(name);
    this.#parts.dataplane.removeInterface(name);
    this.#parts.log.info(`interface ${name} is gone`);
  }
}

/** Those that a configuration names. */
export function tunnelInterfaces({ connections }: Pick<GatewayConfig, 'connections'>): string[] {
  return connections.flatMap((connection) => connection.interface ?? []);
}

function interfaceNames(): string[] {
  try {
    return readdirSync('/sys/class/net');
  } catch {
    return [];
  }
}

function aliasOf(name: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/ifalias`, 'utf8').trim();
  } catch {
    return '';
  }
}
