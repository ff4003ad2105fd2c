/**
 * The initiator's part of a Child SA, in IKE_AUTH or CREATE_CHILD_SA: what is offered, and whether
 * an answer is within it (RFC 7296 §1.2, §1.3.1, §2.7, §2.9).
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
import type { EspSpi } from '../../sad/sad.js';
import {
  fromWireSelector,
  type Payload,
  type PayloadOf,
  toWireSelector,
} from '../../wire/index.js';
import { espSpiBytes, espSpiOf } from '../child-sa.js';
import type { Failure } from '../explain.js';
import { need } from '../payloads.js';

export interface ChildOffer {
  readonly policy: ChildPolicy;
  readonly selectors: SelectorPair;
  readonly purpose: Purpose;
}

/** What the responder has chosen. */
export interface AcceptedChild {
  readonly suite: Suite;
  readonly outboundSpi: EspSpi;
  readonly selectors: SelectorPair;
}

export function saPayload({ policy, purpose }: ChildOffer, inboundSpi: EspSpi): PayloadOf<'SA'> {
  const proposals = proposalsFor(policy.espProposals, purpose);
  return { kind: 'SA', proposals: toWireProposals(proposals, espSpiBytes(inboundSpi), purpose) };
}

export function selectorPayloads({ selectors: { tsi, tsr } }: ChildOffer): Payload[] {
  return [
    { kind: 'TSi', selectors: tsi.map(toWireSelector) },
    { kind: 'TSr', selectors: tsr.map(toWireSelector) },
  ];
}

/** All that the policy may be used for, seen from its initiator. */
export function policySelectors(policy: ChildPolicy): SelectorPair {
  return { tsi: policy.localSelectors, tsr: policy.remoteSelectors };
}

/** What the answer has chosen, or why that is nothing that was offered. */
export function acceptChild(
  { policy, selectors: offered, purpose }: ChildOffer,
  payloads: readonly Payload[],
): AcceptedChild | Failure {
  const { proposals } = need(payloads, 'SA');
  const ours = proposalsFor(policy.espProposals, purpose);
  const accepted = acceptAnswer(ours, proposals, purpose);
  const outboundSpi = accepted && espSpiOf(accepted.spi);
  if (accepted === undefined || outboundSpi === undefined) {
    const explanation = explainNoProposal(ours, proposals, purpose);
    return { notify: 'NO_PROPOSAL_CHOSEN', explanation };
  }
  const selectors = answeredSelectors(payloads);
  if (selectors === undefined || !isNarrowed(selectors, offered)) {
    const explanation = 'the peer answers traffic selectors beyond those that we offer';
    return { notify: 'TS_UNACCEPTABLE', explanation };
  }
  return { suite: accepted.suite, outboundSpi, selectors };
}

/** TSi and TSr of a message; undefined with one that we do not know. */
function answeredSelectors(payloads: readonly Payload[]): SelectorPair | undefined {
  const tsi = need(payloads, 'TSi').selectors.map(fromWireSelector);
  const tsr = need(payloads, 'TSr').selectors.map(fromWireSelector);
  if (tsi.includes(undefined) || tsr.includes(undefined)) return undefined;
  return { tsi: tsi.flatMap((one) => one ?? []), tsr: tsr.flatMap((one) => one ?? []) };
}
