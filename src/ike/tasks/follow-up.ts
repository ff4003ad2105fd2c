/**
 * IKE_FOLLOWUP_KE as the initiator (RFC 9370 §2.2.4): one more key exchange of a rekeying that
 * CREATE_CHILD_SA has begun. It counts as that rekeying for what crosses it.
 */
import { EXCHANGE, NOTIFY, type Payload } from '../../wire/index.js';
import type { Core } from '../core.js';
import type { IkeSa } from '../ike-sa.js';
import { find, notify } from '../payloads.js';
import type { KeyPair } from './key-pair.js';
import type { Response, Task, TaskKind } from './task.js';

/** The rekeying that it belongs to. */
export interface Begun extends Pick<Task, 'kind' | 'malformed' | 'timedOut' | 'abandon'> {
  /** Takes the secret, or why there is none, and the response. */
  goOn(payloads: readonly Payload[], pair: KeyPair, peerPublic: Uint8Array): void;
  refuse(response: Response): void;
}

export class FollowUp implements Task {
  readonly kind: TaskKind;
  readonly exchange = EXCHANGE.IKE_FOLLOWUP_KE;
  readonly tries: number;
  readonly #begun: Begun;
  readonly #pair: KeyPair;
  readonly #link: Uint8Array;
  #busy = false;

  /** @param link  data of the ADDITIONAL_KEY_EXCHANGE notification before this */
  constructor(core: Core, begun: Begun, pair: KeyPair, link: Uint8Array) {
    this.kind = begun.kind;
    this.tries = core.options.requestTries;
    this.#begun = begun;
    this.#pair = pair;
    this.#link = link;
  }

  build(): readonly Payload[] {
    return [this.#pair.payload!, notify(NOTIFY.ADDITIONAL_KEY_EXCHANGE, this.#link)];
  }

  process(response: Response): void {
    if (this.#busy) return;
    this.#busy = true;
    const ke = find(response.payloads, 'KE');
    if (response.story === 'error') this.#begun.refuse(response);
    else if (ke?.method !== this.#pair.group) {
      this.malformed('it has no key exchange of the method that is due');
    } else this.#begun.goOn(response.payloads, this.#pair, ke.data);
  }

  malformed(problem: string): void {
    this.#begun.malformed(problem);
  }

  timedOut(): void {
    this.#begun.timedOut();
  }

  abandon(): void {
    this.#pair.wipe();
    this.#begun.abandon();
  }

  /** The peer's rekeying has taken over before it was sent. */
  onSuccessor(_successor: IkeSa): undefined {}
}
