/**
 * Pairs of ESP SAs that are gone for the peer: what was on its way is received for a little longer,
 * so that a rekeying loses no packet (RFC 7296 §2.8).
 */
import { ChurnMap } from '../../churn-map.js';
import type { EspSpi } from '../../sad/sad.js';
import type { Effect, Milliseconds } from '../event.js';

export class Draining {
  readonly #emit: (effect: Effect) => void;
  readonly #time: Milliseconds;
  /** Why they go, by inbound SPI. */
  readonly #reasons = new ChurnMap<EspSpi, string>();
  #stopping = false;

  constructor(emit: (effect: Effect) => void, time: Milliseconds) {
    this.#emit = emit;
    this.#time = time;
  }

  add(inboundSpi: EspSpi, reason: string): void {
    this.#reasons.set(inboundSpi, reason);
    if (this.#stopping) this.end(inboundSpi);
    else this.#emit({ type: 'start-timer', timer: `drain/${inboundSpi}`, delay: this.#time });
  }

  /** Its timer has run out. */
  end(inboundSpi: EspSpi): void {
    const reason = this.#reasons.get(inboundSpi);
    if (!this.#reasons.delete(inboundSpi)) return;
    this.#emit({ type: 'remove-child', inboundSpi, reason: reason! });
  }

  /** From now on nothing is waited for. Those that are there; each is to be ended by `cut`. */
  stop(): EspSpi[] {
    this.#stopping = true;
    return [...this.#reasons.keys()];
  }

  /** Ends it before its time. */
  cut(inboundSpi: EspSpi): void {
    this.#emit({ type: 'cancel-timer', timer: `drain/${inboundSpi}` });
    this.end(inboundSpi);
  }
}
