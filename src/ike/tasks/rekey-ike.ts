/**
 * CREATE_CHILD_SA that rekeys the IKE SA, as the initiator (RFC 7296 §1.3.2, §2.8, §2.18): a new
 * IKE SA with keys from the old one's SK_d, to which all Child SAs go; then the old one is deleted.
 *
 * Where the peer has rekeyed it as well, meanwhile, the new IKE SA with the lowest of the four
 * nonces goes, deleted by who made it, and the Child SAs belong to the other (§2.8.2).
 */
import { deriveIkeKeys, rekeyedSkeyseed } from '../../crypto/keymat.js';
import { prfById } from '../../crypto/prf.js';
import type { Secret } from '../../crypto/secret.js';
import { explainNoProposal } from '../../policy/compare.js';
import type { Proposal } from '../../policy/proposal.js';
import {
  acceptAnswer,
  additionalMethods,
  type Purpose,
  type Suite,
  toWireProposals,
} from '../../policy/suite.js';
import {
  EXCHANGE,
  type IkeSpi,
  ikeSpiAt,
  ikeSpiBytes,
  NOTIFY,
  type Payload,
  type PayloadOf,
  ZERO_IKE_SPI,
} from '../../wire/index.js';
import type { Core } from '../core.js';
import { explainRefusal, type Failure } from '../explain.js';
import { errorOf, need, notifyName } from '../messages/payloads.js';
import { Protection, protectionOf } from '../messages/protection.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { freshNonce, lowestNonce } from '../sa/nonce.js';
import type { Role } from '../sa/state.js';
import { type Begun, KeyExchanges } from './key-exchanges.js';
import { guessedGroup, KeyPair, requestedGroup } from './key-pair.js';
import type { Response } from './task.js';

export const REKEYED_IKE: Purpose = { protocol: 'ike', keyExchange: true, rekeying: true };

export class RekeyIke implements Begun {
  readonly kind = 'rekey-ike';
  readonly exchange = EXCHANGE.CREATE_CHILD_SA;
  readonly tries: number;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #spi: IkeSpi;
  readonly #ni: Uint8Array;
  readonly #pair: KeyPair;
  readonly #groups: readonly number[];
  /** What the response has brought, and the key exchanges that are still to come. */
  #agreed: Agreed | undefined;
  #exchanges: KeyExchanges | undefined;

  /** @param groups  key exchange methods that were tried, the last of them named by the peer */
  constructor(sa: IkeSa, core: Core, groups: readonly number[] = []) {
    this.tries = core.options.requestTries;
    this.#sa = sa;
    this.#core = core;
    this.#spi = core.environment.allocateIkeSpi();
    this.#ni = freshNonce(core);
    const group = groups.at(-1) ?? guessedGroup(this.#proposals)!;
    this.#groups = groups.length === 0 ? [group] : groups;
    this.#pair = new KeyPair(sa, group);
  }

  get #proposals(): readonly Proposal[] {
    return this.#sa.connection!.ikeProposals;
  }

  prepare(ready: () => void): void {
    this.#pair.generate(ready);
  }

  build(): readonly Payload[] | undefined {
    const ke = this.#pair.payload;
    if (this.#sa.state.name !== 'established' || ke === undefined) return undefined;
    const ikeProposals = this.#proposals;
    const proposals = toWireProposals(ikeProposals, ikeSpiBytes(this.#spi), REKEYED_IKE);
    return [{ kind: 'SA', proposals }, { kind: 'Nonce', data: this.#ni }, ke];
  }

  unsent(): void {
    if (this.#sa.state.name === 'established') this.#sa.postponed.addFailedRekeying();
  }

  // --- the response ------------------------------------------------------------------------

  process(response: Response): void {
    if (response.story === 'error') this.refused(response);
    else if (response.story === 'rekeying of the IKE SA') this.#accept(response.payloads);
    else this.malformed('it is no answer to the rekeying of the IKE SA');
  }

  #accept(payloads: readonly Payload[]): void {
    const ikeProposals = this.#proposals;
    const { proposals } = need(payloads, 'SA');
    const accepted = acceptAnswer(ikeProposals, proposals, REKEYED_IKE);
    const peerSpi = accepted === undefined ? ZERO_IKE_SPI : ikeSpiAt(accepted.spi);
    const ke = need(payloads, 'KE');
    const error = errorOf(payloads);
    const group = accepted?.suite.keyExchange?.id;
    if (error !== undefined || group !== this.#pair.group || ke.method !== this.#pair.group) {
      const explanation = explainNoProposal(ikeProposals, proposals, REKEYED_IKE);
      this.#givenUp({ notify: 'NO_PROPOSAL_CHOSEN', explanation });
      return;
    }
    if (accepted === undefined || peerSpi === ZERO_IKE_SPI) {
      this.#givenUp({ notify: 'INVALID_SYNTAX', explanation: 'the peer answers no IKE SPI' });
      return;
    }
    const nr = need(payloads, 'Nonce').data;
    const { suite } = accepted;
    this.#agreed = { suite, peerSpi, nr };
    this.#exchanges = new KeyExchanges(this.#sa, this, additionalMethods(suite));
    this.#exchanges.answered(payloads, this.#pair, ke.data);
  }

  exchanged(secrets: readonly Secret[]): void {
    this.#sa.finishRequest(this);
    const agreed: Succession = {
      role: 'initiator',
      localSpi: this.#spi,
      ni: this.#ni,
      secrets,
      ...this.#agreed!,
    };
    this.#conclude(makeSuccessor(this.#sa, this.#core, agreed));
  }

  notExchanged(failure: Failure): void {
    this.#givenUp(failure);
  }

  refused({ payloads }: Response): void {
    this.#refused(errorOf(payloads)!);
  }

  #conclude(made: IkeSa): void {
    const sa = this.#sa;
    this.#core.added(made);
    const { succession } = sa;
    const { rival } = succession;
    if (sa.state.name !== 'established') {
      // Whoever wants the old one gone wants this one gone as well. For the peer it has the Child
      // SAs by now, and sends on them until this one is deleted.
      if (sa.state.name === 'deleting') succession.handChildren(made);
      made.terminate('asked for while it was made');
    } else if (rival !== undefined && made.succession.lowestNonce < rival.succession.lowestNonce) {
      made.terminate('both sides have rekeyed at once');
      succession.replaceBy(rival);
    } else {
      succession.win(made);
      sa.terminate('rekeyed by us');
    }
  }

  // --- the refusal -------------------------------------------------------------------------

  #refused(error: PayloadOf<'N'>): void {
    const sa = this.#sa;
    const ikeProposals = this.#proposals;
    const notify = notifyName(error.notifyType);
    const explanation = explainRefusal(ikeProposals, notify);
    const group = requestedGroup(error.data, ikeProposals);
    if (sa.succession.rival !== undefined || sa.state.name !== 'established') {
      this.#givenUp({ notify, explanation });
      return;
    }
    switch (error.notifyType) {
      case NOTIFY.INVALID_KE_PAYLOAD:
        if (group === undefined || this.#groups.includes(group)) break;
        sa.finishRequest(this);
        this.abandon();
        sa.requestFirst(new RekeyIke(sa, this.#core, [...this.#groups, group]));
        return;
      case NOTIFY.TEMPORARY_FAILURE:
        sa.finishRequest(this);
        this.abandon();
        sa.postponed.addRekeying();
        return;
      case NOTIFY.NO_ADDITIONAL_SAS:
        sa.finishRequest(this);
        this.abandon();
        sa.postponed.addFailedRekeying();
        this.#core.reauthenticate(sa, 'the peer rekeys no IKE SA');
        return;
    }
    this.#givenUp({ notify, explanation });
  }

  /** There is no new IKE SA of ours. The peer's takes over, where it has made one. */
  #givenUp(failure: Failure): void {
    const sa = this.#sa;
    sa.finishRequest(this);
    this.abandon();
    if (sa.state.name !== 'established') return;
    const { succession } = sa;
    if (succession.rival !== undefined) {
      succession.replaceBy(succession.rival);
      return;
    }
    sa.report(failure);
    sa.postponed.addFailedRekeying();
  }

  // --- the ends ----------------------------------------------------------------------------

  malformed(problem: string): void {
    this.#sa.misanswered(problem);
  }

  timedOut(): void {
    this.#sa.lost();
  }

  abandon(): void {
    this.#pair.wipe();
    this.#exchanges?.wipe();
  }
}

/** What CREATE_CHILD_SA has agreed upon. */
interface Agreed {
  readonly suite: Suite;
  readonly peerSpi: IkeSpi;
  readonly nr: Uint8Array;
}

/** What the two have agreed upon for an IKE SA that replaces another. */
export interface Succession {
  readonly role: Role;
  readonly localSpi: IkeSpi;
  readonly peerSpi: IkeSpi;
  readonly suite: Suite;
  /** Of each key exchange, the first one before all; wiped. */
  readonly secrets: readonly Secret[];
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
}

/** The IKE SA with its keys (§2.18), as a rival of whatever else comes of the old one. */
export function makeSuccessor(old: IkeSa, core: Core, agreed: Succession): IkeSa {
  const { suite, secrets, ni, nr, role, localSpi, peerSpi } = agreed;
  const [first, ...further] = secrets;
  const prf = prfById(suite.prf!.id)!;
  const sk = protectionOf(suite);
  const { prf: oldPrf } = old.negotiated!;
  const seed = rekeyedSkeyseed(oldPrf, old.protection!.keys.skD, first!, ni, nr, further);
  const spis =
    role === 'initiator'
      ? { initiatorSpi: localSpi, responderSpi: peerSpi }
      : { initiatorSpi: peerSpi, responderSpi: localSpi };
  const keys = deriveIkeKeys(prf, sk, { skeyseed: seed, ni, nr, ...spis });
  for (const secret of [seed, ...secrets]) secret.wipe();
  const made = old.successor(role, localSpi, peerSpi);
  const none = new Uint8Array(0);
  made.negotiated = { prf, suite, ni, nr, initRequest: none, initResponse: none };
  made.protection = new Protection(sk, keys, role, core.environment);
  made.succession.lowestNonce = lowestNonce(ni, nr);
  return made;
}
