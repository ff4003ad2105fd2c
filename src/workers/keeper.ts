/**
 * What is wanted of each connection, and the attempts to have it: initiates what is to be up,
 * tries again with back-off, and remembers why the last attempt failed.
 */
import type { Log } from '../log.js';
import type { Connection } from '../policy/connection.js';

export type Wanted = 'up' | 'down' | 'on-demand';

/** pending: neither established nor failed in the time given. */
export interface Outcome {
  readonly result: 'established' | 'failed' | 'pending';
  readonly explanation?: string;
}

export interface KeeperOptions {
  readonly connections: readonly Connection[];
  readonly initiate: (connection: string, child?: string) => void;
  readonly terminate: (connection: string) => void;
  /** Whether a Child SA of the connection is installed. */
  readonly isUp: (connection: string) => boolean;
  readonly log: Log;
  /** Longest that `up` waits. */
  readonly patienceMs?: number;
}

interface Kept {
  readonly name: string;
  wanted: Wanted;
  lastError: string | undefined;
  /** An attempt is under way since then, by Date.now(). */
  attemptSince: number | undefined;
  /** Attempts that failed in a row. */
  failures: number;
  retry: NodeJS.Timeout | undefined;
  waiting: ((outcome: Outcome) => void)[];
}

const PATIENCE_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

/** An attempt of which nothing was heard for so long is no reason to ignore a new demand. */
const STALE_ATTEMPT_MS = 240_000;

export class ConnectionKeeper {
  readonly #options: KeeperOptions;
  readonly #kept: ReadonlyMap<string, Kept>;
  #stopped = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    const entries = options.connections.map(({ name, start }): [string, Kept] => {
      const wanted = start === 'always' ? 'up' : 'on-demand';
      const none = { lastError: undefined, attemptSince: undefined, retry: undefined };
      return [name, { name, wanted, ...none, failures: 0, waiting: [] }];
    });
    this.#kept = new Map(entries);
  }

  start(): void {
    for (const kept of this.#kept.values()) if (kept.wanted === 'up') this.#attempt(kept);
  }

  /** Ends all attempts; nothing is initiated any more. */
  stop(): void {
    this.#stopped = true;
    for (const kept of this.#kept.values()) {
      clearTimeout(kept.retry);
      this.#tell(kept, { result: 'failed', explanation: 'the gateway stops' });
    }
  }

  state(name: string): { wanted: Wanted; lastError: string | undefined } {
    const { wanted, lastError } = this.#get(name);
    return { wanted, lastError };
  }

  /** Brings the connection up, keeps it up from now on, and waits for the outcome. */
  up(name: string): Promise<Outcome> {
    const kept = this.#get(name);
    kept.wanted = 'up';
    if (this.#options.isUp(name)) return Promise.resolve({ result: 'established' });
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => this.#tell(kept, { result: 'pending' }),
        this.#options.patienceMs ?? PATIENCE_MS,
      );
      kept.waiting.push((outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
      if (!this.#isAttempting(kept)) this.#attempt(kept);
    });
  }

  /** Deletes the connection's SAs; it stays down until `up`, or until the peer begins. */
  down(name: string): void {
    const kept = this.#get(name);
    kept.wanted = 'down';
    kept.attemptSince = undefined;
    clearTimeout(kept.retry);
    kept.retry = undefined;
    this.#tell(kept, { result: 'failed', explanation: 'taken down' });
    this.#options.terminate(name);
  }

  /** A packet needs an SA of the policy `<connection>/<child>`. */
  acquire(policy: string): void {
    const [name = '', child] = policy.split('/');
    const kept = this.#kept.get(name);
    if (kept === undefined || kept.wanted === 'down' || this.#isAttempting(kept)) return;
    // A peer that keeps refusing is not asked for each packet.
    if (kept.retry !== undefined) return;
    this.#attempt(kept, child);
  }

  childInstalled(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    kept.attemptSince = undefined;
    kept.failures = 0;
    kept.lastError = undefined;
    clearTimeout(kept.retry);
    kept.retry = undefined;
    this.#tell(kept, { result: 'established' });
  }

  failed(name: string | undefined, explanation: string): void {
    const kept = name === undefined ? undefined : this.#kept.get(name);
    if (kept === undefined) return;
    kept.lastError = explanation;
    kept.attemptSince = undefined;
    kept.failures++;
    this.#tell(kept, { result: 'failed', explanation });
    this.#retryLater(kept);
  }

  /** An error that may be a stranger's doing: shown where nothing better is known, no more. */
  note(name: string | undefined, explanation: string): void {
    const kept = name === undefined ? undefined : this.#kept.get(name);
    if (kept === undefined || this.#options.isUp(kept.name)) return;
    kept.lastError = explanation;
  }

  closed(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined || this.#options.isUp(name)) return;
    kept.attemptSince = undefined;
    this.#retryLater(kept);
  }

  #get(name: string): Kept {
    const kept = this.#kept.get(name);
    if (kept === undefined) throw new Error(`no connection "${name}"`);
    return kept;
  }

  #isAttempting({ attemptSince }: Kept): boolean {
    return attemptSince !== undefined && Date.now() - attemptSince < STALE_ATTEMPT_MS;
  }

  #attempt(kept: Kept, child?: string): void {
    if (this.#stopped) return;
    clearTimeout(kept.retry);
    kept.retry = undefined;
    kept.attemptSince = Date.now();
    this.#options.initiate(kept.name, child);
  }

  /**
   * One wait at a time, doubling, with up to a quarter of chance so that two gateways that lost
   * each other do not stay in step. On demand, the wait only keeps packets from asking again.
   */
  #retryLater(kept: Kept): void {
    if (this.#stopped || kept.wanted === 'down' || kept.retry !== undefined) return;
    const doubled = FIRST_RETRY_MS * 2 ** Math.min(kept.failures, 10);
    const wait = Math.min(LAST_RETRY_MS, doubled) * (0.75 + Math.random() / 4);
    kept.retry = setTimeout(() => {
      kept.retry = undefined;
      const wanted = kept.wanted === 'up' && !this.#options.isUp(kept.name);
      if (!wanted || this.#isAttempting(kept)) return;
      this.#options.log.info('trying again', { connection: kept.name });
      this.#attempt(kept);
    }, wait);
  }

  #tell(kept: Kept, outcome: Outcome): void {
    const waiting = kept.waiting;
    kept.waiting = [];
    for (const resolve of waiting) resolve(outcome);
  }
}
