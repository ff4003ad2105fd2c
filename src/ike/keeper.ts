/**
 * Which connections are to be up, and when the next attempt is due: a connection with
 * `start: 'always'` is tried again after it failed or was lost, ever more slowly.
 */
import type { Connection } from '../policy/connection.js';
import type { Environment, Milliseconds } from './event.js';
import type { IkeOptions } from './options.js';
import { reconnectDelay } from './retransmit.js';

interface Kept {
  readonly child: string | undefined;
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

  /** The connection has been asked for; only one that is to be kept up is remembered. */
  want({ name, start }: Connection, child: string | undefined): void {
    if (start !== 'always') return;
    const failures = this.#kept.get(name)?.failures ?? 0;
    this.#kept.set(name, { child, failures });
  }

  release(connection: string): void {
    this.#kept.delete(connection);
  }

  releaseAll(): string[] {
    const names = [...this.#kept.keys()];
    this.#kept.clear();
    return names;
  }

  wants(connection: string): { readonly child: string | undefined } | undefined {
    return this.#kept.get(connection);
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
