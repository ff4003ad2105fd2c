/** What happens to connections, for whoever watches a gateway: `esplane events`, and metrics. */
import type { Effect, RekeyWhat } from '../ike/event.js';

type Told<Type extends Effect['type']> = Extract<Effect, { type: Type }>;

export type GatewayEvent =
  | Omit<Told<'ike-established'>, 'initialContact' | 'replaces'>
  | Told<'ike-closed'>
  /** A Child SA of a connection that had none of that name: traffic flows. */
  | { readonly type: 'child-up'; readonly connection: string; readonly child: string }
  /** The last Child SA of that name is gone: its traffic is dropped. */
  | { readonly type: 'child-down'; readonly connection: string; readonly child: string }
  | {
      readonly type: 'rekeyed';
      readonly connection: string;
      readonly what: Exclude<RekeyWhat, 'reauth'>;
    }
  | (Omit<Told<'failed'>, 'unproved'> & {
      /** Somebody who may be anybody has brought it about. */
      readonly unproved: boolean;
    })
  | { readonly type: 'config-applied'; readonly summary: string };

/** An event, and when it happened: milliseconds since 1970. */
export type TimedEvent = GatewayEvent & { readonly time: number };

const RECENT_EVENTS = 500;

/** Hands events on to whoever listens, and remembers the last ones. */
export class GatewayEvents {
  readonly #listeners = new Set<(event: TimedEvent) => void>();
  readonly #recent: TimedEvent[] = [];

  emit(event: GatewayEvent): void {
    const timed = { time: Date.now(), ...event };
    if (this.#recent.push(timed) > RECENT_EVENTS) this.#recent.shift();
    for (const listener of this.#listeners) listener(timed);
  }

  /** Until the function it answers is called. */
  subscribe(listener: (event: TimedEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Oldest first. */
  recent(): readonly TimedEvent[] {
    return this.#recent;
  }
}
