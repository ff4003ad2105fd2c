/**
 * `explain <connection>`: how a connection stands, why it last failed, and what to change. Pure.
 * What was compared, ours and the peer's side by side, is in the failure's own words
 * (ike/explain.ts); here stands what follows from it.
 */
import { assertNever } from '../crypto/assert-never.js';
import {
  ADDITIONAL_WORDS,
  ADDKE,
  algorithmName,
  type Protocol,
  WORDS,
  type Word,
} from '../policy/algorithm.js';
import type { Connection } from '../policy/connection.js';
import { TRANSFORM } from '../wire/index.js';
import type { LastFailure, StrangersFailure } from '../workers/keeper.js';
import { adviseOnAuthentication } from './explain-authentication.js';
import type { ConnectionStatus } from './status.js';

export interface Explanation {
  readonly connection: string;
  readonly state: ConnectionState;
  /** How it stands, in a sentence. */
  readonly summary: string;
  readonly failure?: ExplainedFailure;
  /** What to do, most likely first; none where nothing is wrong. */
  readonly advice: readonly string[];
}

export type ConnectionState = 'up' | 'connecting' | 'down' | 'waiting';

export interface ExplainedFailure {
  /** A notify type's name (RFC 7296 §3.10.1), or `no answer`. */
  readonly notify: string;
  readonly explanation: string;
  /** Which Child SA it concerned. */
  readonly child: string;
  readonly secondsAgo: number;
  /** Somebody who may be anybody has brought it about. */
  readonly unproved: boolean;
}

export interface ExplainSources {
  readonly connection: Connection;
  readonly status: ConnectionStatus;
  readonly failure: LastFailure | undefined;
  /** Of whom no connection knows the address. */
  readonly stranger?: StrangersFailure | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export function explainConnection(sources: ExplainSources): Explanation {
  const { connection, status, failure, now } = sources;
  const state = connectionState(status);
  return {
    connection: connection.name,
    state,
    summary: SUMMARIES[state](sources),
    ...(failure === undefined ? {} : { failure: explained(failure, now) }),
    advice: [
      ...(state === 'up' ? [] : adviseOnStranger(sources)),
      ...(state === 'up' && !failedSince(sources) ? adviseWhileUp(sources) : advise(sources)),
    ],
  };
}

/** Whether what failed came after the SAs that are there, as when `apply` has brought a mistake. */
function failedSince({ status, failure, now }: ExplainSources): boolean {
  if (failure === undefined) return false;
  const ages = status.ikeSas.flatMap(({ childSas }) => childSas.map((sa) => sa.ageSeconds));
  return failure.at > now - Math.min(...ages) * 1000;
}

/** Up as soon as one Child SA is there. */
export function connectionState({ ikeSas, wanted }: ConnectionStatus): ConnectionState {
  if (ikeSas.some((sa) => sa.childSas.length > 0)) return 'up';
  if (ikeSas.some((sa) => sa.state === 'connecting')) return 'connecting';
  return wanted === 'on-demand' ? 'waiting' : 'down';
}

const SUMMARIES: Readonly<Record<ConnectionState, (sources: ExplainSources) => string>> = {
  up: (sources) => {
    if (sources.failure === undefined) return 'it is up';
    return failedSince(sources)
      ? 'it is up, as agreed before; what was tried since has failed'
      : 'it is up; what failed before is over';
  },
  connecting: ({ connection, status }) => {
    const setUp = `it is being set up with ${connection.remote.address}`;
    const silent = silentAttempt(status);
    if (silent === undefined) return setUp;
    return `${setUp}, which has not answered for ${Math.round(silent.ageSeconds)} seconds`;
  },
  waiting: ({ connection }) =>
    connection.children.some(({ start }) => start === 'trap')
      ? 'it waits for a packet that it protects, or for the peer'
      : 'it waits for the peer to begin (start = "wait")',
  down: ({ status: { wanted } }) =>
    wanted === 'down' ? 'it was taken down by hand' : 'it is down, and is tried again',
};

/** A request is sent again after 1 and 2 seconds (`retransmit`): by then an answer is late. */
const LATE_SECONDS = 4;
const NO_SPI = '0'.repeat(16);

/** An IKE_SA_INIT exchange of ours that the peer leaves without an answer. */
function silentAttempt({ ikeSas }: ConnectionStatus) {
  return ikeSas.find(
    ({ state, role, responderSpi, ageSeconds }) =>
      state === 'connecting' &&
      role === 'initiator' &&
      responderSpi === NO_SPI &&
      ageSeconds >= LATE_SECONDS,
  );
}

/** A tunnel that is up carries nothing as long as nothing is routed into it. */
function adviseOnRoutes({ interface: door }: ConnectionStatus): string[] {
  if (door === undefined || door.outPackets > 0) return [];
  return [
    `nothing was sent into ${door.name} yet; is anything routed there? ip route show dev ${door.name}; ip route add NETWORK dev ${door.name}`,
  ];
}

/** Who asks in vain at our address may be the peer, from where it is not expected. */
function adviseOnStranger({ connection, failure, stranger, now }: ExplainSources): string[] {
  const { name, local, remote } = connection;
  const here = `no connection is configured between ${local.address} and `;
  if (stranger === undefined || !stranger.explanation.startsWith(here)) return [];
  if (failure !== undefined && failure.at > stranger.at) return [];
  const seconds = Math.round((now - stranger.at) / 1000);
  return [
    `${seconds} seconds ago ${stranger.explanation.slice(here.length)} asked ${local.address} for an IKE SA; if that is this peer, its address has to be remote.address of [connection.${name}], which is ${remote.address}`,
  ];
}

/** What is up, and yet not as it was meant. */
function adviseWhileUp({ connection, status }: ExplainSources): string[] {
  const childSas = status.ikeSas.flatMap((sa) => sa.childSas);
  const alone = connection.children.filter(({ name, perResource }) => {
    const own = childSas.filter((child) => child.name === name);
    const isGroup = own.some(({ resource }) => resource !== undefined);
    return perResource !== undefined && own.length > 0 && !isGroup;
  });
  return [
    ...adviseOnRoutes(status),
    ...alone.map(
      ({ name }) =>
        `${name}: per_resource is set here, but the peer makes one Child SA for all queues; is it set there, and does it know RFC 9611?`,
    ),
  ];
}

function explained({ notify, explanation, child, at, unproved }: LastFailure, now: number) {
  return { notify, explanation, child, secondsAgo: Math.round((now - at) / 1000), unproved };
}

function advise({ connection, status, failure }: ExplainSources): string[] {
  const { name } = connection;
  const byHand = status.wanted === 'down' ? [`to bring it up: esplane up ${name}`] : [];
  if (silentAttempt(status) !== undefined) return adviseOnSilence(connection);
  if (failure === undefined) {
    return status.wanted === 'on-demand' ? [`to begin now: esplane up ${name}`] : byHand;
  }
  const advice = ADVICE[failure.notify]?.(connection, failure) ?? [
    `the same on the other gateway may tell more: its log, or esplane explain ${name}`,
  ];
  return [...advice, 'then, on the gateway that was changed: esplane apply', ...byHand];
}

function adviseOnSilence({ local, remote }: Connection): string[] {
  return [
    `does the peer run and listen? on it: ss -lun 'sport = :500'`,
    `does anything come back? here: tcpdump -ni any 'host ${remote.address} and udp port 500 or 4500'`,
    `is UDP 500 and 4500 let through between ${local.address} and ${remote.address}, both ways? firewalls and NAT on the way drop it silently`,
  ];
}

type Advise = (connection: Connection, failure: LastFailure) => string[];

const noProposal: Advise = ({ name, local, children }, { notify, child, explanation }) => {
  const isChild = explanation.includes('ESN');
  const policy = children.find((one) => one.name === child) ?? children[0];
  const key = isChild ? (policy?.proposals[0]?.protocol ?? 'esp') : 'ike';
  const where = isChild && children.length > 1 ? `${name}.child.${child}` : name;
  const line = (side: string) => {
    const words = configurationWords(explanation, side, key);
    return words === undefined ? [] : [`${key} = ["${words}"]`];
  };
  const [theirs] = line("peer's");
  if (theirs !== undefined) {
    return [`what the peer proposes, as a line of [connection.${where}] here: ${theirs}`];
  }
  const [ours] = line('ours');
  return [
    `both gateways need one algorithm of each kind in common; what the peer would take, only its own log or esplane explain tells`,
    ...(ours === undefined ? [] : [`what we propose, as a line of its configuration: ${ours}`]),
    ...(isChild || notify !== 'NO_PROPOSAL_CHOSEN'
      ? []
      : [
          `a peer answers the same where it has no connection for our address; its remote address has to be ${local.address}, or what a NAT between makes of it`,
        ]),
  ];
};

/** The first proposal of one side, as the configuration writes it; undefined: it has no such words. */
function configurationWords(
  explanation: string,
  side: string,
  protocol: Protocol,
): string | undefined {
  const proposal = new RegExp(`^${side}: +(.+)$`, 'm').exec(explanation)?.[1];
  if (proposal === undefined) return undefined;
  const words = new Map(
    Object.entries({ ...WORDS[protocol], ...ADDITIONAL_WORDS })
      .reverse()
      .map(([text, word]) => [nameOfWord(word), text]),
  );
  // Both values are proposed unless one is asked for.
  const names = proposal.replace(/ \/ (ESN or NO_ESN|NO_ESN or ESN)$/, '').split(/ or | \/ /);
  const found = names.map((name) => words.get(name));
  return found.includes(undefined) ? undefined : found.join('-');
}

function nameOfWord(word: Word): string {
  switch (word.part) {
    case 'encryption':
      return algorithmName(TRANSFORM.ENCR, word.algorithm);
    case 'integrity':
      return algorithmName(TRANSFORM.INTEG, word.algorithm);
    case 'prf':
      return algorithmName(TRANSFORM.PRF, word.algorithm);
    case 'keyExchange':
      return algorithmName(TRANSFORM.KE, word.algorithm);
    case 'additional':
      return algorithmName(ADDKE[word.number - 1]!, word.algorithm);
    case 'esn':
      return word.esn ? 'ESN' : 'NO_ESN';
    default:
      return assertNever(word);
  }
}

const ADVICE: Readonly<Record<string, Advise>> = {
  NO_PROPOSAL_CHOSEN: noProposal,
  INVALID_KE_PAYLOAD: noProposal,
  AUTHENTICATION_FAILED: (connection, { explanation }) =>
    adviseOnAuthentication(connection, explanation),
  TS_UNACCEPTABLE: ({ name }) => [
    `the networks have to mirror each other: local.networks of [connection.${name}] are the peer's remote networks, and the other way round`,
  ],
  'no answer': adviseOnSilence,
  NO_ADDITIONAL_SAS: () => [
    'one of the gateways has no room for more SAs: max_child_sas of [gateway] (it counts from the next start)',
  ],
  TEMPORARY_FAILURE: () => ['nothing: it is tried again by itself'],
};
