/**
 * The configuration as the gateway uses it: numbers instead of "auto" are decided by the
 * gateway, proposals, identities and selectors are already the policy layer's.
 */
import type { PortOptions, SpdEntry } from '../dataplane/dataplane.js';
import type { LogLevel } from '../ike/event.js';
import type { Connection } from '../policy/connection.js';

export interface GatewayConfig {
  readonly name: string;
  readonly ports: readonly PortOptions[];
  /** Dataplane threads. */
  readonly workers: number | 'auto';
  /** CPU of worker 0, 1, ...; "any": not pinned. */
  readonly cpus: readonly number[] | 'auto' | 'any';
  /** Worker of queue 0, 1, ... of every port; undefined: in turn. */
  readonly queueWorkers: readonly number[] | undefined;
  readonly framesPerQueue: number;
  readonly frameBytes: 2048 | 4096;
  /** 0: interrupts. */
  readonly busyPollMicroseconds: number;
  readonly ikeWorkers: number | 'auto';
  readonly maxChildSas: number;
  readonly halfOpenPerAddress: number;
  readonly apiSocket: string;
  readonly apiGroup: string | undefined;
  /** Where metrics are served; undefined: nowhere. */
  readonly metricsListen: { readonly address: string; readonly port: number } | undefined;
  readonly logLevel: LogLevel;
  /** Of the routes for what this host itself sends; 0: none. */
  readonly routeTable: number;
  readonly guardOnStop: 'keep' | 'open';
  /** For Wireshark, in labs; undefined: nowhere. */
  readonly espKeysFile: string | undefined;
  readonly plainForwarding: boolean;
  readonly connections: readonly Connection[];
  /** Ordered: what `[[policy]]` says, then what the connections protect. */
  readonly spd: readonly SpdEntry[];
}

/** Where the API of the gateway called `name` listens unless its configuration says otherwise. */
export function defaultApiSocket(name: string): string {
  return `/run/esplane/${name}.sock`;
}

/** The TUN through which packets go back to the kernel: 15 characters, as a name has 11 at most. */
export function tunName(gateway: string): string {
  return `esp-${gateway}`;
}
