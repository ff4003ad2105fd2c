/**
 * CREATE_CHILD_SA as the responder (RFC 7296 §1.3, §2.8, §2.17, §2.25): a new Child SA, one in the
 * place of another, or a new IKE SA in the place of this one (`rekey-ike.ts`).
 *
 * What the peer asks for may cross what we ask for: each crossing has its answer in §2.25.1 and
 * §2.25.2. A new Child SA is installed before the response goes out; but we send on it only when
 * the peer has shown that it has got the response (§2.8). Left out: configuration payloads and
 * IPComp, which a responder may pass over.
 */

import { sameSelectors } from '../../policy/narrow.js';
import { additionalMethods } from '../../policy/suite.js';
import { NOTIFY, type Payload, type PayloadOf, type Story } from '../../wire/index.js';
import { espSpiOf, type InstalledChild, pairOf } from '../child/child-sa.js';
import { isOfResource, peerIdentifier } from '../child/resources.js';
import type { Core } from '../core.js';
import { find, need, notify, notifyOf } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { freshNonce } from '../sa/nonce.js';
import type { Reply } from './answer.js';
import {
  type ChildChoice,
  type ChildRefusal,
  childAnswer,
  chooseChild,
  installChild,
  refuseChild,
  reserveChild,
} from './child.js';
import { type Begun, exchangeKeys, goOn } from './follow-up.js';
import { answerRekeyIke } from './rekey-ike.js';

export function answerCreateChild(
  sa: IkeSa,
  core: Core,
  story: Story,
  payloads: readonly Payload[],
  reply: Reply,
): void {
  if (story === 'rekeying of the IKE SA') {
    answerRekeyIke(sa, core, payloads, reply);
    return;
  }
  const refusal = crossing(sa, core, payloads);
  if (refusal !== undefined) {
    reply({ payloads: refusal });
    return;
  }
  const rekeyed = rekeyedChild(sa, payloads);
  const choice = chooseChild(sa, core, payloads, true, rekeyed);
  if ('refusal' in choice) {
    reply({ payloads: refuseChild(sa, core, choice) });
    return;
  }
  const { keyExchange } = choice.suite;
  if (keyExchange === undefined) {
    reply({ payloads: answerChild(sa, core, payloads, choice) });
    return;
  }
  const ke = find(payloads, 'KE');
  if (ke === undefined || ke.method !== keyExchange.id) {
    const data = Uint8Array.of(keyExchange.id >> 8, keyExchange.id & 0xff);
    reply({ payloads: [notify(NOTIFY.INVALID_KE_PAYLOAD, data)] });
    return;
  }
  exchangeKeys(sa, ke, reply, (own) => {
    const request = beginChild(sa, core, payloads, choice);
    if (!('refusal' in request)) {
      reply(goOn(sa, core, request.begun, own, request.around));
      return;
    }
    own.sharedSecret.wipe();
    reply({ payloads: refuseChild(sa, core, request) });
  });
}

/** What keeps a request for a Child SA from being granted as things stand; undefined: nothing. */
function crossing(sa: IkeSa, core: Core, payloads: readonly Payload[]): Payload[] | undefined {
  const notNow = [notify(NOTIFY.TEMPORARY_FAILURE)];
  // §2.25.2: not on an IKE SA that is being closed or rekeyed, nor on one that may not stay.
  if (sa.state.name !== 'established') return notNow;
  if (sa.awaits('rekey-ike')) return notNow;
  const rekey = notifyOf(payloads, NOTIFY.REKEY_SA);
  if (rekey !== undefined) {
    const child = rekeyedChild(sa, payloads);
    // Perhaps it is what an answer that we have yet to get will tell us of.
    if (child === undefined && sa.awaits('create-child', 'rekey-child')) return notNow;
    if (child === undefined) return [notFound(rekey)];
    // §2.25.1: not what is being deleted; and what was rekeyed is as good as deleted.
    if (child.state === 'deleting' || child.state === 'replaced') return notNow;
    if (child.rival !== undefined && sa.children.has(child.rival)) return notNow;
  }
  if (sa.children.size < core.options.maxChildSasPerIkeSa) return undefined;
  const explanation = `the peer has ${sa.children.size} Child SAs on this IKE SA already`;
  return refuseChild(sa, core, { refusal: fullFor(sa, payloads), explanation });
}

/** RFC 9611: of a group NO_ADDITIONAL_SAS would say that there are none of other selectors. */
function fullFor(sa: IkeSa, payloads: readonly Payload[]): number {
  const ofGroup =
    peerIdentifier(payloads) !== undefined &&
    [...sa.children].some(({ group }) => group !== undefined);
  return ofGroup ? NOTIFY.TS_MAX_QUEUE : NOTIFY.NO_ADDITIONAL_SAS;
}

function rekeyedChild(sa: IkeSa, payloads: readonly Payload[]): InstalledChild | undefined {
  const rekey = notifyOf(payloads, NOTIFY.REKEY_SA);
  return rekey && sa.children.byOutbound(rekey.protocolId, espSpiOf(rekey.spi));
}

/** It names the SA as the request did (§2.25). */
function notFound({ protocolId, spi }: PayloadOf<'N'>): Payload {
  return { ...notify(NOTIFY.CHILD_SA_NOT_FOUND), protocolId, spi };
}

// --- the Child SA -----------------------------------------------------------------------------

/** A request that is granted, as soon as its key exchanges are made. */
interface ChildRequest {
  readonly begun: Begun;
  /** Of the first response, in which the first key exchange stands. */
  around(exchange: readonly Payload[]): Payload[];
}

function beginChild(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  choice: ChildChoice,
): ChildRequest | ChildRefusal {
  const inboundSpi = reserveChild(core);
  if (typeof inboundSpi === 'object') {
    const isFurther = choice.group?.resource !== undefined;
    return isFurther ? { ...inboundSpi, refusal: NOTIFY.TS_MAX_QUEUE } : inboundSpi;
  }
  const ni = need(payloads, 'Nonce').data;
  const nr = freshNonce(core);
  const { granted, selectors } = childAnswer(choice, inboundSpi);
  const begun: Begun = {
    methods: additionalMethods(choice.suite),
    secrets: [],
    // Our own requests may have been answered meanwhile.
    refusal: () => crossing(sa, core, payloads),
    conclude: (secrets) => {
      const rekeyed = rekeyedChild(sa, payloads);
      const exchanged = { ni, nr, secrets, inAuth: false };
      const made = installChild(sa, core, choice, inboundSpi, exchanged);
      if (rekeyed !== undefined) succeed(sa, rekeyed, made);
      else findTwin(sa, core, made);
      return undefined;
    },
    forget: () => core.environment.releaseSpi(inboundSpi),
  };
  return {
    begun,
    around: (exchange) => [...granted, { kind: 'Nonce', data: nr }, ...exchange, ...selectors],
  };
}

/** Without a key exchange of its own. */
function answerChild(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  choice: ChildChoice,
): Payload[] {
  const request = beginChild(sa, core, payloads, choice);
  if ('refusal' in request) return refuseChild(sa, core, request);
  request.begun.conclude([]);
  return request.around([]);
}

/** §2.8.1: which of two stays is decided when our own request is answered. */
function succeed(sa: IkeSa, old: InstalledChild, made: InstalledChild): void {
  sa.children.tellRekeyed(old);
  sa.children.setSuccessor(old, made);
  if (old.state === 'rekeying') sa.children.setRival(old, made);
  else sa.children.move(old, 'replaced');
}

/**
 * The peer asks for what we have asked it for, and got, shortly before: it had not heard of that.
 * As with rekeying, the one with the lowest nonce goes, deleted by who made it.
 */
function findTwin(sa: IkeSa, core: Core, made: InstalledChild): void {
  if (isOfResource(made)) return;
  const twin = [...sa.children].find(
    (other) =>
      other.role === 'initiator' &&
      other.state === 'installed' &&
      !isOfResource(other) &&
      other.installedAt > core.now - core.options.switchDelay &&
      other.policy.name === made.policy.name &&
      sameSelectors(pairOf(other), pairOf(made)),
  );
  if (twin !== undefined && twin.lowestNonce < made.lowestNonce) sa.children.setTwin(made, twin);
}
