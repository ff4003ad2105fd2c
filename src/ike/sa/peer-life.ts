/**
 * Whether the peer of an IKE SA is alive (RFC 7296 §2.4): when it was heard last, and the checks that
 * its silence, or somebody's word, gives rise to.
 */
import type { Core } from '../core.js';
import type { Milliseconds } from '../event.js';
import { Liveness } from '../tasks/liveness.js';
import type { IkeSa } from './ike-sa.js';
import { shortened } from './lifetime.js';

/** Checks that anybody can cause by an error in clear are no closer than that. */
const HINT_INTERVAL: Milliseconds = 10_000;

export class PeerLife {
  readonly #sa: IkeSa;
  readonly #core: Core;
  #heardAt: Milliseconds;
  /** Whether a message has shown that the peer has this IKE SA too. */
  isKnown = false;
  /** Less than configured by a part that chance decides: not all IKE SAs check at once. */
  #period: Milliseconds = 0;
  #probedAt = Number.NEGATIVE_INFINITY;
  readonly #whenHeard: (() => void)[] = [];

  constructor(sa: IkeSa, core: Core) {
    this.#sa = sa;
    this.#core = core;
    this.#heardAt = core.now;
  }

  /** An authentic message has come. */
  heard(): void {
    this.#heardAt = this.#core.now;
    this.isKnown = true;
    if (this.#sa.state.name !== 'established') return;
    for (const action of this.#whenHeard.splice(0)) action();
  }

  /**
   * Does it when the peer has this IKE SA too: at once as its initiator; else when the first message
   * has come on it, which is asked for.
   */
  whenHeard(action: () => void): void {
    if (this.#sa.role === 'initiator') {
      action();
      return;
    }
    this.#whenHeard.push(action);
    this.probe();
  }

  /** From now on silence is noticed. */
  watch(): void {
    const { livenessSeconds } = this.#sa.connection!;
    if (livenessSeconds === 0) return;
    this.#period = shortened(this.#core, livenessSeconds);
    this.#sa.startTimer('liveness', this.#period);
  }

  /** It is time to see whether the peer is silent, or where it sees us. */
  check(): void {
    const period = this.#period;
    const silence = this.#core.now - this.#heardAt;
    const isDue = silence >= period || this.#sa.place.isToAsk;
    if (isDue) this.probe();
    this.#sa.startTimer('liveness', isDue ? period : period - silence);
  }

  /** Somebody says that the peer does not know us; a check finds out, now and then. */
  hint(): void {
    if (this.#core.now - this.#probedAt >= HINT_INTERVAL) this.probe();
  }

  /** A liveness check, unless a request is on its way that shows as much. */
  probe(): void {
    const sa = this.#sa;
    if (sa.state.name !== 'established' || !sa.window.isIdle) return;
    this.#probedAt = this.#core.now;
    sa.request(new Liveness(sa, this.#core));
  }
}
