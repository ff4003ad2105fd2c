/**
 * What a person is told when an attempt fails: what happened, what was compared, what to look at.
 * No explanation holds a secret.
 */
import type { PeerKnows } from '../crypto/signature-scheme.js';
import type { Connection } from '../policy/connection.js';
import { formatIdentity, type Identity } from '../policy/identity.js';
import type { SelectorPair } from '../policy/narrow.js';
import { formatProposal, type Proposal } from '../policy/proposal.js';
import type { Endpoint } from '../sad/sad.js';
import { formatSelector, HASH, nameOf, type TrafficSelector } from '../wire/index.js';

/** UNEXPECTED_NAT_DETECTED (RFC 4555 §3.9). */
export const NAT_ON_THE_WAY =
  'addresses are changed on the way to the peer, by a NAT or an attack; what is there to be allowed (nat_traversal = true)';

/** In the place of a notify type where nobody has notified us of anything. */
export const NO_ANSWER = 'no answer';

/** A refusal: the notify type's name, and the explanation. */
export interface Failure {
  readonly notify: string;
  readonly explanation: string;
}

/** What is said where no Child SA has room any more. */
export const SAD_FULL: Failure = { notify: 'NO_ADDITIONAL_SAS', explanation: 'the SAD is full' };

export function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export function explainSilence(remote: Endpoint, what: string, tries: number): string {
  return `no answer from ${formatEndpoint(remote)} to ${what}, sent ${tries} times`;
}

/** The peer has refused what we offer; what it would take, it does not say. */
export function explainRefusal(ours: readonly Proposal[], notify: string): string {
  const lines = ours.map((proposal) => `ours: ${formatProposal(proposal)}`);
  return [`the peer answers ${notify} to all that we propose`, ...lines].join('\n');
}

export function explainIdentity(expected: Identity, found: Identity): string {
  return [
    'the peer proves another identity than the one configured',
    `expected: ${formatIdentity(expected)}`,
    `found:    ${formatIdentity(found)}`,
  ].join('\n');
}

/** At most so many connections are shown. */
const MAX_CONNECTIONS_SHOWN = 4;

/** @param idr  whom the peer wants to talk to, if it says so */
export function explainStranger(
  idi: Identity,
  idr: Identity | undefined,
  candidates: readonly Connection[],
): string {
  const pair = (local: Identity | undefined, remote: Identity) =>
    `remote id ${formatIdentity(remote)}, local id ${local === undefined ? 'any' : formatIdentity(local)}`;
  return [
    'the peer has identities that no connection with its address has',
    `the peer says: ${pair(idr, idi)}`,
    ...candidates
      .slice(0, MAX_CONNECTIONS_SHOWN)
      .map(({ name, local, remote }) => `${name} has: ${pair(local.identity, remote.identity)}`),
  ].join('\n');
}

export function explainWrongKey(peer: Identity): string {
  return `AUTH of ${formatIdentity(peer)} does not verify: the pre-shared keys differ`;
}

export function explainWrongMethod(method: string, wanted: 'psk' | 'certificate'): string {
  const expected = wanted === 'psk' ? 'by a pre-shared key' : 'with a certificate';
  return `the peer authenticates by ${method}; the connection has it do so ${expected}`;
}

/** Our key makes no signature that the peer says it can verify. */
export function explainNoScheme({ hashes }: PeerKnows): string {
  const known =
    hashes === undefined
      ? 'does not know RFC 7427, which Ed25519, Ed448 and RSASSA-PSS keys need'
      : `verifies signatures with ${hashes.map((id) => nameOf(HASH, id)).join(', ') || 'nothing'}`;
  return `our private key is of no use with this peer, which ${known}`;
}

/**
 * The peer refuses us and does not say why: what it may be, by how we have proved ourselves.
 * @param ppkId  of the PPK that we have offered, if we have
 */
export function explainAuthenticationFailed(
  { local, remote }: Connection,
  ppkId: string | undefined,
): string {
  const reason =
    local.authentication.type === 'psk'
      ? 'the pre-shared keys differ'
      : 'it does not accept our certificate';
  return [
    `the peer answers AUTHENTICATION_FAILED: ${reason}, or it expects other identities`,
    `ours:   ${formatIdentity(local.identity)}`,
    `peer's: ${formatIdentity(remote.identity)}`,
    // strongSwan 5.9.8 refuses who names another PPK, be it optional on both sides or not.
    ...(ppkId === undefined ? [] : [`PPK:    "${ppkId}", where the peer may know another`]),
  ].join('\n');
}

export function explainSelectors(policy: SelectorPair, offered: SelectorPair): string {
  return [
    'the traffic selectors have nothing in common',
    `TSi ours:   ${list(policy.tsi)}`,
    `TSi peer's: ${list(offered.tsi)}`,
    `TSr ours:   ${list(policy.tsr)}`,
    `TSr peer's: ${list(offered.tsr)}`,
  ].join('\n');
}

function explainSelectorsRefused({ tsi, tsr }: SelectorPair): string {
  return [
    'the peer answers TS_UNACCEPTABLE: its policy has nothing in common with ours',
    `TSi ours: ${list(tsi)}`,
    `TSr ours: ${list(tsr)}`,
  ].join('\n');
}

/** The peer has refused a Child SA; what was offered is what it has refused. */
export function explainChildError(
  notify: string,
  proposals: readonly Proposal[],
  selectors: SelectorPair,
): string {
  switch (notify) {
    case 'NO_PROPOSAL_CHOSEN':
    case 'INVALID_KE_PAYLOAD':
      return explainRefusal(proposals, notify);
    case 'TS_UNACCEPTABLE':
      return explainSelectorsRefused(selectors);
    case 'NO_ADDITIONAL_SAS':
      return `the peer answers ${notify}: it takes no further Child SA on this IKE SA`;
    default:
      return `the peer answers ${notify} to the request for a Child SA`;
  }
}

function list(selectors: readonly TrafficSelector[]): string {
  return selectors.map(formatSelector).join(', ') || 'none';
}
