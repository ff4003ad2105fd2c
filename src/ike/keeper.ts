/**
 * Which Child SAs are to be up, and when the next attempt is due: what has `start: 'always'` is
 * tried again after it failed or was lost, ever more slowly.
 */
import type { ChildPolicy } from '../policy/connection.js';
import type { Environment, Milliseconds } from './event.js';
import { reconnectDelay } from './messages/retransmit.js';
import type { IkeOptions } from './options.js';

interface Kept {
  readonly children: Set<string>;
  failures: number;
}

export class Keeper {
  readonly #options: IkeOptions;
  readonly #environment: Environment;
  readonly #kept = new Map<string, Kept>();

  constructor(options: IkeOptions, environment: Environment) {
    this.#options = options;
    this.#environment = environment;
  }

  /** They have been asked for; only those that are to be kept up are remembered. */
  want(connection: string, children: readonly ChildPolicy[]): void {
    const always = children.filter(({ start }) => start === 'always');
    if (always.length === 0) return;
    const kept = this.#kept.get(connection) ?? { children: new Set<string>(), failures: 0 };
    for (const { name } of always) kept.children.add(name);
    this.#kept.set(connection, kept);
  }

  release(connection: string): void {
    this.#kept.delete(connection);
  }

  releaseAll(): string[] {
    const names = [...this.#kept.keys()];
    this.#kept.clear();
    return names;
  }

  /** The Child SAs that are to be kept up; none where the connection is not. */
  wants(connection: string): ReadonlySet<string> {
    return this.#kept.get(connection)?.children ?? NONE;
  }

  succeeded(connection: string): void {
    const kept = this.#kept.get(connection);
    if (kept !== undefined) kept.failures = 0;
  }

  /** Until the next attempt, or undefined where none is due. */
  nextDelay(connection: string): Milliseconds | undefined {
    const kept = this.#kept.get(connection);
    if (kept === undefined) return undefined;
    return reconnectDelay(this.#options, this.#environment, kept.failures++);
  }
}

const NONE: ReadonlySet<string> = new Set();
