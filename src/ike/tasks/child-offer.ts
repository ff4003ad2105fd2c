/**
 * The initiator's part of a Child SA, in IKE_AUTH or CREATE_CHILD_SA: what is offered, and whether
 * an answer is within it (RFC 7296 §1.2, §1.3.1, §2.7, §2.9, §2.23.1).
 */
import { explainNoProposal } from '../../policy/compare.js';
import type { ChildPolicy } from '../../policy/connection.js';
import { isNarrowed, type SelectorPair } from '../../policy/narrow.js';
import {
  acceptAnswer,
  type Purpose,
  proposalsFor,
  type Suite,
  toWireProposals,
} from '../../policy/suite.js';
import { betweenEnds, type Ends, withEnds } from '../../policy/transport-mode.js';
import type { EspSpi } from '../../sad/sad.js';
import {
  fromWireSelector,
  NOTIFY,
  type Payload,
  type PayloadOf,
  parseAddress,
  type TrafficSelector,
  toWireSelector,
} from '../../wire/index.js';
import { childProtocol, espSpiBytes, espSpiOf, type InstalledChild } from '../child/child-sa.js';
import type { Failure } from '../explain.js';
import { hasNotify, need, notify } from '../messages/payloads.js';
import { isTranslated } from '../path/nat.js';
import type { IkeSa } from '../sa/ike-sa.js';

export interface ChildOffer {
  readonly policy: ChildPolicy;
  readonly selectors: SelectorPair;
  readonly purpose: Purpose;
  /** That it is of a group (RFC 9611). */
  readonly info?: PayloadOf<'N'> | undefined;
}

/** What the responder has chosen. */
export interface AcceptedChild {
  readonly suite: Suite;
  readonly outboundSpi: EspSpi;
  readonly selectors: SelectorPair;
  readonly takesPadding: boolean;
}

/** SA, and before it what is asked for beside algorithms (App. C.2, C.4). */
export function saPayloads({ policy, purpose, info }: ChildOffer, inboundSpi: EspSpi): Payload[] {
  const ours = proposalsFor(policy.proposals, purpose);
  const proposals = toWireProposals(ours, espSpiBytes(inboundSpi), purpose);
  return [
    ...modeNotifies(policy),
    ...(info === undefined ? [] : [info]),
    { kind: 'SA', proposals },
  ];
}

/**
 * What a request and the answer that grants it say of the mode (§1.3.1). In transport mode we do
 * not take TFC padding off: the packet's own length would have to be known (RFC 4303 §2.7).
 */
export function modeNotifies(policy: ChildPolicy): PayloadOf<'N'>[] {
  if (policy.mode === 'tunnel') return [];
  const isEsp = childProtocol(policy) === 'esp';
  return [
    notify(NOTIFY.USE_TRANSPORT_MODE),
    ...(isEsp ? [notify(NOTIFY.ESP_TFC_PADDING_NOT_SUPPORTED)] : []),
  ];
}

export function asksForTransport(payloads: readonly Payload[]): boolean {
  return hasNotify(payloads, NOTIFY.USE_TRANSPORT_MODE);
}

/** Whether the peer says nothing against TFC padding (§1.3.1). */
export function takesPadding(payloads: readonly Payload[]): boolean {
  return !hasNotify(payloads, NOTIFY.ESP_TFC_PADDING_NOT_SUPPORTED);
}

export function selectorPayloads({ selectors: { tsi, tsr } }: ChildOffer): Payload[] {
  return [
    { kind: 'TSi', selectors: tsi.map(toWireSelector) },
    { kind: 'TSr', selectors: tsr.map(toWireSelector) },
  ];
}

/** All that the policy may be used for with this peer, seen from its initiator. */
export function policySelectors(sa: IkeSa, policy: ChildPolicy): SelectorPair {
  const all = { tsi: policy.localSelectors, tsr: policy.remoteSelectors };
  return policy.mode === 'transport' ? betweenEnds(all, initiatorEnds(sa)) : all;
}

/** Those of a Child SA that is to be rekeyed; in transport mode between the ends as they are now. */
export function rekeyedSelectors(sa: IkeSa, { policy, sa: child }: InstalledChild): SelectorPair {
  const pair = { tsi: child.localSelectors, tsr: child.remoteSelectors };
  return policy.mode === 'transport' ? withEnds(pair, initiatorEnds(sa)) : pair;
}

/** The ends of the IKE SA where we are the initiator of the exchange. */
function initiatorEnds({ local, remote }: IkeSa): Ends {
  return { tsi: parseAddress(local.address)!, tsr: parseAddress(remote.address)! };
}

/** Why the policy cannot be served on this IKE SA, whatever the peer says; undefined: it can. */
export function obstacle(sa: IkeSa, policy: ChildPolicy): Failure | undefined {
  if (childProtocol(policy) === 'ah' && isTranslated(sa.nat)) {
    const explanation = 'there is a NAT on the way, and AH does not pass one';
    return { notify: 'NO_PROPOSAL_CHOSEN', explanation };
  }
  const { tsi, tsr } = policySelectors(sa, policy);
  if (tsi.length > 0 && tsr.length > 0) return undefined;
  const ends = `${sa.local.address} and ${sa.remote.address}`;
  const explanation = `transport mode is between ${ends}, which the networks do not include`;
  return { notify: 'TS_UNACCEPTABLE', explanation };
}

/** What the answer has chosen, or why that is nothing that was offered. */
export function acceptChild(
  sa: IkeSa,
  { policy, selectors: offered, purpose }: ChildOffer,
  payloads: readonly Payload[],
): AcceptedChild | Failure {
  const { proposals } = need(payloads, 'SA');
  const ours = proposalsFor(policy.proposals, purpose);
  const accepted = acceptAnswer(ours, proposals, purpose);
  const outboundSpi = accepted && espSpiOf(accepted.spi);
  if (accepted === undefined || outboundSpi === undefined) {
    const explanation = explainNoProposal(ours, proposals, purpose);
    return { notify: 'NO_PROPOSAL_CHOSEN', explanation };
  }
  // §1.3.1: a responder may decline transport mode; then the initiator has to delete the SA.
  const mode = asksForTransport(payloads) ? 'transport' : 'tunnel';
  if (mode !== policy.mode) {
    const explanation = `the peer makes it in ${mode} mode, where the policy is ${policy.mode} mode`;
    return { notify: 'USE_TRANSPORT_MODE', explanation };
  }
  const selectors = answeredSelectors(sa, policy, payloads);
  if (selectors === undefined || !isNarrowed(selectors, offered)) {
    const explanation = 'the peer answers traffic selectors beyond those that we offer';
    return { notify: 'TS_UNACCEPTABLE', explanation };
  }
  const { suite } = accepted;
  return { suite, outboundSpi, selectors, takesPadding: takesPadding(payloads) };
}

/** TSi and TSr of a message; undefined with one that we do not know. */
function answeredSelectors(
  sa: IkeSa,
  { mode }: ChildPolicy,
  payloads: readonly Payload[],
): SelectorPair | undefined {
  const tsi = need(payloads, 'TSi').selectors.map(fromWireSelector);
  const tsr = need(payloads, 'TSr').selectors.map(fromWireSelector);
  const isKnown = (one: TrafficSelector | undefined) => one !== undefined;
  if (!tsi.every(isKnown) || !tsr.every(isKnown)) return undefined;
  const pair = { tsi, tsr };
  // §2.23.1: behind a NAT the responder may have written the addresses that it knows.
  const isMapped = mode === 'transport' && isTranslated(sa.nat);
  return isMapped ? withEnds(pair, initiatorEnds(sa)) : pair;
}
