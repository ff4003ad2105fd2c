/**
 * IKE_AUTH as the responder with a pre-shared key (RFC 7296 §1.2, §2.15, §2.9).
 *
 * Which connection it is, is decided by both identities. The Child SA is installed before the
 * response goes out, so that no packet comes too early; where it is refused the IKE SA stays.
 * Left out: certificates, EAP, configuration payloads.
 */

import { type Algorithm, sameAlgorithm } from '../../policy/algorithm.js';
import { explainNoProposal } from '../../policy/compare.js';
import type { ChildPolicy, Connection } from '../../policy/connection.js';
import { formatIdentity, sameIdentity } from '../../policy/identity.js';
import { hasFirstChoices, narrow, type SelectorPair } from '../../policy/narrow.js';
import type { Proposal } from '../../policy/proposal.js';
import { type Selection, type Suite, selectSuite } from '../../policy/suite.js';
import { SadFullError } from '../../sad/sad.js';
import {
  fromWireSelector,
  NOTIFY,
  type Payload,
  type PayloadOf,
  type Story,
  toWireSelector,
} from '../../wire/index.js';
import { authPayload, identityOf, idPayload, refused, refusePeer } from '../authentication.js';
import { espSpiBytes, espSpiOf, makeChildSa } from '../child-sa.js';
import type { Core } from '../core.js';
import { explainSelectors, type Failure } from '../explain.js';
import type { IkeSa } from '../ike-sa.js';
import { find, need, notifiesOf, notify, notifyName } from '../payloads.js';
import { CHILD_IN_AUTH } from '../tasks/ike-auth.js';
import type { Answer } from './answer.js';

export function answerIkeAuth(
  sa: IkeSa,
  core: Core,
  story: Story,
  payloads: readonly Payload[],
): Answer {
  const idi = find(payloads, 'IDi');
  if (idi === undefined || !story.includes('authentication')) {
    return refuse(sa, refused('the peer does not authenticate by a pre-shared key'));
  }
  const connection = findConnection(sa, core, idi, payloads);
  if (connection === undefined) {
    const identity = formatIdentity(identityOf(idi));
    return refuse(sa, refused(`no connection has the identities of this peer: ${identity}`));
  }
  const refusal = refusePeer(sa, connection, idi, payloads);
  if (refusal !== undefined) return refuse(sa, refusal);
  sa.connection = connection;
  sa.remoteIdentity = identityOf(idi);
  sa.establish(notifiesOf(payloads, NOTIFY.INITIAL_CONTACT).length > 0);
  const idr = idPayload('IDr', connection.local.identity);
  const child = find(payloads, 'SA') === undefined ? [] : answerChild(sa, core, payloads);
  return {
    payloads: [idr, authPayload(sa, connection, idr), ...child],
    afterwards: () => core.settled(sa),
  };
}

/** §2.21.2: the answer tells nothing of what is wrong, ours and the log do. */
function refuse(sa: IkeSa, failure: Failure): Answer {
  return {
    payloads: [notify(NOTIFY.AUTHENTICATION_FAILED)],
    afterwards: () => sa.fail(failure),
  };
}

/** Of the connections of these addresses the one with these identities and algorithms. */
function findConnection(
  sa: IkeSa,
  core: Core,
  idi: PayloadOf<'IDi'>,
  payloads: readonly Payload[],
): Connection | undefined {
  const idr = find(payloads, 'IDr');
  const { suite } = sa.negotiated!;
  return core
    .candidates(sa.local.address, sa.remote.address)
    .find(
      ({ local, remote, ikeProposals }) =>
        sameIdentity(remote.identity, identityOf(idi)) &&
        (idr === undefined || sameIdentity(local.identity, identityOf(idr))) &&
        ikeProposals.some((proposal) => allows(proposal, suite)),
    );
}

/** Whether what IKE_SA_INIT has agreed upon, for some connection of these addresses, is in it. */
function allows(proposal: Proposal, suite: Suite): boolean {
  const has = (ours: readonly Algorithm[], chosen: Algorithm | undefined) =>
    chosen === undefined || ours.some((own) => sameAlgorithm(own, chosen));
  return (
    has(proposal.encryption, suite.encryption) &&
    has(proposal.prf, suite.prf) &&
    has(proposal.integrity, suite.integrity) &&
    has(proposal.keyExchange, suite.keyExchange)
  );
}

// --- the Child SA -----------------------------------------------------------------------------

/** The payloads that answer SA, TSi and TSr: those of the Child SA, or why there is none. */
function answerChild(sa: IkeSa, core: Core, payloads: readonly Payload[]): Payload[] {
  const offered = offeredSelectors(payloads);
  const policies = sa.connection!.children.map((policy) => ({
    policy,
    // From the initiator's side, as the payloads are.
    own: { tsi: policy.remoteSelectors, tsr: policy.localSelectors },
  }));
  const possible = policies.flatMap(({ policy, own }) => {
    const selectors = narrow(own, offered);
    return selectors === undefined ? [] : [{ policy, selectors }];
  });
  // §2.9: a policy that has the initiator's first choices goes before one that has others only.
  const chosen =
    possible.find(({ selectors }) => hasFirstChoices(selectors, offered)) ?? possible[0];
  if (chosen !== undefined) {
    return makeChild(sa, core, payloads, chosen.policy, chosen.selectors);
  }
  const nearest = policies[0]?.own ?? { tsi: [], tsr: [] };
  return refuseChild(sa, NOTIFY.TS_UNACCEPTABLE, explainSelectors(nearest, offered));
}

function makeChild(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  policy: ChildPolicy,
  selectors: SelectorPair,
): Payload[] {
  const { proposals } = need(payloads, 'SA');
  const selection = (spi: Uint8Array): Selection | undefined =>
    selectSuite(policy.espProposals, proposals, spi, CHILD_IN_AUTH);
  const outboundSpi = espSpiOf(selection(new Uint8Array(4))?.spi ?? new Uint8Array(0));
  if (outboundSpi === undefined) {
    const explanation = explainNoProposal(policy.espProposals, proposals, CHILD_IN_AUTH);
    return refuseChild(sa, NOTIFY.NO_PROPOSAL_CHOSEN, explanation);
  }
  let inboundSpi: ReturnType<Core['environment']['allocateSpi']>;
  try {
    inboundSpi = core.environment.allocateSpi();
  } catch (error) {
    if (!(error instanceof SadFullError)) throw error;
    return refuseChild(sa, NOTIFY.NO_ADDITIONAL_SAS, 'the SAD is full');
  }
  const { suite, answer } = selection(espSpiBytes(inboundSpi))!;
  const { prf, ni, nr } = sa.negotiated!;
  const { local, remote, nat } = sa;
  const child = makeChildSa(
    {
      connection: sa.connection!.name,
      policy,
      role: 'responder',
      suite,
      inboundSpi,
      outboundSpi,
      selectors,
      local,
      remote,
      udpEncapsulation: nat.local || nat.remote,
    },
    { prf, skD: sa.protection!.keys.skD, ni, nr },
  );
  sa.install(child, policy, suite);
  return [
    { kind: 'SA', proposals: [answer] },
    { kind: 'TSi', selectors: selectors.tsi.map(toWireSelector) },
    { kind: 'TSr', selectors: selectors.tsr.map(toWireSelector) },
  ];
}

function refuseChild(sa: IkeSa, notifyType: number, explanation: string): Payload[] {
  sa.report({ notify: notifyName(notifyType), explanation });
  return [notify(notifyType)];
}

/** §2.9: selectors of a type that we do not know cannot be in what both have in common. */
function offeredSelectors(payloads: readonly Payload[]): SelectorPair {
  const known = (kind: 'TSi' | 'TSr') =>
    need(payloads, kind).selectors.flatMap((selector) => fromWireSelector(selector) ?? []);
  return { tsi: known('TSi'), tsr: known('TSr') };
}
