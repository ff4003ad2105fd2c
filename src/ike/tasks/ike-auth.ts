/**
 * IKE_AUTH as the initiator (RFC 7296 §1.2, §2.15): both prove who they are, and the first Child SA
 * is made.
 *
 * A Child SA that is refused leaves the IKE SA as it is (§1.2, §2.21.2); none is asked for where it
 * is to come by CREATE_CHILD_SA (RFC 6023). Left out: EAP, configuration payloads.
 */

import { type RootKeys, wipeRootKeys } from '../../crypto/keymat.js';
import type { ChildPolicy, Connection } from '../../policy/connection.js';
import type { EspSpi } from '../../sad/sad.js';
import { EXCHANGE, NOTIFY, type Payload, type PayloadOf } from '../../wire/index.js';
import { announceMethods } from '../auth/announcements.js';
import { announcedLifetime } from '../auth/auth-lifetime.js';
import { idPayload, proveOurselves, refused, verifyPeer } from '../auth/authentication.js';
import { certificatePayloads, certificateRequests } from '../auth/certificates.js';
import { keysWithPpk, ppkIdentity } from '../auth/ppk.js';
import { childProtocol, childPurpose, makeChildSa, reserveSpi } from '../child/child-sa.js';
import { offeredInfo, partOfAnswer } from '../child/resources.js';
import type { Core } from '../core.js';
import {
  explainAuthenticationFailed,
  explainChildError,
  type Failure,
  NAT_ON_THE_WAY,
  SAD_FULL,
} from '../explain.js';
import { errorOf, find, hasNotify, notify, notifyName } from '../messages/payloads.js';
import { announceWindow, heedWindow } from '../messages/window-size.js';
import { announceMobility, isMobile } from '../path/mobility.js';
import { prohibitNats } from '../path/nat.js';
import { Paths } from '../path/paths.js';
import { explainRedirect } from '../redirect.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { lowestNonce } from '../sa/nonce.js';
import {
  acceptChild,
  type ChildOffer,
  obstacle,
  policySelectors,
  saPayloads,
  selectorPayloads,
} from './child-offer.js';
import { requestPairs } from './create-child.js';
import { DeleteChild, RefusePeer } from './delete.js';
import type { Response, Task } from './task.js';

export class InitiateIkeAuth implements Task {
  readonly kind = 'auth';
  readonly exchange = EXCHANGE.IKE_AUTH;
  readonly tries: number;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #connection: Connection;
  readonly #offer: ChildOffer;
  /** Reserved until it is installed, or given back. */
  #inboundSpi: EspSpi | undefined;
  readonly #idi: PayloadOf<'IDi'>;
  #auth: PayloadOf<'AUTH'> | undefined;
  /** Keys with our PPK in them, until it is known whether the peer has it too. */
  #ppkKeys: RootKeys | undefined;
  /** AUTH for a peer that does not know our PPK. */
  #authWithoutPpk: PayloadOf<'AUTH'> | undefined;

  constructor(sa: IkeSa, core: Core, connection: Connection, child: ChildPolicy) {
    this.#sa = sa;
    this.#core = core;
    this.#connection = connection;
    this.#offer = {
      policy: child,
      selectors: policySelectors(sa, child),
      purpose: childPurpose(child, false),
      info: offeredInfo(child, undefined),
    };
    this.#idi = idPayload('IDi', connection.local.identity);
    this.tries = core.options.requestTries;
  }

  /** Reserves the inbound SPI, then sends the request. */
  start(): void {
    if (this.#core.connection(this.#connection.name) === undefined) {
      this.#sa.close('the connection is not configured any more');
      return;
    }
    if (this.#isChildless) {
      this.#sa.request(this);
      return;
    }
    const failure = obstacle(this.#sa, this.#offer.policy);
    if (failure !== undefined) {
      this.#sa.fail(failure);
      return;
    }
    this.#inboundSpi = reserveSpi(this.#core);
    if (this.#inboundSpi === undefined) this.#sa.fail(SAD_FULL);
    else this.#sa.request(this);
  }

  /** Makes AUTH. */
  prepare(ready: () => void): void {
    const { ppk } = this.#configured;
    if (ppk === undefined || !this.#sa.usesPpk) {
      this.#prove((auth) => {
        this.#auth = auth;
        ready();
      });
      return;
    }
    const keys = keysWithPpk(this.#sa, ppk);
    this.#ppkKeys = keys;
    this.#prove((auth) => {
      this.#auth = auth;
      if (ppk.required) ready();
      else {
        this.#prove((without) => {
          this.#authWithoutPpk = without;
          ready();
        });
      }
    }, keys);
  }

  #prove(then: (auth: PayloadOf<'AUTH'>) => void, keys?: RootKeys): void {
    const done = (auth: PayloadOf<'AUTH'> | Failure) => {
      if ('explanation' in auth) this.#sa.fail(auth);
      else then(auth);
    };
    proveOurselves(this.#sa, this.#configured, this.#idi, done, keys);
  }

  /** RFC 8784 §3: which PPK we use, and AUTH for the case that the peer does not know it. */
  #ppkPayloads(): Payload[] {
    const { ppk } = this.#configured;
    if (ppk === undefined || this.#ppkKeys === undefined) return [];
    const without = this.#authWithoutPpk;
    return [
      ppkIdentity(ppk),
      ...(without === undefined ? [] : [notify(NOTIFY.NO_PPK_AUTH, without.data)]),
    ];
  }

  /** The peer knows our PPK, or we go on without it; false: that must not be. */
  #settlePpk(payloads: readonly Payload[]): boolean {
    const keys = this.#ppkKeys;
    if (keys === undefined) return true;
    this.#ppkKeys = undefined;
    if (hasNotify(payloads, NOTIFY.PPK_IDENTITY)) {
      this.#sa.protection!.useRootKeys(keys);
      return true;
    }
    wipeRootKeys(keys);
    return this.#configured.ppk?.required !== true;
  }

  build(): readonly Payload[] {
    const { remote, natTraversal } = this.#connection;
    const first = !this.#core.isEstablished(this.#connection, this.#sa);
    return [
      this.#idi,
      ...certificatePayloads(this.#connection),
      // §2.4: said only where we know of no other IKE SA with this peer.
      ...(first ? [notify(NOTIFY.INITIAL_CONTACT)] : []),
      ...certificateRequests([this.#connection]),
      // RFC 9593 §3.1: to a responder that knows it.
      ...(this.#sa.peerKnows.methods === undefined ? [] : announceMethods([this.#connection])),
      idPayload('IDr', remote.identity),
      this.#auth!,
      ...announceMobility(this.#connection, this.#sa.local.address),
      ...announceWindow(this.#sa),
      ...(natTraversal ? [] : [prohibitNats(this.#sa.local, this.#sa.remote)]),
      ...this.#ppkPayloads(),
      ...(this.#inboundSpi === undefined
        ? []
        : [...saPayloads(this.#offer, this.#inboundSpi), ...selectorPayloads(this.#offer)]),
    ];
  }

  /** RFC 6023 §3. */
  get #isChildless(): boolean {
    return this.#connection.childless && this.#sa.childlessSupported;
  }

  /** As it is configured now, for its key: the one that the attempt began with may be wiped. */
  get #configured(): Connection {
    return this.#core.connection(this.#connection.name) ?? this.#connection;
  }

  process({ story, payloads }: Response): void {
    switch (story) {
      case 'authentication with a Child SA':
      case 'authentication without a Child SA':
        this.#verify(payloads);
        break;
      case 'error':
        this.#sa.fail(this.#explainError(errorOf(payloads)!));
        break;
      default:
        this.#sa.fail(refused('the peer wants us to authenticate by EAP'));
    }
  }

  #verify(payloads: readonly Payload[]): void {
    const idr = find(payloads, 'IDr');
    if (idr === undefined) {
      this.#refuse(refused('the peer does not say who it is'));
      return;
    }
    if (!this.#settlePpk(payloads)) {
      this.#refuse(refused('the peer goes on without our PPK'));
      return;
    }
    this.#sa.requestIsAnswered(this);
    verifyPeer(this.#sa, this.#configured, idr, payloads, (refusal) => {
      if (refusal === undefined) this.#establish(payloads);
      else this.#refuse(refusal);
    });
  }

  /** §2.21.2: the peer, for which all is well, is told in an exchange of its own. */
  #refuse(refusal: Failure): void {
    const sa = this.#sa;
    sa.finishRequest(this);
    this.abandon();
    sa.report(refusal);
    sa.move({ name: 'deleting' });
    sa.request(new RefusePeer(sa, this.#core));
  }

  #establish(payloads: readonly Payload[]): void {
    const sa = this.#sa;
    sa.finishRequest(this);
    sa.remoteIdentity = this.#connection.remote.identity;
    if (isMobile(this.#connection, payloads)) {
      sa.place.mobility = 'mover';
      sa.place.paths = new Paths(sa.remote.address, payloads);
    }
    sa.establish(!this.#core.isEstablished(this.#connection, sa));
    sa.lifespan.limit(announcedLifetime(payloads));
    heedWindow(sa, payloads);
    const failure = this.#isChildless ? undefined : this.#makeChild(payloads);
    this.#releaseSpi();
    if (!this.#askForPairs(payloads) && failure !== undefined)
      sa.report(failure, this.#offer.policy.name);
    sa.place.settle();
    this.#core.settled(sa);
    sa.proceed();
  }

  /** §2.9: the peer takes one pair of selectors in a Child SA, or would take others in others. */
  #askForPairs(payloads: readonly Payload[]): boolean {
    const { SINGLE_PAIR_REQUIRED, ADDITIONAL_TS_POSSIBLE } = NOTIFY;
    const told = [SINGLE_PAIR_REQUIRED, ADDITIONAL_TS_POSSIBLE].some((type) =>
      hasNotify(payloads, type),
    );
    return told && requestPairs(this.#sa, this.#core, this.#offer.policy);
  }

  // --- the Child SA ------------------------------------------------------------------------

  /** Installs the Child SA, or says why there is none. */
  #makeChild(payloads: readonly Payload[]): Failure | undefined {
    const error = errorOf(payloads);
    if (find(payloads, 'SA') === undefined) {
      if (error !== undefined) return this.#explainError(error);
      const redirect = explainRedirect(payloads);
      if (redirect !== undefined) return redirect;
      return { notify: 'NO_PROPOSAL_CHOSEN', explanation: 'the peer has made no Child SA' };
    }
    // §3.10.1: an error, and be it one that we do not know, beside what looks like success.
    if (error !== undefined) return this.#undo(this.#explainError(error));
    const accepted = acceptChild(this.#sa, this.#offer, payloads);
    if ('explanation' in accepted) return this.#undo(accepted);
    const { policy } = this.#offer;
    const { ni, nr } = this.#sa.negotiated!;
    const role = 'initiator';
    const agreement = { policy, role, inboundSpi: this.#inboundSpi!, ...accepted } as const;
    const child = makeChildSa(this.#sa, agreement, { ni, nr, secrets: [] });
    this.#inboundSpi = undefined;
    this.#sa.children.install(child, {
      policy,
      suite: accepted.suite,
      role,
      lowestNonce: lowestNonce(ni, nr),
      standby: false,
      known: true,
      group: partOfAnswer(this.#offer.info, undefined, payloads),
    });
    return undefined;
  }

  /** The responder has installed what we refuse: it is deleted there. */
  #undo(failure: Failure): Failure {
    const name = { protocol: childProtocol(this.#offer.policy), inboundSpi: this.#inboundSpi! };
    this.#sa.request(new DeleteChild(this.#sa, this.#core, name));
    return failure;
  }

  #explainRefusal(): string {
    const ppk = this.#ppkKeys === undefined ? undefined : this.#configured.ppk;
    return explainAuthenticationFailed(this.#connection, ppk?.id);
  }

  #explainError({ notifyType }: PayloadOf<'N'>): Failure {
    const name = notifyName(notifyType);
    const { policy, selectors } = this.#offer;
    switch (notifyType) {
      case NOTIFY.AUTHENTICATION_FAILED:
        return { notify: name, explanation: this.#explainRefusal() };
      case NOTIFY.UNEXPECTED_NAT_DETECTED:
        return { notify: name, explanation: NAT_ON_THE_WAY };
      default:
        return {
          notify: name,
          explanation: explainChildError(name, policy.proposals, selectors),
        };
    }
  }

  // --- the ends ----------------------------------------------------------------------------

  malformed(problem: string): void {
    this.#sa.misanswered(problem);
  }

  timedOut(): void {
    this.#sa.lost();
  }

  abandon(): void {
    this.#releaseSpi();
    if (this.#ppkKeys !== undefined) wipeRootKeys(this.#ppkKeys);
  }

  #releaseSpi(): void {
    if (this.#inboundSpi === undefined) return;
    this.#core.environment.releaseSpi(this.#inboundSpi);
    this.#inboundSpi = undefined;
  }
}
