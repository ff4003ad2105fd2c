/** Our Deletes (RFC 7296 §1.4.1), and the refusal of a peer that has not proved itself. */
import { EXCHANGE, NOTIFY, type Payload, PROTOCOL } from '../../wire/index.js';
import { type ChildName, deletePayloads, type InstalledChild } from '../child/child-sa.js';
import type { Core } from '../core.js';
import { notify } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Task } from './task.js';

/** Deletes the IKE SA with all its Child SAs. However it ends, the IKE SA is gone afterwards. */
export class DeleteIke implements Task {
  readonly kind = 'delete-ike';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly tries: number;
  protected readonly sa: IkeSa;

  constructor(sa: IkeSa, core: Core) {
    this.sa = sa;
    this.tries = core.options.deleteTries;
  }

  build(): readonly Payload[] {
    return [{ kind: 'D', protocolId: PROTOCOL.IKE, spis: [] }];
  }

  process(): void {
    this.sa.finishRequest(this);
    this.sa.close('deleted by us', true);
  }

  malformed(problem: string): void {
    this.sa.close(`deleted by us, with a bad response: ${problem}`, true);
  }

  timedOut(): void {
    this.sa.close('deleted by us, without a response', true);
  }

  abandon(): void {}
}

/**
 * Tells the responder that its AUTH was refused (RFC 7296 §2.21.2): IKE_AUTH is over, so it takes
 * an exchange of its own, and a Delete is not needed.
 */
export class RefusePeer extends DeleteIke {
  override build(): readonly Payload[] {
    return [notify(NOTIFY.AUTHENTICATION_FAILED)];
  }
}

/**
 * Deletes one Child SA: one that is in state `deleting`, or one that the peer has installed and we
 * have not (§1.4.1).
 */
export class DeleteChild implements Task {
  readonly kind = 'delete-child';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly tries: number;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #name: ChildName;
  readonly #child: InstalledChild | undefined;

  constructor(sa: IkeSa, core: Core, name: ChildName, child?: InstalledChild) {
    this.#sa = sa;
    this.#core = core;
    this.tries = core.options.requestTries;
    this.#name = name;
    this.#child = child;
  }

  isOf(child: InstalledChild): boolean {
    return this.#child === child;
  }

  build(): readonly Payload[] | undefined {
    const isGone = this.#child !== undefined && !this.#sa.children.has(this.#child);
    return isGone ? undefined : deletePayloads([this.#name]);
  }

  /** §2.25.1: whether the peer names its half or, deleting it itself, does not: it is gone. */
  process(): void {
    this.#sa.finishRequest(this);
    const child = this.#child;
    if (child !== undefined && this.#sa.children.has(child)) {
      this.#sa.children.drain(child, 'deleted by us');
    }
  }

  malformed(problem: string): void {
    this.#sa.misanswered(problem);
  }

  timedOut(): void {
    this.#sa.lost();
  }

  abandon(): void {}

  onSuccessor(successor: IkeSa): Task {
    return new DeleteChild(successor, this.#core, this.#name, this.#child);
  }
}

/** Sends nothing on it any more and has the peer delete it; what arrives until then is received. */
export function deleteChild(sa: IkeSa, core: Core, child: InstalledChild, reason: string): void {
  sa.log('debug', `Child SA is to be deleted: ${reason}`);
  sa.children.move(child, 'deleting');
  sa.children.retire(child);
  sa.request(new DeleteChild(sa, core, child.sa, child));
}
