/**
 * The responder's part of a Child SA, in IKE_AUTH or CREATE_CHILD_SA: the choice of policy, mode,
 * selectors and algorithms, and the installation (RFC 7296 §1.2, §1.3.1, §2.7, §2.9, §2.23.1).
 */
import { PROTOCOL_ID } from '../../policy/algorithm.js';
import { explainNoProposal } from '../../policy/compare.js';
import type { ChildPolicy } from '../../policy/connection.js';
import { hasFirstChoices, isCovered, narrow, type SelectorPair } from '../../policy/narrow.js';
import { type Purpose, type Suite, selectSuite } from '../../policy/suite.js';
import { betweenEnds, type Ends, endsOf, withEnds } from '../../policy/transport-mode.js';
import type { EspSpi } from '../../sad/sad.js';
import {
  fromWireSelector,
  NOTIFY,
  type Payload,
  parseAddress,
  toWireSelector,
  type WireProposal,
} from '../../wire/index.js';
import {
  type ChildSeed,
  childProtocol,
  childPurpose,
  espSpiBytes,
  espSpiOf,
  type InstalledChild,
  makeChildSa,
  reserveSpi,
} from '../child/child-sa.js';
import { type GroupPart, partOfRequest, peerIdentifier, resourceInfo } from '../child/resources.js';
import type { Core } from '../core.js';
import { explainSelectors, SAD_FULL } from '../explain.js';
import { find, need, notify, notifyName } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { lowestNonce } from '../sa/nonce.js';
import { asksForTransport, modeNotifies, obstacle, takesPadding } from '../tasks/child-offer.js';

export interface ChildChoice {
  readonly policy: ChildPolicy;
  readonly selectors: SelectorPair;
  /** The same as the peer knows them: in transport mode a NAT may make a difference (§2.23.1). */
  readonly answeredSelectors: SelectorPair;
  readonly suite: Suite;
  readonly outboundSpi: EspSpi;
  readonly takesPadding: boolean;
  /** Its part among those with the same selectors, if both say so (RFC 9611). */
  readonly group: GroupPart | undefined;
  /** Another policy would take what this Child SA does not (§2.9). */
  readonly more: boolean;
  /** The proposal that is chosen, with our SPI. */
  answer(inboundSpi: EspSpi): WireProposal;
}

/** The notify type that is answered, and what a person is told. */
export interface ChildRefusal {
  readonly refusal: number;
  readonly explanation: string;
}

/**
 * The policy, selectors and algorithms of the Child SA that is asked for: of the first policy that has
 * both in common with the offer.
 * @param keyExchange  whether it may have a key exchange of its own
 * @param rekeyed      the Child SA in whose place it comes: its policy is the policy
 */
export function chooseChild(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  keyExchange: boolean,
  rekeyed?: InstalledChild,
): ChildChoice | ChildRefusal {
  // A new one is made by what is configured now, not when the IKE SA was made.
  const { children } = core.connection(sa.connection!.name) ?? sa.connection!;
  const policies = rekeyed === undefined ? children : [rekeyed.policy];
  const candidates = findCandidates(sa, policies, payloads);
  if ('refusal' in candidates) return candidates;
  const { proposals } = need(payloads, 'SA');
  const purposeOf = (policy: ChildPolicy): Purpose =>
    childPurpose(policy, keyExchange, find(payloads, 'KE')?.method);
  const fitting = candidates
    .map((candidate) => agreed(candidate, proposals, purposeOf(candidate.policy)))
    .filter((one) => one !== undefined);
  const [chosen] = fitting;
  if (chosen === undefined) {
    const explanations = candidates.map(({ policy }) =>
      explainProposals(policy, proposals, purposeOf(policy)),
    );
    return { refusal: NOTIFY.NO_PROPOSAL_CHOSEN, explanation: explanations.join('\n') };
  }
  const { policy, selectors, suite, outboundSpi, answered, answer } = chosen;
  const group = partInGroup(sa, core, chosen, payloads, rekeyed);
  if (group !== undefined && 'refusal' in group) return group;
  return {
    policy,
    group,
    selectors,
    suite,
    outboundSpi,
    answer,
    answeredSelectors: answered,
    takesPadding: takesPadding(payloads),
    more: fitting.some((other) => !isCovered(other.answered, answered)),
  };
}

/** The algorithms that a candidate and the offer have in common; undefined where there are none. */
function agreed(candidate: Candidate, proposals: readonly WireProposal[], purpose: Purpose) {
  const selection = selectSuite(candidate.policy.proposals, proposals, new Uint8Array(4), purpose);
  const outboundSpi = selection && espSpiOf(selection.spi);
  if (selection === undefined || outboundSpi === undefined) return undefined;
  const answer = (inboundSpi: EspSpi) => ({
    ...selection.answer,
    spi: espSpiBytes(inboundSpi),
  });
  return { suite: selection.suite, outboundSpi, answer, ...candidate };
}

/** RFC 9611: a rekeyed Child SA has the part of the old one, whether the peer says so or not. */
function partInGroup(
  sa: IkeSa,
  core: Core,
  { policy, selectors, suite }: Pick<ChildChoice, 'policy' | 'selectors' | 'suite'>,
  payloads: readonly Payload[],
  rekeyed: InstalledChild | undefined,
): GroupPart | ChildRefusal | undefined {
  if (rekeyed !== undefined) {
    const peer = peerIdentifier(payloads);
    return rekeyed.group && { ...rekeyed.group, ...(peer && { peer }) };
  }
  const pair = { tsi: selectors.tsr, tsr: selectors.tsi };
  const part = partOfRequest(sa, core, { policy, pair, suite }, payloads);
  if (part === 'too many') {
    const explanation = 'the peer has enough Child SAs with the same selectors';
    return { refusal: NOTIFY.TS_MAX_QUEUE, explanation };
  }
  if (part === 'of another kind') {
    const explanation = 'a Child SA of a group has the same algorithms as the first';
    return { refusal: NOTIFY.NO_PROPOSAL_CHOSEN, explanation };
  }
  return part;
}

/** A policy that may be it, with what it has in common with the offer. */
interface Candidate {
  readonly policy: ChildPolicy;
  readonly selectors: SelectorPair;
  readonly answered: SelectorPair;
}

/**
 * The policies that have selectors in common with the offer, and are of its protocol and mode,
 * preferred first; or why there are none. One that has the initiator's first choices goes before one
 * that has others only (§2.9), and among those transport mode, where that is asked for, before tunnel
 * mode.
 */
function findCandidates(
  sa: IkeSa,
  policies: readonly ChildPolicy[],
  payloads: readonly Payload[],
): readonly Candidate[] | ChildRefusal {
  const offered = offeredSelectors(payloads);
  const all = policies
    .map((policy) => narrowed(sa, policy, offered))
    .filter((candidate) => candidate !== undefined);
  if (all.length === 0) {
    const nearest = policies[0] === undefined ? { tsi: [], tsr: [] } : peerSelectors(policies[0]);
    return {
      refusal: NOTIFY.TS_UNACCEPTABLE,
      explanation: explainSelectors(nearest, offered),
    };
  }
  const suitable = all.filter(({ policy }) => unsuitable(sa, policy, payloads) === undefined);
  if (suitable.length === 0) {
    const explanation = unsuitable(sa, all[0]!.policy, payloads)!;
    return { refusal: NOTIFY.NO_PROPOSAL_CHOSEN, explanation };
  }
  const byMode = firstly(suitable, ({ policy: { mode } }) => mode === 'transport');
  return firstly(byMode, ({ answered }) => hasFirstChoices(answered, offered));
}

/** Those for which it holds before the others, each in their order. */
function firstly<T>(all: readonly T[], holds: (one: T) => boolean): readonly T[] {
  return [...all.filter(holds), ...all.filter((one) => !holds(one))];
}

/** Why what is asked for is no Child SA of this policy, whatever the algorithms. */
function unsuitable(
  sa: IkeSa,
  policy: ChildPolicy,
  payloads: readonly Payload[],
): string | undefined {
  // §1.3.1: transport mode may be declined, so a policy in tunnel mode serves such a request too.
  if (policy.mode === 'transport' && !asksForTransport(payloads)) {
    return `the peer asks for tunnel mode, and the policy ${policy.name} is transport mode`;
  }
  const protocol = childProtocol(policy);
  const { proposals } = need(payloads, 'SA');
  if (!proposals.some(({ protocolId }) => protocolId === PROTOCOL_ID[protocol])) {
    return explainProposals(policy, proposals, childPurpose(policy, false));
  }
  return obstacle(sa, policy)?.explanation;
}

function explainProposals(
  policy: ChildPolicy,
  offered: readonly WireProposal[],
  purpose: Purpose,
): string {
  const compared = explainNoProposal(policy.proposals, offered, purpose);
  return `the peer proposes nothing for the Child SA ${policy.name} that we accept\n${compared}`;
}

/** What policy and offer have in common, as we know it and as it is answered. */
function narrowed(sa: IkeSa, policy: ChildPolicy, offered: SelectorPair): Candidate | undefined {
  if (policy.mode === 'tunnel') {
    const selectors = narrow(peerSelectors(policy), offered);
    return selectors && { policy, selectors, answered: selectors };
  }
  // §2.23.1: what the peer calls its address and ours is put right, and back again in the answer.
  const ends = responderEnds(sa);
  const { nat } = sa;
  const mapped = { ...(nat.remote && { tsi: ends.tsi }), ...(nat.local && { tsr: ends.tsr }) };
  const known = endsOf(offered);
  if (known === undefined && (nat.remote || nat.local)) return undefined;
  const selectors = narrow(betweenEnds(peerSelectors(policy), ends), withEnds(offered, mapped));
  if (selectors === undefined) return undefined;
  const original = {
    ...(nat.remote && { tsi: known!.tsi }),
    ...(nat.local && { tsr: known!.tsr }),
  };
  return { policy, selectors, answered: withEnds(selectors, original) };
}

/** The ends of the IKE SA where the peer is the initiator of the exchange. */
function responderEnds({ local, remote }: IkeSa): Ends {
  return { tsi: parseAddress(remote.address)!, tsr: parseAddress(local.address)! };
}

/** Seen from the peer, who is the initiator of the exchange. */
function peerSelectors(policy: ChildPolicy): SelectorPair {
  return { tsi: policy.remoteSelectors, tsr: policy.localSelectors };
}

/** §2.9: selectors of a type that we do not know cannot be in what both have in common. */
function offeredSelectors(payloads: readonly Payload[]): SelectorPair {
  const known = (kind: 'TSi' | 'TSr') =>
    need(payloads, kind)
      .selectors.map(fromWireSelector)
      .filter((selector) => selector !== undefined);
  return { tsi: known('TSi'), tsr: known('TSr') };
}

/** The SPI of the Child SA that was chosen, to be installed or given back. */
export function reserveChild(core: Core): EspSpi | ChildRefusal {
  const { explanation } = SAD_FULL;
  return reserveSpi(core) ?? { refusal: NOTIFY.NO_ADDITIONAL_SAS, explanation };
}

/** What tells of a Child SA; in CREATE_CHILD_SA Nr and KE stand between. */
export interface ChildAnswer {
  readonly granted: readonly Payload[];
  readonly selectors: readonly Payload[];
}

export function childAnswer(choice: ChildChoice, inboundSpi: EspSpi): ChildAnswer {
  const { policy, answeredSelectors, group } = choice;
  const info = group === undefined ? [] : [resourceInfo(group.resource)];
  return {
    granted: [
      ...modeNotifies(policy),
      ...info,
      { kind: 'SA', proposals: [choice.answer(inboundSpi)] },
    ],
    selectors: [
      { kind: 'TSi', selectors: answeredSelectors.tsi.map(toWireSelector) },
      { kind: 'TSr', selectors: answeredSelectors.tsr.map(toWireSelector) },
      ...(choice.more ? [notify(NOTIFY.ADDITIONAL_TS_POSSIBLE)] : []),
    ],
  };
}

/** Installs the Child SA that was chosen. */
export function installChild(
  sa: IkeSa,
  core: Core,
  choice: ChildChoice,
  inboundSpi: EspSpi,
  exchanged: ChildSeed & { readonly inAuth: boolean },
): InstalledChild {
  const { policy, suite, group } = choice;
  const role = 'responder';
  const childSa = makeChildSa(sa, { role, inboundSpi, ...choice }, exchanged);
  // §2.8: what is there already serves until the peer has shown that it has got our answer.
  const standby = isServed(sa, core, policy);
  return sa.children.install(childSa, {
    policy,
    suite,
    role,
    lowestNonce: lowestNonce(exchanged.ni, exchanged.nr),
    standby,
    known: exchanged.inAuth,
    group,
  });
}

/** Whether something of the policy is sent on already, be it for single senders alone. */
function isServed(sa: IkeSa, core: Core, { name }: ChildPolicy): boolean {
  return (
    core.hasChild(sa.connection!.name, name) ||
    [...sa.children].some(({ policy, state }) => policy.name === name && state !== 'deleting')
  );
}

export function refuseChild(
  sa: IkeSa,
  core: Core,
  { refusal, explanation }: ChildRefusal,
): Payload[] {
  if (refusal === NOTIFY.TS_MAX_QUEUE) {
    // Nothing has failed: what there is serves all.
    core.count('ike-max-queue');
    sa.log('info', `TS_MAX_QUEUE: ${explanation}`);
  } else sa.report({ notify: notifyName(refusal), explanation });
  return [notify(refusal)];
}
