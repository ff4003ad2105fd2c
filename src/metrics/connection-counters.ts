/** What has happened to each connection since the start, counted from the gateway's events. */
import type { GatewayEvents, TimedEvent } from '../workers/gateway-event.js';

export interface ConnectionCounts {
  established: number;
  /** Renewed keys by `child done`, `child failed`, `ike done`, `ike failed`. */
  readonly rekeys: Map<RekeyOutcome, number>;
  /** By notify type. */
  readonly failures: Map<string, number>;
  /** Reason, and milliseconds since 1970. */
  lastFailure: { readonly reason: string; readonly at: number } | undefined;
}

export type RekeyOutcome = `${'child' | 'ike'} ${'done' | 'failed'}`;

export class ConnectionCounters {
  readonly #counts = new Map<string, ConnectionCounts>();
  /** Child SAs that are there, as `connection/child`. */
  readonly #up = new Set<string>();

  constructor(events: GatewayEvents) {
    events.subscribe((event) => this.#count(event));
  }

  of(connection: string): ConnectionCounts {
    let counts = this.#counts.get(connection);
    if (counts === undefined) {
      counts = { established: 0, rekeys: new Map(), failures: new Map(), lastFailure: undefined };
      this.#counts.set(connection, counts);
    }
    return counts;
  }

  #count(event: TimedEvent): void {
    if (!('connection' in event) || event.connection === undefined) return;
    const counts = this.of(event.connection);
    switch (event.type) {
      case 'ike-established':
        counts.established++;
        break;
      case 'child-up':
        this.#up.add(`${event.connection}/${event.child}`);
        break;
      case 'child-down':
        this.#up.delete(`${event.connection}/${event.child}`);
        break;
      case 'rekeyed':
        increment(counts.rekeys, `${event.what} done`);
        break;
      case 'failed':
        this.#failed(counts, event);
        break;
      case 'ike-closed':
        break;
    }
  }

  /** What fails while the connection is up is a rekeying. */
  #failed(counts: ConnectionCounts, event: Extract<TimedEvent, { type: 'failed' }>): void {
    const { connection, child, notify, time, unproved } = event;
    const reason = reasonOf(notify);
    increment(counts.failures, reason);
    counts.lastFailure = { reason, at: time };
    const isUp = [...this.#up].some((policy) => policy.startsWith(`${connection}/`));
    if (isUp && !unproved)
      increment(counts.rekeys, `${child === undefined ? 'ike' : 'child'} failed`);
  }
}

/** A peer may send any notify type: only those that have a name are told apart. */
function reasonOf(notify: string): string {
  return /^[A-Z_]+$|^no a/.test(notify) ? notify.toLowerCase().replaceAll(' ', '_') : 'other';
}

function increment<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
