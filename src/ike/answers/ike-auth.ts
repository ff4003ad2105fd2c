/**
 * IKE_AUTH as the responder (RFC 7296 §1.2, §2.15, §2.9).
 *
 * Which connection it is, is decided by both identities. The Child SA is installed before the
 * response goes out, so that no packet comes too early; where it is refused the IKE SA stays.
 * Left out: EAP, configuration payloads.
 */

import { ADDKE, type Algorithm, sameAlgorithm } from '../../policy/algorithm.js';
import type { Connection } from '../../policy/connection.js';
import { sameIdentity } from '../../policy/identity.js';
import type { Proposal } from '../../policy/proposal.js';
import type { Suite } from '../../policy/suite.js';
import { NOTIFY, type Payload, type PayloadOf, type Story } from '../../wire/index.js';
import { readMethods } from '../auth/announcements.js';
import { announceLifetime } from '../auth/auth-lifetime.js';
import {
  identityOf,
  idPayload,
  NOT_CONFIGURED,
  proveOurselves,
  refused,
  verifyPeer,
} from '../auth/authentication.js';
import { certificatePayloads } from '../auth/certificates.js';
import { decideOnPpk, keysWithPpk } from '../auth/ppk.js';
import type { Candidates } from '../connections.js';
import type { Core } from '../core.js';
import { explainStranger, type Failure } from '../explain.js';
import { find, hasNotify, need, notify } from '../messages/payloads.js';
import { announceWindow, heedWindow } from '../messages/window-size.js';
import { announceMobility, isMobile } from '../path/mobility.js';
import { isProhibited } from '../path/nat.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Answer, Reply } from './answer.js';
import { childAnswer, chooseChild, installChild, refuseChild, reserveChild } from './child.js';

export function answerIkeAuth(
  sa: IkeSa,
  core: Core,
  story: Story,
  payloads: readonly Payload[],
  reply: Reply,
): void {
  if (isProhibited(payloads, sa.local, sa.remote)) {
    const explanation = 'the peer allows no NAT, and addresses are changed on the way from it';
    const failure = { notify: 'UNEXPECTED_NAT_DETECTED', explanation };
    reply({
      payloads: [notify(NOTIFY.UNEXPECTED_NAT_DETECTED)],
      afterwards: () => sa.fail(failure),
    });
    return;
  }
  const idi = find(payloads, 'IDi');
  const here = core.candidates(sa.local.address, sa.remote.address);
  const refuse = (failure: Failure, concerned = here.connections) =>
    refuseAll(sa, core, failure, concerned);
  if (idi === undefined || !story.includes('authentication')) {
    reply(refuse(refused('the peer wants to authenticate by EAP')));
    return;
  }
  const connection = findConnection(sa, here, idi, payloads);
  if (connection === undefined) {
    const idr = find(payloads, 'IDr');
    const explanation = explainStranger(identityOf(idi), idr && identityOf(idr), here.connections);
    reply(refuse(refused(explanation)));
    return;
  }
  const refuseThis = (failure: Failure) => refuse(failure, [connection]);
  sa.peerKnows = { ...sa.peerKnows, methods: readMethods(payloads) };
  const ppk = decideOnPpk(sa, connection, payloads);
  if (ppk === undefined) {
    reply(refuseThis(refused('the peer does not use the PPK that we have for it')));
    return;
  }
  if ('use' in ppk) sa.protection!.useRootKeys(keysWithPpk(sa, ppk.use));
  const proof = 'use' in ppk ? payloads : withAuth(payloads, ppk.auth);
  const used = 'use' in ppk ? [notify(NOTIFY.PPK_IDENTITY)] : [];
  verifyPeer(sa, connection, idi, proof, (refusal) => {
    if (refusal !== undefined) {
      reply(refuseThis(refusal));
      return;
    }
    const idr = idPayload('IDr', connection.local.identity);
    proveOurselves(sa, connection, idr, (auth) => {
      if ('explanation' in auth) reply(refuseThis(auth));
      else if (core.connection(connection.name) === undefined) reply(refuseThis(NOT_CONFIGURED));
      else reply(accept(sa, core, connection, payloads, [idr, auth, ...used]));
    });
  });
}

/** Both have proved themselves: the IKE SA is there, and the Child SA if that can be. */
function accept(
  sa: IkeSa,
  core: Core,
  connection: Connection,
  payloads: readonly Payload[],
  [idr, ...proof]: readonly [PayloadOf<'IDr'>, ...Payload[]],
): Answer {
  core.authenticated(sa, connection);
  sa.remoteIdentity = identityOf(need(payloads, 'IDi'));
  if (isMobile(connection, payloads)) sa.place.mobility = 'follower';
  heedWindow(sa, payloads);
  sa.establish(hasNotify(payloads, NOTIFY.INITIAL_CONTACT));
  const child = find(payloads, 'SA') === undefined ? [] : answerChild(sa, core, payloads);
  return {
    payloads: [
      idr,
      ...certificatePayloads(connection),
      ...proof,
      ...(sa.place.mobility === undefined ? [] : announceMobility(connection, sa.local.address)),
      ...announceLifetime(connection),
      ...announceWindow(sa),
      ...child,
    ],
    afterwards: () => core.settled(sa),
  };
}

function withAuth(payloads: readonly Payload[], auth: PayloadOf<'AUTH'>): readonly Payload[] {
  return payloads.map((payload) => (payload.kind === 'AUTH' ? auth : payload));
}

/**
 * §2.21.2: the answer tells nothing of what is wrong. We tell those whose peer it may have been,
 * but who has anything to do with that address in particular only: others may be thousands.
 */
function refuseAll(
  sa: IkeSa,
  core: Core,
  failure: Failure,
  concerned: readonly Connection[],
): Answer {
  return {
    payloads: [notify(NOTIFY.AUTHENTICATION_FAILED)],
    afterwards: () => {
      for (const { name: connection, remote } of concerned) {
        if (concerned.length > 1 && remote.address === '%any') continue;
        core.emit({ type: 'failed', connection, ...failure, unproved: true });
      }
      sa.fail(failure);
    },
  };
}

/** Of the connections of these addresses the one with these identities and algorithms. */
function findConnection(
  sa: IkeSa,
  candidates: Candidates,
  idi: PayloadOf<'IDi'>,
  payloads: readonly Payload[],
): Connection | undefined {
  const idr = find(payloads, 'IDr');
  const { suite } = sa.negotiated!;
  return candidates
    .withPeer(identityOf(idi))
    .find(
      ({ local, ikeProposals }) =>
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
    has(proposal.keyExchange, suite.keyExchange) &&
    ADDKE.every((_, i) => allowsAdditional(proposal.additional[i] ?? [], suite.additional[i] ?? 0))
  );
}

function allowsAdditional(ours: readonly Algorithm[], method: number): boolean {
  return ours.length === 0 ? method === 0 : ours.some(({ id }) => id === method);
}

/** The payloads that answer SA, TSi and TSr: those of the Child SA, or why there is none. */
function answerChild(sa: IkeSa, core: Core, payloads: readonly Payload[]): Payload[] {
  const choice = chooseChild(sa, core, payloads, false);
  if ('refusal' in choice) return refuseChild(sa, core, choice);
  const inboundSpi = reserveChild(core);
  if (typeof inboundSpi === 'object') return refuseChild(sa, core, inboundSpi);
  const { ni, nr } = sa.negotiated!;
  installChild(sa, core, choice, inboundSpi, { ni, nr, secrets: [], inAuth: true });
  const { granted, selectors } = childAnswer(choice, inboundSpi);
  return [...granted, ...selectors];
}
