/**
 * CREATE_CHILD_SA for a Child SA as the initiator: a new one (RFC 7296 §1.3.1), or one in the place
 * of another (§1.3.3, §2.8), with key exchanges of its own where the policy has some (RFC 9370
 * §2.2.4).
 *
 * A rekeying makes before it breaks: the new Child SA is in use before the old one is deleted,
 * which is the initiator's part. Where the peer has rekeyed the same Child SA meanwhile, the one
 * with the lowest of the four nonces goes, deleted by who made it (§2.8.1). Left out: configuration
 * payloads, IPComp.
 */
import type { Secret } from '../../crypto/secret.js';
import { PROTOCOL_ID } from '../../policy/algorithm.js';
import type { ChildPolicy } from '../../policy/connection.js';
import { remainingPairs, type SelectorPair, sameSelectors } from '../../policy/narrow.js';
import { additionalMethods } from '../../policy/suite.js';
import type { EspSpi } from '../../sad/sad.js';
import { EXCHANGE, NOTIFY, type Payload, type PayloadOf } from '../../wire/index.js';
import {
  childProtocol,
  childPurpose,
  espSpiBytes,
  espSpiOf,
  type InstalledChild,
  makeChildSa,
  pairOf,
  reserveSpi,
} from '../child/child-sa.js';
import {
  haveEnough,
  isGroupGone,
  isOfResource,
  isWanted,
  offeredInfo,
  partOfAnswer,
} from '../child/resources.js';
import type { Core } from '../core.js';
import { explainChildError, type Failure, SAD_FULL } from '../explain.js';
import { errorOf, find, hasNotify, need, notify, notifyName } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { postponedDelay } from '../sa/lifetime.js';
import { freshNonce, lowestNonce } from '../sa/nonce.js';
import {
  type AcceptedChild,
  acceptChild,
  type ChildOffer,
  obstacle,
  policySelectors,
  saPayloads,
  selectorPayloads,
} from './child-offer.js';
import { DeleteChild, deleteChild } from './delete.js';
import { type Begun, KeyExchanges } from './key-exchanges.js';
import { guessedGroup, KeyPair, requestedGroup } from './key-pair.js';
import { Liveness } from './liveness.js';
import type { Response, Task, TaskKind } from './task.js';

const MAX_DELETED = 16;

/** What is asked for. */
export interface ChildPlan {
  readonly policy: ChildPolicy;
  /** A part of the policy; all of it where none is named. */
  readonly selectors?: SelectorPair;
  /** The Child SA in whose place it comes. */
  readonly rekeys?: InstalledChild;
  /** The sender that it is for; all, where none is named (RFC 9611). */
  readonly resource?: number;
  /** Key exchange methods that were tried, the last of them named by the peer. */
  readonly groups?: readonly number[];
}

export class CreateChild implements Begun {
  readonly kind: TaskKind;
  readonly exchange = EXCHANGE.CREATE_CHILD_SA;
  readonly tries: number;
  readonly plan: ChildPlan;
  /** Further key exchanges may follow, of which the peer keeps one that waits (RFC 9370 §2.2.4). */
  readonly alone: boolean;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #offer: ChildOffer;
  readonly #ni: Uint8Array;
  readonly #pair: KeyPair | undefined;
  /** Reserved until it is installed, or given back. */
  #inboundSpi: EspSpi | undefined;
  #sentAt = 0;
  /** What the peer has deleted that we do not know: one of them may be what it is about to answer. */
  readonly #deleted: (EspSpi | undefined)[] = [];
  /** What it has agreed upon, and the key exchanges that are still to come. */
  #agreed: Agreed | undefined;
  #exchanges: KeyExchanges | undefined;

  constructor(sa: IkeSa, core: Core, plan: ChildPlan) {
    this.kind = plan.rekeys === undefined ? 'create-child' : 'rekey-child';
    this.tries = core.options.requestTries;
    this.plan = plan;
    this.alone = plan.policy.proposals.some(({ additional }) => additional.length > 0);
    this.#sa = sa;
    this.#core = core;
    const { policy, selectors = policySelectors(sa, policy), groups, resource, rekeys } = plan;
    const group = groups?.at(-1) ?? guessedGroup(policy.proposals);
    const info = offeredInfo(policy, resource, rekeys);
    this.#offer = { policy, selectors, purpose: childPurpose(policy, true), info };
    this.#ni = freshNonce(core);
    this.#pair = group === undefined ? undefined : new KeyPair(sa, group);
  }

  prepare(ready: () => void): void {
    if (this.#pair === undefined || this.#isPointless()) ready();
    else this.#pair.generate(ready);
  }

  build(): readonly Payload[] | undefined {
    const { rekeys } = this.plan;
    const ke = this.#pair?.payload;
    if (this.#isPointless() || this.#isBlocked() || !this.#reserveSpi()) return undefined;
    if (this.#pair !== undefined && ke === undefined) return undefined;
    if (rekeys !== undefined) this.#sa.children.move(rekeys, 'rekeying');
    this.#sentAt = this.#core.now;
    return [
      ...(rekeys === undefined ? [] : [rekeySa(rekeys)]),
      ...saPayloads(this.#offer, this.#inboundSpi!),
      { kind: 'Nonce', data: this.#ni },
      ...(ke === undefined ? [] : [ke]),
      ...selectorPayloads(this.#offer),
    ];
  }

  #isBlocked(): boolean {
    const failure = obstacle(this.#sa, this.plan.policy);
    if (failure !== undefined) this.#sa.report(failure, this.plan.policy.name);
    return failure !== undefined;
  }

  /** What the task was to change has changed already while it waited. */
  #isPointless(): boolean {
    if (this.#sa.state.name !== 'established') return true;
    const { rekeys, policy, resource } = this.plan;
    const { children } = this.#sa;
    if (rekeys !== undefined) {
      return !children.has(rekeys) || rekeys.state !== 'installed';
    }
    const { selectors } = this.#offer;
    if (resource !== undefined) {
      return !isWanted(this.#sa, this.#core, policy, selectors, resource);
    }
    const there = this.#sa.children.selectorsOf(policy);
    // What the peer has made meanwhile is what both have in common, which may be less than ours.
    if (this.plan.selectors === undefined) return there.length > 0;
    return remainingPairs(selectors, there).length === 0;
  }

  #reserveSpi(): boolean {
    this.#inboundSpi = reserveSpi(this.#core);
    if (this.#inboundSpi === undefined) this.#sa.report(SAD_FULL, this.plan.policy.name);
    return this.#inboundSpi !== undefined;
  }

  unsent(): void {
    if (this.#sa.state.name === 'established') this.#comeToNothing();
  }

  /** The peer has deleted, by its inbound SPI, what we have not got an answer for yet. */
  deletedEarly(spi: Uint8Array): void {
    if (this.#deleted.length < MAX_DELETED) this.#deleted.push(espSpiOf(spi));
  }

  // --- the response ------------------------------------------------------------------------

  process(response: Response): void {
    if (response.story === 'error') this.refused(response);
    else if (response.story === 'Child SA') this.#accept(response.payloads);
    else this.malformed('it is no answer to the request for a Child SA');
  }

  #accept(payloads: readonly Payload[]): void {
    const accepted = acceptChild(this.#sa, this.#offer, payloads);
    if ('explanation' in accepted) {
      this.#undo(accepted);
      return;
    }
    const error = errorOf(payloads);
    if (error !== undefined) {
      this.#undo(this.#explain(error));
      return;
    }
    this.#agreed = { accepted, payloads };
    const { keyExchange } = accepted.suite;
    if (keyExchange === undefined) {
      this.exchanged([]);
      return;
    }
    const ke = find(payloads, 'KE');
    const pair = this.#pair;
    if (ke === undefined || pair?.group !== keyExchange.id || ke.method !== keyExchange.id) {
      const explanation = 'the peer answers another key exchange than the one that was sent';
      this.#undo({ notify: 'INVALID_KE_PAYLOAD', explanation });
      return;
    }
    const methods = additionalMethods(accepted.suite);
    this.#exchanges = new KeyExchanges(this.#sa, this, methods);
    this.#exchanges.answered(payloads, pair, ke.data);
  }

  exchanged(secrets: readonly Secret[]): void {
    try {
      this.#conclude(this.#agreed!, secrets);
    } finally {
      for (const secret of secrets) secret.wipe();
    }
  }

  notExchanged(failure: Failure, complete: boolean): void {
    if (complete) {
      this.#undo(failure);
      return;
    }
    this.#sa.finishRequest(this);
    this.abandon();
    if (this.#sa.state.name === 'established') this.#failed(failure);
  }

  #conclude({ accepted, payloads }: Agreed, secrets: readonly Secret[]): void {
    const sa = this.#sa;
    sa.finishRequest(this);
    // Whoever wants the IKE SA gone wants no Child SA either; its Delete takes this one along.
    if (sa.state.name !== 'established') {
      this.abandon();
      return;
    }
    if (this.#deleted.includes(accepted.outboundSpi)) {
      this.abandon();
      this.#comeToNothing();
      return;
    }
    const nr = need(payloads, 'Nonce').data;
    const { policy, rekeys } = this.plan;
    const isGone = rekeys === undefined && isGroupGone(sa, policy, this.#offer.selectors, payloads);
    const resource = isGone ? undefined : this.plan.resource;
    const nonce = lowestNonce(this.#ni, nr);
    const rival = this.#rival;
    const loses = rival !== undefined && nonce < rival.lowestNonce;
    const role = 'initiator';
    const agreement = { policy, role, inboundSpi: this.#inboundSpi!, ...accepted } as const;
    const childSa = makeChildSa(sa, agreement, { ni: this.#ni, nr, secrets });
    const made = sa.children.install(childSa, {
      policy,
      suite: accepted.suite,
      role,
      lowestNonce: nonce,
      standby: loses,
      known: true,
      group: partOfAnswer(this.#offer.info, resource, payloads, rekeys),
    });
    this.#inboundSpi = undefined;
    sa.postponed.succeeded();
    if (resource !== undefined) this.#showReadiness();
    if (loses) this.#giveWay(made);
    else if (rekeys !== undefined) this.#takeOver(rekeys, rival);
    else this.#resolveTwin(made);
    this.#askForTheRest(payloads);
    this.#core.childSettled(sa);
  }

  /**
   * §2.8: a responder sends on it when it hears of us again. What waits to be asked for may turn out
   * to be there already, so that nothing else is said for long.
   */
  #showReadiness(): void {
    const isToBeSaid = this.#sa.isAbout((task) => task instanceof Liveness);
    if (!isToBeSaid) this.#sa.request(new Liveness(this.#sa, this.#core));
  }

  /** What the peer has made of the old one while our request was under way, if that is there. */
  get #rival(): InstalledChild | undefined {
    const rival = this.plan.rekeys?.rival;
    return rival && this.#sa.children.has(rival) ? rival : undefined;
  }

  /** §2.8.1: ours has the lowest nonce. The peer's stays, and the peer deletes the old one. */
  #giveWay(made: InstalledChild): void {
    deleteChild(this.#sa, this.#core, made, 'both sides have rekeyed at once');
    this.#release('replaced');
  }

  /** §2.8: the new one is in use; who has made it deletes the old one. */
  #takeOver(old: InstalledChild, rival: InstalledChild | undefined): void {
    const { children } = this.#sa;
    children.tellRekeyed(old);
    // It may be replaced itself by now, or on its way out.
    if (rival?.state === 'installed' || rival?.state === 'rekeying') {
      children.move(rival, 'replaced');
    }
    if (children.has(old)) deleteChild(this.#sa, this.#core, old, 'rekeyed by us');
  }

  /** Both sides have asked for the same new Child SA at once: as with rekeying, one is enough. */
  #resolveTwin(made: InstalledChild): void {
    if (isOfResource(made)) return;
    const pair = pairOf(made);
    for (const other of this.#sa.children) {
      const crossing = other.role === 'responder' && other.installedAt >= this.#sentAt;
      if (
        !crossing ||
        other.policy.name !== made.policy.name ||
        isOfResource(other) ||
        !sameSelectors(pair, pairOf(other))
      )
        continue;
      if (made.lowestNonce < other.lowestNonce) {
        deleteChild(this.#sa, this.#core, made, 'both sides have asked for it at once');
        return;
      }
    }
  }

  /** §2.9: the peer takes no more in one Child SA, but would in others. */
  #askForTheRest(payloads: readonly Payload[]): void {
    const more = hasNotify(payloads, NOTIFY.ADDITIONAL_TS_POSSIBLE);
    if (more && this.plan.rekeys === undefined)
      requestPairs(this.#sa, this.#core, this.plan.policy);
  }

  // --- the refusal -------------------------------------------------------------------------

  refused({ payloads }: Response): void {
    this.#refused(errorOf(payloads)!);
  }

  #refused(error: PayloadOf<'N'>): void {
    const sa = this.#sa;
    const { plan } = this;
    sa.finishRequest(this);
    this.abandon();
    if (sa.state.name !== 'established') return;
    const { proposals } = plan.policy;
    const tried = plan.groups ?? (this.#pair === undefined ? [] : [this.#pair.group]);
    switch (error.notifyType) {
      case NOTIFY.INVALID_KE_PAYLOAD: {
        const group = requestedGroup(error.data, proposals);
        if (group === undefined || tried.includes(group)) break;
        this.#release('installed');
        sa.requestFirst(new CreateChild(sa, this.#core, { ...plan, groups: [...tried, group] }));
        return;
      }
      case NOTIFY.TEMPORARY_FAILURE:
        // The dataplane asks again for what is wanted of a single resource.
        if (plan.resource === undefined) this.#postpone();
        else this.#comeToNothing();
        return;
      case NOTIFY.CHILD_SA_NOT_FOUND:
        if (plan.rekeys === undefined) break;
        this.#notFound(plan.rekeys);
        return;
      case NOTIFY.SINGLE_PAIR_REQUIRED:
        if (plan.rekeys === undefined && requestPairs(sa, this.#core, plan.policy)) return;
        break;
      case NOTIFY.NO_ADDITIONAL_SAS:
        if (!this.#needsIkeAuth) break;
        this.#comeToNothing();
        this.#core.reauthenticate(sa, 'the peer makes no Child SA but that of IKE_AUTH');
        return;
    }
    this.#failed(this.#explain(error));
  }

  /**
   * §4: a minimal peer makes one Child SA, with IKE_AUTH, and rekeys none: for another in its place
   * the whole IKE SA is made anew. One more it would refuse there as well.
   */
  get #needsIkeAuth(): boolean {
    const { rekeys, resource } = this.plan;
    if (rekeys !== undefined) return true;
    const { children, childlessSupported } = this.#sa;
    return resource === undefined && children.size === 0 && !childlessSupported;
  }

  /** It is not in use: what it was to replace stays, or is what the peer has made of it. */
  #release(otherwise: 'installed' | 'replaced'): void {
    const { rekeys } = this.plan;
    const { children } = this.#sa;
    if (rekeys === undefined || !children.has(rekeys) || rekeys.state !== 'rekeying') return;
    children.move(rekeys, this.#rival === undefined ? otherwise : 'replaced');
  }

  /** §2.25: not now. After several minutes of that the two are out of step. */
  #postpone(): void {
    const { rekeys } = this.plan;
    const sa = this.#sa;
    this.#release('installed');
    if (rekeys === undefined) {
      sa.postponed.add(this.plan);
      return;
    }
    if (!sa.children.has(rekeys) || rekeys.state !== 'installed') return;
    const times = sa.children.notRekeyed(rekeys, 'postponed');
    if (times > this.#core.options.maxPostponed) {
      sa.terminate('the peer has answered TEMPORARY_FAILURE for minutes');
      return;
    }
    sa.children.startTimer(rekeys, 'child-rekey', postponedDelay(this.#core, times));
  }

  /** §2.25: the peer does not know the Child SA (any more): another is made from scratch. */
  #notFound(rekeys: InstalledChild): void {
    const { policy } = this.plan;
    const { children } = this.#sa;
    if (!children.has(rekeys)) return;
    children.remove(rekeys, 'the peer does not know it');
    if (isOfResource(rekeys)) return;
    const plan = { policy, selectors: pairOf(rekeys) };
    this.#sa.request(new CreateChild(this.#sa, this.#core, plan));
  }

  #failed(failure: Failure): void {
    const sa = this.#sa;
    const { rekeys, resource, policy } = this.plan;
    if (resource !== undefined) {
      // RFC 9611: the connection is as up as before, on what there is.
      sa.log('info', `no Child SA of its own for resource ${resource}: ${failure.explanation}`);
      haveEnough(sa, policy, this.#offer.selectors);
      this.#core.childSettled(sa);
      return;
    }
    sa.report(failure, policy.name);
    this.#comeToNothing();
    if (rekeys === undefined) this.#core.childGone(sa);
  }

  /** There is no Child SA, and what it was to replace, if that goes on, is rekeyed another time. */
  #comeToNothing(): void {
    const { rekeys } = this.plan;
    const { children } = this.#sa;
    this.#release('installed');
    if (rekeys === undefined) this.#core.childSettled(this.#sa);
    else if (children.has(rekeys) && rekeys.state === 'installed') {
      const delay = postponedDelay(this.#core, children.notRekeyed(rekeys, 'failed'));
      children.startTimer(rekeys, 'child-rekey', delay);
    }
  }

  /** The responder has installed what we refuse: it is deleted there. */
  #undo(failure: Failure): void {
    const sa = this.#sa;
    sa.finishRequest(this);
    const name = { protocol: childProtocol(this.plan.policy), inboundSpi: this.#inboundSpi! };
    this.abandon();
    if (sa.state.name !== 'established') return;
    sa.request(new DeleteChild(sa, this.#core, name));
    this.#failed(failure);
  }

  #explain({ notifyType }: PayloadOf<'N'>): Failure {
    const notify = notifyName(notifyType);
    const { policy, selectors } = this.#offer;
    return { notify, explanation: explainChildError(notify, policy.proposals, selectors) };
  }

  // --- the ends ----------------------------------------------------------------------------

  malformed(problem: string): void {
    this.#sa.misanswered(problem);
  }

  timedOut(): void {
    this.#sa.lost();
  }

  abandon(): void {
    this.#pair?.wipe();
    this.#exchanges?.wipe();
    if (this.#inboundSpi === undefined) return;
    this.#core.environment.releaseSpi(this.#inboundSpi);
    this.#inboundSpi = undefined;
  }

  onSuccessor(successor: IkeSa): Task {
    this.abandon();
    return new CreateChild(successor, this.#core, this.plan);
  }
}

/**
 * Asks for what of a policy is in no Child SA yet, one pair of selectors in each, once on this IKE
 * SA (§2.9). False where nothing is left to ask for.
 */
export function requestPairs(sa: IkeSa, core: Core, policy: ChildPolicy): boolean {
  const left = remainingPairs(policySelectors(sa, policy), sa.children.selectorsOf(policy)).filter(
    (pair) => sa.isFirstTry(`${policy.name} ${JSON.stringify(pair)}`),
  );
  for (const selectors of left) sa.request(new CreateChild(sa, core, { policy, selectors }));
  return left.length > 0;
}

/** What the peer has answered. */
interface Agreed {
  readonly accepted: AcceptedChild;
  readonly payloads: readonly Payload[];
}

/** N(REKEY_SA) names the old Child SA by the SPI that its sender receives on (§1.3.3). */
function rekeySa({ sa }: InstalledChild): Payload {
  return {
    ...notify(NOTIFY.REKEY_SA),
    protocolId: PROTOCOL_ID[sa.protocol],
    spi: espSpiBytes(sa.inboundSpi),
  };
}
