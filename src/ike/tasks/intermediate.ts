/**
 * IKE_INTERMEDIATE as the initiator (RFC 9242), for one more key exchange (RFC 9370 §2.2.2): from its
 * end on new keys protect what is said.
 */
import { EXCHANGE, type Payload } from '../../wire/index.js';
import type { Core } from '../core.js';
import { errorOf, find, notifyName } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { strengthenKeys } from '../sa/keys.js';
import { KeyPair } from './key-pair.js';
import type { Response, Task } from './task.js';

export class FurtherKeyExchange implements Task {
  readonly kind = 'intermediate';
  readonly exchange = EXCHANGE.IKE_INTERMEDIATE;
  readonly tries: number;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #pair: KeyPair;
  readonly #then: () => void;

  /** @param then  is called when the keys are in use */
  constructor(sa: IkeSa, core: Core, method: number, then: () => void) {
    this.#sa = sa;
    this.#core = core;
    this.tries = core.options.requestTries;
    this.#pair = new KeyPair(sa, method);
    this.#then = then;
  }

  prepare(ready: () => void): void {
    this.#pair.generate(ready);
  }

  build(): readonly Payload[] | undefined {
    const ke = this.#pair.payload;
    if (ke === undefined) {
      this.#fail('our half of the key exchange could not be made');
      return undefined;
    }
    return [ke];
  }

  process({ payloads }: Response): void {
    const sa = this.#sa;
    const error = errorOf(payloads);
    const ke = find(payloads, 'KE');
    // RFC 7296 §3.10.1: with an error, whatever else is there, the request has failed.
    if (error !== undefined) {
      const notify = notifyName(error.notifyType);
      sa.fail({ notify, explanation: `the peer answers ${notify} to IKE_INTERMEDIATE` });
      return;
    }
    if (ke === undefined || ke.method !== this.#pair.group) {
      this.malformed('it has no key exchange of the method that is due');
      return;
    }
    sa.finishRequest(this);
    this.#pair.derive(ke.data, (secret) => {
      if (typeof secret === 'string') {
        this.#fail(secret);
        return;
      }
      strengthenKeys(sa, this.#core, secret);
      sa.intermediate!.advance();
      this.#then();
    });
  }

  #fail(reason: string): void {
    this.#sa.fail({ notify: 'INVALID_SYNTAX', explanation: `the key exchange failed: ${reason}` });
  }

  malformed(problem: string): void {
    this.#sa.fail({ notify: 'INVALID_SYNTAX', explanation: `the peer's response: ${problem}` });
  }

  timedOut(): void {
    this.#sa.lost();
  }

  abandon(): void {
    this.#pair.wipe();
  }
}
