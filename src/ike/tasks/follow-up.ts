/**
 * IKE_FOLLOWUP_KE as the initiator (RFC 9370 §2.2.4): one more key exchange of what CREATE_CHILD_SA
 * has begun. It counts as that for what crosses it.
 */
import { EXCHANGE, NOTIFY, type Payload } from '../../wire/index.js';
import { find, notify } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Begun, KeyExchanges } from './key-exchanges.js';
import type { KeyPair } from './key-pair.js';
import type { Response, Task, TaskKind } from './task.js';

export class FollowUp implements Task {
  readonly kind: TaskKind;
  readonly exchange = EXCHANGE.IKE_FOLLOWUP_KE;
  readonly tries: number;
  readonly begunBy: Begun;
  /** The peer keeps one that waits for its next key exchange. */
  readonly alone = true;
  readonly #exchanges: KeyExchanges;
  readonly #pair: KeyPair;
  readonly #link: Uint8Array;

  /** @param link  data of the ADDITIONAL_KEY_EXCHANGE notification before this */
  constructor(begun: Begun, exchanges: KeyExchanges, pair: KeyPair, link: Uint8Array) {
    this.kind = begun.kind;
    this.tries = begun.tries;
    this.begunBy = begun;
    this.#exchanges = exchanges;
    this.#pair = pair;
    this.#link = link;
  }

  build(): readonly Payload[] {
    return [this.#pair.payload!, notify(NOTIFY.ADDITIONAL_KEY_EXCHANGE, this.#link)];
  }

  process(response: Response): void {
    const ke = find(response.payloads, 'KE');
    if (response.story === 'error') {
      this.#pair.wipe();
      this.begunBy.refused(response);
    } else if (ke?.method !== this.#pair.group) {
      this.malformed('it has no key exchange of the method that is due');
    } else this.#exchanges.answered(response.payloads, this.#pair, ke.data);
  }

  malformed(problem: string): void {
    this.begunBy.malformed(problem);
  }

  timedOut(): void {
    this.begunBy.timedOut();
  }

  abandon(): void {
    this.#pair.wipe();
    this.begunBy.abandon();
  }

  /** The peer's rekeying has taken over before it was sent. */
  onSuccessor(_successor: IkeSa): undefined {}
}
