/**
 * The lab's traffic: pings over IPv4 and IPv6 all the time, and bulk traffic from a to b and from b
 * to a in turns. Runs for a time, or until it is stopped. A driver knows how it is made.
 */
import { sleep } from './program.js';
import { type BulkResult, bulkResult } from './report.js';
import type { PingResult, TcpResult } from './traffic.js';

/** Without an end, bulk traffic rests between its turns: it is there to be looked at. */
const REST_SECONDS = 2;

export interface TrafficDriver {
  /** One for each family: a second or so of echo requests, all answered or given up at its end. */
  readonly pingRounds: readonly (() => Promise<PingResult>)[];
  /** From a to b (`send`) or from b to a. */
  transfer(direction: 'send' | 'receive', seconds: number): Promise<TcpResult>;
  close(): Promise<void>;
}

export class LabTraffic {
  readonly #driver: TrafficDriver;
  readonly #end: number;
  readonly #bulkSeconds: number;
  readonly #bulk = { send: [] as TcpResult[], receive: [] as TcpResult[] };
  readonly failures: string[] = [];
  #ping: PingResult = { sent: 0, received: 0 };
  #stopped = false;

  /** @param seconds undefined: until `stop` */
  constructor(driver: TrafficDriver, seconds: number | undefined) {
    this.#driver = driver;
    this.#end = performance.now() + (seconds ?? Number.POSITIVE_INFINITY) * 1000;
    this.#bulkSeconds = Math.min(5, Math.max(1, Math.floor(((seconds ?? 60) - 1) / 2)));
  }

  get ping(): PingResult {
    return this.#ping;
  }

  /** The latest figure of each direction. */
  get latest(): { aToB?: number; bToA?: number } {
    const [aToB, bToA] = [this.#bulk.send.at(-1), this.#bulk.receive.at(-1)];
    return {
      ...(aToB === undefined ? {} : { aToB: aToB.bitsPerSecond }),
      ...(bToA === undefined ? {} : { bToA: bToA.bitsPerSecond }),
    };
  }

  get bulk(): BulkResult {
    return bulkResult(this.#bulk.send, this.#bulk.receive);
  }

  /** Resolves when all of it has come to its end. */
  async run(): Promise<void> {
    try {
      const pings = this.#driver.pingRounds.map((round) => this.#pingOn(round));
      await Promise.all([...pings, this.#transfer()]);
    } finally {
      await this.#driver.close();
    }
  }

  /** No further round begins. */
  stop(): void {
    this.#stopped = true;
  }

  async #pingOn(round: () => Promise<PingResult>): Promise<void> {
    while (!this.#stopped && this.#left() > 0) {
      try {
        const { sent, received, milliseconds } = await round();
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

  async #transfer(): Promise<void> {
    const endless = this.#end === Number.POSITIVE_INFINITY;
    do {
      for (const direction of ['send', 'receive'] as const) {
        if (this.#stopped) return;
        try {
          const result = await this.#driver.transfer(direction, this.#bulkSeconds);
          this.#bulk[direction].push(result);
        } catch (error) {
          return this.#fail(error);
        }
        if (endless) await sleep(REST_SECONDS * 1000);
      }
    } while (this.#left() > 2 * this.#bulkSeconds);
  }

  #left(): number {
    return (this.#end - performance.now()) / 1000;
  }

  #fail(error: unknown): void {
    if (!this.#stopped) this.failures.push((error as Error).message);
  }
}
