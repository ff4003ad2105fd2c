/**
 * The responder's part of a Child SA, in IKE_AUTH or CREATE_CHILD_SA: the choice of policy,
 * selectors and algorithms, and the installation (RFC 7296 §1.2, §1.3.1, §2.7, §2.9).
 */
import type { Secret } from '../../crypto/secret.js';
import { explainNoProposal } from '../../policy/compare.js';
import type { ChildPolicy } from '../../policy/connection.js';
import { hasFirstChoices, isCovered, narrow, type SelectorPair } from '../../policy/narrow.js';
import { type Purpose, type Suite, selectSuite } from '../../policy/suite.js';
import { type EspSpi, SadFullError } from '../../sad/sad.js';
import {
  fromWireSelector,
  NOTIFY,
  type Payload,
  toWireSelector,
  type WireProposal,
} from '../../wire/index.js';
import { espSpiBytes, espSpiOf, type InstalledChild, makeChildSa } from '../child-sa.js';
import type { Core } from '../core.js';
import { explainSelectors } from '../explain.js';
import type { IkeSa } from '../ike-sa.js';
import { isTranslated } from '../nat.js';
import { need, notify, notifyName } from '../payloads.js';
import { lowestNonce } from '../uniqueness.js';

export interface ChildChoice {
  readonly policy: ChildPolicy;
  readonly selectors: SelectorPair;
  readonly suite: Suite;
  readonly outboundSpi: EspSpi;
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

/** @param rekeyed  the Child SA in whose place it comes: its policy is the policy */
export function chooseChild(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  purpose: Purpose,
  rekeyed?: InstalledChild,
): ChildChoice | ChildRefusal {
  // A new one is made by what is configured now, not when the IKE SA was made.
  const { children } = core.connection(sa.connection!.name) ?? sa.connection!;
  const policies = rekeyed === undefined ? children : [rekeyed.policy];
  const offered = offeredSelectors(payloads);
  const possible = policies.flatMap((policy) => {
    const selectors = narrow(peerSelectors(policy), offered);
    return selectors === undefined ? [] : [{ policy, selectors }];
  });
  // §2.9: a policy that has the initiator's first choices goes before one that has others only.
  const chosen =
    possible.find(({ selectors }) => hasFirstChoices(selectors, offered)) ?? possible[0];
  if (chosen === undefined) {
    const nearest = policies[0] === undefined ? { tsi: [], tsr: [] } : peerSelectors(policies[0]);
    return {
      refusal: NOTIFY.TS_UNACCEPTABLE,
      explanation: explainSelectors(nearest, offered),
    };
  }
  const { policy, selectors } = chosen;
  const { proposals } = need(payloads, 'SA');
  const select = (spi: Uint8Array) => selectSuite(policy.espProposals, proposals, spi, purpose);
  const selection = select(new Uint8Array(4));
  const outboundSpi = selection && espSpiOf(selection.spi);
  if (selection === undefined || outboundSpi === undefined) {
    const compared = explainNoProposal(policy.espProposals, proposals, purpose);
    const explanation = `the peer proposes nothing for the Child SA that we accept\n${compared}`;
    return { refusal: NOTIFY.NO_PROPOSAL_CHOSEN, explanation };
  }
  return {
    policy,
    selectors,
    suite: selection.suite,
    outboundSpi,
    more: possible.some((other) => !isCovered(other.selectors, selectors)),
    answer: (inboundSpi) => select(espSpiBytes(inboundSpi))!.answer,
  };
}

/** Seen from the peer, who is the initiator of the exchange. */
function peerSelectors(policy: ChildPolicy): SelectorPair {
  return { tsi: policy.remoteSelectors, tsr: policy.localSelectors };
}

/** §2.9: selectors of a type that we do not know cannot be in what both have in common. */
function offeredSelectors(payloads: readonly Payload[]): SelectorPair {
  const known = (kind: 'TSi' | 'TSr') =>
    need(payloads, kind).selectors.flatMap((selector) => fromWireSelector(selector) ?? []);
  return { tsi: known('TSi'), tsr: known('TSr') };
}

/** Installs the Child SA; the answer's payloads, of which SA is the first. */
export function installChild(
  sa: IkeSa,
  core: Core,
  choice: ChildChoice,
  exchanged: {
    readonly ni: Uint8Array;
    readonly nr: Uint8Array;
    readonly sharedSecret: Secret | undefined;
    readonly inAuth: boolean;
  },
): { readonly child: InstalledChild; readonly payloads: Payload[] } | ChildRefusal {
  const { policy, suite, outboundSpi, selectors } = choice;
  let inboundSpi: EspSpi;
  try {
    inboundSpi = core.environment.allocateSpi();
  } catch (error) {
    if (!(error instanceof SadFullError)) throw error;
    return { refusal: NOTIFY.NO_ADDITIONAL_SAS, explanation: 'the SAD is full' };
  }
  const { local, remote, nat } = sa;
  const connection = sa.connection!.name;
  const { ni, nr, sharedSecret } = exchanged;
  const own = sharedSecret === undefined ? {} : { sharedSecret };
  const childSa = makeChildSa(
    {
      connection,
      policy,
      role: 'responder',
      suite,
      inboundSpi,
      outboundSpi,
      selectors,
      local,
      remote,
      udpEncapsulation: isTranslated(nat),
    },
    { prf: sa.negotiated!.prf, skD: sa.protection!.keys.skD, ni, nr, ...own },
  );
  // §2.8: what is there already serves until the peer has shown that it has got our answer.
  const standby = core.hasChild(connection, policy.name);
  const known = exchanged.inAuth;
  const child = sa.children.install(childSa, {
    policy,
    suite,
    role: 'responder',
    lowestNonce: lowestNonce(ni, nr),
    standby,
    known,
  });
  return {
    child,
    payloads: [
      { kind: 'SA', proposals: [choice.answer(inboundSpi)] },
      { kind: 'TSi', selectors: selectors.tsi.map(toWireSelector) },
      { kind: 'TSr', selectors: selectors.tsr.map(toWireSelector) },
      ...(choice.more ? [notify(NOTIFY.ADDITIONAL_TS_POSSIBLE)] : []),
    ],
  };
}

export function refuseChild(sa: IkeSa, { refusal, explanation }: ChildRefusal): Payload[] {
  sa.report({ notify: notifyName(refusal), explanation });
  return [notify(refusal)];
}
