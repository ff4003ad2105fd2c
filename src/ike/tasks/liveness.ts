/**
 * A liveness check (RFC 7296 §2.4): an INFORMATIONAL that a living peer answers, empty unless the
 * window is to be told of, or a mover behind a NAT asks where it is seen (RFC 4555 §3.8).
 */
import { EXCHANGE, type Payload } from '../../wire/index.js';
import type { Core } from '../core.js';
import { announceWindow, heedWindow } from '../messages/window-size.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Response, Task } from './task.js';

export class Liveness implements Task {
  readonly kind = 'liveness';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly tries: number;
  readonly #sa: IkeSa;

  constructor(sa: IkeSa, core: Core) {
    this.#sa = sa;
    this.tries = core.options.requestTries;
  }

  build(): readonly Payload[] {
    return [...announceWindow(this.#sa), ...this.#sa.place.ask()];
  }

  process({ payloads }: Response): void {
    heedWindow(this.#sa, payloads);
    this.#sa.finishRequest(this);
    this.#sa.place.answered(payloads);
  }

  malformed(problem: string): void {
    this.#sa.misanswered(problem);
  }

  timedOut(): void {
    this.#sa.lost();
  }

  abandon(): void {}
}
