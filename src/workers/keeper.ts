/**
 * What is wanted of each connection's Child SAs, and the attempts to have them: initiates what is
 * to be up, tries again with back-off, and remembers why the last attempt failed.
 *
 * A Child SA goes by the name of its policy, `<connection>/<child>`.
 */
import type { Log } from '../log.js';
import type { ChildPolicy, Connection, Start } from '../policy/connection.js';

export type Wanted = 'up' | 'down' | 'on-demand';

/** pending: neither established nor failed in the time given. */
export interface Outcome {
  readonly result: 'established' | 'failed' | 'pending';
  readonly explanation?: string;
}

/** Why something has come to nothing. */
export interface Failure {
  /** A notify type's name, or `no answer`. */
  readonly notify: string;
  /** Lines for a person. */
  readonly explanation: string;
  /** Somebody who may be anybody has brought it about. */
  readonly unproved: boolean;
}

/** The last failure of a connection, which may be over. */
export interface LastFailure extends Failure {
  readonly child: string;
  /** By Date.now(). */
  readonly at: number;
}

/** What a peer asked for that no connection is configured with. */
export interface StrangersFailure {
  readonly explanation: string;
  /** By Date.now(). */
  readonly at: number;
}

export interface KeeperOptions {
  readonly connections: readonly Connection[];
  readonly initiate: (connection: string, child: string) => void;
  readonly terminate: (connection: string) => void;
  /** Whether a Child SA of the policy is installed. */
  readonly isUp: (policy: string) => boolean;
  readonly log: Log;
  /** Longest that `up` waits. */
  readonly patienceMs?: number;
}

interface Kept {
  readonly connection: string;
  readonly child: string;
  readonly policy: string;
  start: Start;
  wanted: Wanted;
  /** What keeps it from being up. */
  lastError: string | undefined;
  lastFailure: LastFailure | undefined;
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
  /** By policy. */
  #kept: ReadonlyMap<string, Kept> = new Map();
  /** By connection. */
  #children: ReadonlyMap<string, readonly Kept[]> = new Map();
  #lastStranger: StrangersFailure | undefined;
  #stopped = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.setConnections(options.connections);
  }

  /**
   * Replaces the connections. What stays keeps what is wanted of it, by a person too, unless its
   * start has changed; what is gone is not tried again. `start` begins with what is new.
   */
  setConnections(connections: readonly Connection[]): void {
    const before = this.#kept;
    const children = connections.map(({ name, children }) => {
      const all = children.map((child) => keptOf(name, child));
      return [name, all.map((fresh) => keepOn(before.get(fresh.policy), fresh))] as const;
    });
    this.#children = new Map(children);
    this.#kept = new Map(children.flatMap(([, all]) => all.map((kept) => [kept.policy, kept])));
    for (const [policy, kept] of before) {
      if (!this.#kept.has(policy)) this.#end(kept, 'it is not in the configuration any more');
    }
  }

  /** Initiates what is to be up, is not, and is not tried already. */
  start(): void {
    for (const kept of this.#kept.values()) {
      const due = kept.retry === undefined && !this.#isAttempting(kept);
      if (kept.wanted === 'up' && due && !this.#options.isUp(kept.policy)) this.#attempt(kept);
    }
  }

  /** Ends the SAs of a connection and initiates at once what is to be up. */
  restart(connection: string): void {
    this.#options.terminate(connection);
    for (const kept of this.#get(connection)) {
      kept.failures = 0;
      kept.lastError = undefined;
      if (kept.wanted === 'up') this.#attempt(kept);
    }
  }

  /** Ends all attempts; nothing is initiated any more. */
  stop(): void {
    this.#stopped = true;
    for (const kept of this.#kept.values()) this.#end(kept, 'the gateway stops');
  }

  /** Of a connection: up as soon as one of its Child SAs is to be. */
  state(connection: string): { wanted: Wanted; lastError: string | undefined } {
    const all = this.#get(connection);
    const some = (wanted: Wanted) => all.some((kept) => kept.wanted === wanted);
    const wanted = some('up') ? 'up' : some('on-demand') ? 'on-demand' : 'down';
    return { wanted, lastError: all.find(({ lastError }) => lastError !== undefined)?.lastError };
  }

  /** Brings all Child SAs up, keeps them up from now on, and waits for the outcome. */
  async up(connection: string): Promise<Outcome> {
    const outcomes = await Promise.all(this.#get(connection).map((kept) => this.#up(kept)));
    return (
      outcomes.find(({ result }) => result === 'failed') ??
      outcomes.find(({ result }) => result === 'pending') ?? { result: 'established' }
    );
  }

  #up(kept: Kept): Promise<Outcome> {
    kept.wanted = 'up';
    if (this.#options.isUp(kept.policy)) return Promise.resolve({ result: 'established' });
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
  down(connection: string): void {
    for (const kept of this.#get(connection)) {
      kept.wanted = 'down';
      this.#end(kept, 'taken down');
    }
    this.#options.terminate(connection);
  }

  /** A packet needs an SA of the policy. */
  acquire(policy: string): void {
    const kept = this.#kept.get(policy);
    if (kept === undefined || kept.wanted === 'down' || this.#isAttempting(kept)) return;
    // A peer that keeps refusing is not asked for each packet.
    if (kept.retry !== undefined) return;
    this.#attempt(kept);
  }

  childInstalled(policy: string): void {
    const kept = this.#kept.get(policy);
    if (kept === undefined) return;
    kept.attemptSince = undefined;
    kept.failures = 0;
    kept.lastError = undefined;
    clearTimeout(kept.retry);
    kept.retry = undefined;
    this.#tell(kept, { result: 'established' });
  }

  /** A Child SA of the policy is gone, perhaps the last. */
  childGone(policy: string): void {
    const kept = this.#kept.get(policy);
    if (kept !== undefined) this.#lost(kept);
  }

  /** @param child  what has failed; undefined: all that is not up */
  failed(connection: string | undefined, failure: Failure, child?: string): void {
    const { explanation } = failure;
    for (const kept of this.#those(connection)) {
      const concerned = child === undefined ? !this.#options.isUp(kept.policy) : true;
      if (!concerned || (child !== undefined && kept.child !== child)) continue;
      note(kept, failure);
      kept.attemptSince = undefined;
      kept.failures++;
      this.#tell(kept, { result: 'failed', explanation });
      this.#retryLater(kept);
    }
  }

  /** An error that may be a stranger's doing: shown where nothing better is known, no more. */
  note(connection: string | undefined, failure: Failure): void {
    const { explanation } = failure;
    if (connection === undefined) this.#lastStranger = { explanation, at: Date.now() };
    for (const kept of this.#those(connection)) {
      if (!this.#options.isUp(kept.policy)) note(kept, failure);
    }
  }

  /** The last failure of any of its Child SAs. */
  lastFailure(connection: string): LastFailure | undefined {
    return this.#get(connection)
      .flatMap(({ lastFailure }) => lastFailure ?? [])
      .sort((a, b) => b.at - a.at)[0];
  }

  /** Of whom no connection knows the address. */
  get lastStranger(): StrangersFailure | undefined {
    return this.#lastStranger;
  }

  /** An IKE SA of the connection is gone, perhaps with Child SAs. */
  closed(connection: string): void {
    for (const kept of this.#those(connection)) this.#lost(kept);
  }

  #lost(kept: Kept): void {
    if (this.#options.isUp(kept.policy)) return;
    kept.attemptSince = undefined;
    this.#retryLater(kept);
  }

  #those(connection: string | undefined): readonly Kept[] {
    return (connection !== undefined && this.#children.get(connection)) || [];
  }

  #get(connection: string): readonly Kept[] {
    const all = this.#children.get(connection);
    if (all === undefined) throw new Error(`no connection "${connection}"`);
    return all;
  }

  #isAttempting({ attemptSince }: Kept): boolean {
    return attemptSince !== undefined && Date.now() - attemptSince < STALE_ATTEMPT_MS;
  }

  #attempt(kept: Kept): void {
    if (this.#stopped) return;
    clearTimeout(kept.retry);
    kept.retry = undefined;
    kept.attemptSince = Date.now();
    this.#options.initiate(kept.connection, kept.child);
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
      const wanted = kept.wanted === 'up' && !this.#options.isUp(kept.policy);
      if (!wanted || this.#isAttempting(kept)) return;
      this.#options.log.info('trying again', { connection: kept.connection });
      this.#attempt(kept);
    }, wait);
  }

  /** Nothing more is tried, and nobody waits any longer. */
  #end(kept: Kept, explanation: string): void {
    kept.attemptSince = undefined;
    clearTimeout(kept.retry);
    kept.retry = undefined;
    this.#tell(kept, { result: 'failed', explanation });
  }

  #tell(kept: Kept, outcome: Outcome): void {
    const waiting = kept.waiting;
    kept.waiting = [];
    for (const resolve of waiting) resolve(outcome);
  }
}

function keptOf(connection: string, { name: child, start }: ChildPolicy): Kept {
  return {
    connection,
    child,
    policy: `${connection}/${child}`,
    start,
    wanted: start === 'always' ? 'up' : 'on-demand',
    lastError: undefined,
    lastFailure: undefined,
    attemptSince: undefined,
    failures: 0,
    retry: undefined,
    waiting: [],
  };
}

/** The one that is there, as the configuration has it now. */
function keepOn(before: Kept | undefined, fresh: Kept): Kept {
  if (before === undefined) return fresh;
  if (before.start !== fresh.start) {
    before.start = fresh.start;
    before.wanted = fresh.wanted;
  }
  return before;
}

function note(kept: Kept, failure: Failure): void {
  kept.lastError = failure.explanation;
  kept.lastFailure = { ...failure, child: kept.child, at: Date.now() };
}
