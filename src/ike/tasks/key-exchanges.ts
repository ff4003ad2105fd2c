/**
 * The key exchanges of a CREATE_CHILD_SA as its initiator: the one that comes with it, then those of
 * IKE_FOLLOWUP_KE, one after the other (RFC 9370 §2.2.4).
 */
import type { Secret } from '../../crypto/secret.js';
import { NOTIFY, type Payload } from '../../wire/index.js';
import type { Failure } from '../explain.js';
import { notifyOf } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { FollowUp } from './follow-up.js';
import { KeyPair } from './key-pair.js';
import type { Response, Task } from './task.js';

/** The CREATE_CHILD_SA that they belong to. */
export interface Begun extends Task {
  /** All are made; of each the secret, which are its to wipe. */
  exchanged(secrets: readonly Secret[]): void;
  /** One cannot be made. `complete`: the peer has all of them, and what they are for. */
  notExchanged(failure: Failure, complete: boolean): void;
  /** The peer refuses a further one. */
  refused(response: Response): void;
}

export class KeyExchanges {
  readonly #sa: IkeSa;
  readonly #begun: Begun;
  /** Methods of those that are still to come. */
  readonly #methods: number[];
  readonly #secrets: Secret[] = [];

  /** @param methods  of those that follow the first one */
  constructor(sa: IkeSa, begun: Begun, methods: readonly number[]) {
    this.#sa = sa;
    this.#begun = begun;
    this.#methods = [...methods];
  }

  /** One is answered: computes its secret, then begins the next one. */
  answered(payloads: readonly Payload[], pair: KeyPair, peerPublic: Uint8Array): void {
    const sa = this.#sa;
    sa.requestIsAnswered(this.#begun);
    pair.derive(peerPublic, (secret) => {
      this.#goOn(secret, payloads);
      sa.proceed();
    });
  }

  #goOn(secret: Secret | string, payloads: readonly Payload[]): void {
    const sa = this.#sa;
    if (typeof secret === 'string') {
      const failure = { notify: 'INVALID_KE_PAYLOAD', explanation: secret };
      this.#begun.notExchanged(failure, this.#methods.length === 0);
      return;
    }
    this.#secrets.push(secret);
    const next = this.#methods.shift();
    if (next === undefined) this.#begun.exchanged(this.#secrets.splice(0));
    else if (sa.state.name === 'established') this.#followUp(next, payloads);
    else {
      sa.finishRequest(this.#begun);
      this.#begun.abandon();
    }
  }

  #followUp(method: number, payloads: readonly Payload[]): void {
    const sa = this.#sa;
    const link = notifyOf(payloads, NOTIFY.ADDITIONAL_KEY_EXCHANGE);
    if (link === undefined) {
      const explanation = 'the peer does not say how to go on with the next key exchange';
      this.#begun.notExchanged({ notify: 'INVALID_SYNTAX', explanation }, false);
      return;
    }
    const pair = new KeyPair(sa, method);
    pair.generate(() => {
      if (pair.payload === undefined) {
        const explanation = 'no key pair could be made';
        this.#begun.notExchanged({ notify: 'INVALID_KE_PAYLOAD', explanation }, false);
        sa.proceed();
        return;
      }
      sa.finishRequest(this.#begun);
      sa.requestFirst(new FollowUp(this.#begun, this, pair, link.data));
    });
  }

  wipe(): void {
    for (const secret of this.#secrets.splice(0)) secret.wipe();
  }
}
