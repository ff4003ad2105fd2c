/**
 * What the peer of an IKE SA has put off by TEMPORARY_FAILURE, and what is asked for again when some
 * time has gone by (RFC 7296 §2.25); and what comes of it where the IKE SA cannot be rekeyed at all.
 */
import type { Core } from '../core.js';
import { type ChildPlan, CreateChild } from '../tasks/create-child.js';
import type { IkeSa } from './ike-sa.js';
import { postponedDelay } from './lifetime.js';

export class Postponed {
  readonly #sa: IkeSa;
  readonly #core: Core;
  #plans: ChildPlan[] = [];
  /** Times in a row that the peer has put off what was asked for again, be it one thing or many. */
  #times = 0;
  /** Rekeyings of the IKE SA that have come to nothing. */
  #failedRekeyings = 0;

  constructor(sa: IkeSa, core: Core) {
    this.#sa = sa;
    this.#core = core;
  }

  /** Whether a Child SA is yet to be asked for. */
  get hasPlans(): boolean {
    return this.#plans.length > 0;
  }

  /** A Child SA. */
  add(plan: ChildPlan): void {
    if (this.#isTooOften('the peer has answered TEMPORARY_FAILURE for minutes')) return;
    this.#plans.push(plan);
    this.#sa.startTimer('postponed', postponedDelay(this.#core, this.#times + 1));
  }

  /** The rekeying of the IKE SA itself. */
  addRekeying(): void {
    if (this.#isTooOften('the peer has put the rekeying of the IKE SA off for minutes')) return;
    this.#sa.startTimer('ike-rekey', postponedDelay(this.#core, ++this.#times));
  }

  /**
   * The rekeying of the IKE SA has come to nothing for another reason, which may last: after several
   * minutes another IKE SA is to take its place (§2.8.3). It goes on till then, or till its end.
   */
  addFailedRekeying(): void {
    const times = ++this.#failedRekeyings;
    this.#sa.startTimer('ike-rekey', postponedDelay(this.#core, times));
    if (times > this.#core.options.maxPostponed)
      this.#core.reauthenticate(this.#sa, 'the IKE SA cannot be rekeyed');
  }

  /** After several minutes of that the two are out of step. */
  #isTooOften(reason: string): boolean {
    const isTooOften = this.#times >= this.#core.options.maxPostponed;
    if (isTooOften) this.#sa.terminate(reason);
    return isTooOften;
  }

  /** The peer has made a Child SA: the two are in step. */
  succeeded(): void {
    this.#times = 0;
  }

  /** The IKE SA has taken the place of the old one: it asks at once. */
  inherit(old: Postponed): void {
    this.#plans = old.#plans.splice(0);
    if (this.hasPlans) this.#sa.startTimer('postponed', 0);
  }

  /** It is time to ask again. */
  askAgain(): void {
    this.#times++;
    for (const plan of this.#plans.splice(0)) {
      this.#sa.request(new CreateChild(this.#sa, this.#core, plan));
    }
  }
}
