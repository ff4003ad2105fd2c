/**
 * IKE_AUTH as the initiator with a pre-shared key (RFC 7296 §1.2, §2.15): the peer proves who it
 * is, and the first Child SA is made.
 *
 * A Child SA that is refused leaves the IKE SA as it is (§1.2, §2.21.2). Left out: certificates,
 * EAP, configuration payloads.
 */

import { explainNoProposal } from '../../policy/compare.js';
import type { ChildPolicy, Connection } from '../../policy/connection.js';
import { isNarrowed, type SelectorPair } from '../../policy/narrow.js';
import { acceptAnswer, toWireProposals } from '../../policy/suite.js';
import { type EspSpi, SadFullError } from '../../sad/sad.js';
import {
  EXCHANGE,
  fromWireSelector,
  NOTIFY,
  type Payload,
  type PayloadOf,
  toWireSelector,
} from '../../wire/index.js';
import { authPayload, idPayload, refused, refusePeer } from '../authentication.js';
import { espSpiBytes, espSpiOf, makeChildSa } from '../child-sa.js';
import type { Core } from '../core.js';
import {
  explainAuthenticationFailed,
  explainRefusal,
  explainSelectorsRefused,
  type Failure,
} from '../explain.js';
import type { IkeSa } from '../ike-sa.js';
import { errorOf, find, need, notify, notifyName } from '../payloads.js';
import { DeleteChild, RefusePeer } from './delete.js';
import type { Response, Task } from './task.js';

export const CHILD_IN_AUTH = { protocol: 'esp', keyExchange: false } as const;

export class InitiateIkeAuth implements Task {
  readonly exchange = EXCHANGE.IKE_AUTH;
  readonly tries: number;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #connection: Connection;
  readonly #child: ChildPolicy;
  /** Reserved until it is installed, or given back. */
  #inboundSpi: EspSpi | undefined;

  constructor(sa: IkeSa, core: Core, connection: Connection, child: ChildPolicy) {
    this.#sa = sa;
    this.#core = core;
    this.#connection = connection;
    this.#child = child;
    this.tries = core.options.requestTries;
  }

  /** Reserves the inbound SPI, then sends the request. */
  start(): void {
    if (this.#core.connection(this.#connection.name) === undefined) {
      this.#sa.close('the connection is not configured any more');
      return;
    }
    try {
      this.#inboundSpi = this.#core.environment.allocateSpi();
    } catch (error) {
      if (!(error instanceof SadFullError)) throw error;
      this.#sa.fail({ notify: 'NO_ADDITIONAL_SAS', explanation: 'the SAD is full' });
      return;
    }
    this.#sa.request(this);
  }

  build(): readonly Payload[] {
    const { local, remote } = this.#connection;
    const idi = idPayload('IDi', local.identity);
    const spi = espSpiBytes(this.#inboundSpi!);
    const { tsi, tsr } = this.#selectors;
    const first = !this.#core.isEstablished(this.#connection, this.#sa);
    return [
      idi,
      // §2.4: said only where we know of no other IKE SA with this peer.
      ...(first ? [notify(NOTIFY.INITIAL_CONTACT)] : []),
      idPayload('IDr', remote.identity),
      authPayload(this.#sa, this.#configured, idi),
      { kind: 'SA', proposals: toWireProposals(this.#child.espProposals, spi, CHILD_IN_AUTH) },
      { kind: 'TSi', selectors: tsi.map(toWireSelector) },
      { kind: 'TSr', selectors: tsr.map(toWireSelector) },
    ];
  }

  /** As it is configured now, for its key: the one that the attempt began with may be wiped. */
  get #configured(): Connection {
    return this.#core.connection(this.#connection.name) ?? this.#connection;
  }

  get #selectors(): SelectorPair {
    return { tsi: this.#child.localSelectors, tsr: this.#child.remoteSelectors };
  }

  process({ story, payloads }: Response): void {
    switch (story) {
      case 'authentication with a Child SA':
      case 'authentication without a Child SA':
        this.#authenticate(payloads);
        break;
      case 'error':
        this.#sa.fail(this.#explainError(errorOf(payloads)!));
        break;
      default:
        this.#sa.fail({
          notify: 'AUTHENTICATION_FAILED',
          explanation: 'the peer wants to authenticate by other means than a pre-shared key',
        });
    }
  }

  #authenticate(payloads: readonly Payload[]): void {
    const sa = this.#sa;
    const idr = find(payloads, 'IDr');
    const refusal =
      idr === undefined
        ? refused('the peer does not say who it is')
        : refusePeer(sa, this.#configured, idr, payloads);
    sa.finishRequest();
    if (refusal !== undefined) {
      this.#releaseSpi();
      sa.report(refusal);
      sa.move({ name: 'deleting' });
      sa.request(new RefusePeer(sa, this.#core));
      return;
    }
    sa.remoteIdentity = this.#connection.remote.identity;
    sa.establish(!this.#core.isEstablished(this.#connection, sa));
    const failure = this.#makeChild(payloads);
    if (failure !== undefined) {
      this.#releaseSpi();
      sa.report(failure);
    }
    this.#core.settled(sa);
  }

  // --- the Child SA ------------------------------------------------------------------------

  /** Installs the Child SA, or says why there is none. */
  #makeChild(payloads: readonly Payload[]): Failure | undefined {
    const error = errorOf(payloads);
    if (find(payloads, 'SA') === undefined) {
      if (error !== undefined) return this.#explainError(error);
      return { notify: 'NO_PROPOSAL_CHOSEN', explanation: 'the peer has made no Child SA' };
    }
    // §3.10.1: an error, and be it one that we do not know, beside what looks like success.
    if (error !== undefined) return this.#undo(this.#explainError(error));
    const { proposals } = need(payloads, 'SA');
    const accepted = acceptAnswer(this.#child.espProposals, proposals, CHILD_IN_AUTH);
    const outboundSpi = accepted && espSpiOf(accepted.spi);
    if (accepted === undefined || outboundSpi === undefined) {
      const { espProposals } = this.#child;
      const explanation = explainNoProposal(espProposals, proposals, CHILD_IN_AUTH);
      return this.#undo({ notify: 'NO_PROPOSAL_CHOSEN', explanation });
    }
    const selectors = answeredSelectors(payloads);
    if (selectors === undefined || !isNarrowed(selectors, this.#selectors)) {
      const explanation = 'the peer answers traffic selectors beyond those that we offer';
      return this.#undo({ notify: 'TS_UNACCEPTABLE', explanation });
    }
    const { prf, ni, nr } = this.#sa.negotiated!;
    const { skD } = this.#sa.protection!.keys;
    const { local, remote, nat } = this.#sa;
    const child = makeChildSa(
      {
        connection: this.#connection.name,
        policy: this.#child,
        role: 'initiator',
        suite: accepted.suite,
        inboundSpi: this.#inboundSpi!,
        outboundSpi,
        selectors,
        local,
        remote,
        udpEncapsulation: nat.local || nat.remote,
      },
      { prf, skD, ni, nr },
    );
    this.#inboundSpi = undefined;
    this.#sa.install(child, this.#child, accepted.suite);
    return undefined;
  }

  /** The responder has installed what we refuse: it is deleted there. */
  #undo(failure: Failure): Failure {
    this.#sa.request(new DeleteChild(this.#sa, this.#core, this.#inboundSpi!));
    return failure;
  }

  #explainError({ notifyType }: PayloadOf<'N'>): Failure {
    const name = notifyName(notifyType);
    const { local, remote } = this.#connection;
    switch (notifyType) {
      case NOTIFY.AUTHENTICATION_FAILED: {
        const explanation = explainAuthenticationFailed(local.identity, remote.identity);
        return { notify: name, explanation };
      }
      case NOTIFY.NO_PROPOSAL_CHOSEN:
        return { notify: name, explanation: explainRefusal(this.#child.espProposals, name) };
      case NOTIFY.TS_UNACCEPTABLE:
        return { notify: name, explanation: explainSelectorsRefused(this.#selectors) };
      default:
        return { notify: name, explanation: `the peer answers ${name} to IKE_AUTH` };
    }
  }

  // --- the ends ----------------------------------------------------------------------------

  malformed(problem: string): void {
    this.#sa.fail({ notify: 'INVALID_SYNTAX', explanation: `the peer's response: ${problem}` });
  }

  timedOut(): void {
    this.#sa.lost();
  }

  abandon(): void {
    this.#releaseSpi();
  }

  #releaseSpi(): void {
    if (this.#inboundSpi === undefined) return;
    this.#core.environment.releaseSpi(this.#inboundSpi);
    this.#inboundSpi = undefined;
  }
}

/** TSi and TSr of a message; undefined with one that we do not know. */
export function answeredSelectors(payloads: readonly Payload[]): SelectorPair | undefined {
  const tsi = need(payloads, 'TSi').selectors.map(fromWireSelector);
  const tsr = need(payloads, 'TSr').selectors.map(fromWireSelector);
  if (tsi.includes(undefined) || tsr.includes(undefined)) return undefined;
  return { tsi: tsi.flatMap((one) => one ?? []), tsr: tsr.flatMap((one) => one ?? []) };
}
