/**
 * The lab's traffic: pings over IPv4 and IPv6 all the time, and TCP from a to b and from b to a in
 * turns. Runs for a time, or until it is stopped.
 */
import { join } from 'node:path';
import { type Program, sleep } from './program.js';
import { type BulkResult, bulkResult } from './report.js';
import type { Topology } from './topology.js';
import { measureTcp, type PingResult, ping, serveTcp, type TcpResult } from './traffic.js';

const PING_INTERVAL_SECONDS = 0.2;
const PING_ROUND = 5;
/** Without an end, TCP rests between its turns: it is there to be looked at. */
const REST_SECONDS = 2;

export class LabTraffic {
  readonly #topology: Topology;
  readonly #folder: string;
  readonly #end: number;
  readonly #tcpSeconds: number;
  readonly #tcp = { send: [] as TcpResult[], receive: [] as TcpResult[] };
  readonly failures: string[] = [];
  #ping: PingResult = { sent: 0, received: 0 };
  #stopped = false;

  /** @param seconds undefined: until `stop` */
  constructor(topology: Topology, folder: string, seconds: number | undefined) {
    this.#topology = topology;
    this.#folder = folder;
    this.#end = performance.now() + (seconds ?? Number.POSITIVE_INFINITY) * 1000;
    this.#tcpSeconds = Math.min(3, Math.max(1, Math.floor(((seconds ?? 60) - 1) / 2)));
  }

  get ping(): PingResult {
    return this.#ping;
  }

  /** The latest figure of each direction. */
  get latest(): { aToB?: number; bToA?: number } {
    const [aToB, bToA] = [this.#tcp.send.at(-1), this.#tcp.receive.at(-1)];
    return {
      ...(aToB === undefined ? {} : { aToB: aToB.bitsPerSecond }),
      ...(bToA === undefined ? {} : { bToA: bToA.bitsPerSecond }),
    };
  }

  get bulk(): BulkResult {
    return bulkResult(this.#tcp.send, this.#tcp.receive);
  }

  /** Resolves when all of it has come to its end. */
  async run(): Promise<void> {
    const { a, b } = this.#topology;
    const server = await serveTcp(b.hostNamespace, join(this.#folder, 'tcp.log'));
    try {
      await Promise.all([
        this.#pingAll(b.host.ipv4),
        this.#pingAll(b.host.ipv6),
        this.#transfer(a.hostNamespace, b.host.ipv4, server),
      ]);
    } finally {
      await server.stop(1);
    }
  }

  /** No further round begins. */
  stop(): void {
    this.#stopped = true;
  }

  /** Rounds of a second each, so that each request is either answered or lost when we end. */
  async #pingAll(address: string): Promise<void> {
    const { hostNamespace } = this.#topology.a;
    while (!this.#stopped && this.#left() > 0) {
      const options = { count: PING_ROUND, intervalSeconds: PING_INTERVAL_SECONDS };
      try {
        const { sent, received, milliseconds } = await ping(hostNamespace, address, options);
        this.#ping = {
          sent: this.#ping.sent + sent,
          received: this.#ping.received + received,
          ...(milliseconds === undefined ? {} : { milliseconds }),
        };
      } catch (error) {
        return this.#fail(error);
      }
    }
  }

  async #transfer(namespace: string, address: string, server: Program): Promise<void> {
    const endless = this.#end === Number.POSITIVE_INFINITY;
    do {
      for (const direction of ['send', 'receive'] as const) {
        if (this.#stopped || !server.running) return;
        try {
          const result = await measureTcp(namespace, address, direction, this.#tcpSeconds);
          this.#tcp[direction].push(result);
        } catch (error) {
          return this.#fail(error);
        }
        if (endless) await sleep(REST_SECONDS * 1000);
      }
    } while (this.#left() > 2 * this.#tcpSeconds);
  }

  #left(): number {
    return (this.#end - performance.now()) / 1000;
  }

  #fail(error: unknown): void {
    if (!this.#stopped) this.failures.push((error as Error).message);
  }
}
