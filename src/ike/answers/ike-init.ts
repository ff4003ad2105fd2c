/**
 * IKE_SA_INIT as the responder (RFC 7296 §1.2, §2.6, §2.7). Errors, COOKIE and INVALID_KE_PAYLOAD
 * are answered without keeping anything; only a request that can succeed makes a half-open SA.
 *
 * The shared secret is computed when IKE_AUTH comes, so that a forged source address costs us one
 * key pair and no more.
 */
import { fingerprint } from '../../crypto/fingerprint.js';
import { publicValueLength } from '../../crypto/key-exchange.js';
import type { Secret } from '../../crypto/secret.js';
import { explainNoProposal } from '../../policy/compare.js';
import { type Selection, selectSuite } from '../../policy/suite.js';
import {
  EXCHANGE,
  encodeMessage,
  type Message,
  NOTIFY,
  type Payload,
  parseAddress,
  type WireProposal,
} from '../../wire/index.js';
import { readHashes } from '../auth/announcements.js';
import { usesPpk } from '../auth/ppk.js';
import type { Core } from '../core.js';
import { formatEndpoint } from '../explain.js';
import {
  describeMessage,
  describePayloads,
  hasNotify,
  need,
  notify,
  notifyOf,
} from '../messages/payloads.js';
import { detectNat, fakeSource, NO_NAT, natDetection } from '../path/nat.js';
import { type Datagram, IkeSa } from '../sa/ike-sa.js';
import { agreeOnKeys } from '../sa/keys.js';
import { freshNonce } from '../sa/nonce.js';
import type { CookieJar } from '../strangers/cookie.js';
import type { HalfOpen } from '../strangers/half-open.js';

const PURPOSE = { protocol: 'ike', keyExchange: true } as const;

/** What the responder keeps between its response and IKE_AUTH. */
export interface PendingKeyExchange {
  readonly group: number;
  readonly privateKey: Secret;
  readonly peerPublic: Uint8Array;
  readonly suite: Selection['suite'];
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
  readonly initRequest: Uint8Array;
  readonly initResponse: Uint8Array;
}

/** What IKE_SA_INIT requests are held against. */
export interface Gate {
  readonly halfOpen: HalfOpen;
  readonly cookies: CookieJar;
  /** Answers and log lines that anybody can cause, so many a second and no more. */
  mayReply(): boolean;
  opened(sa: IkeSa): void;
}

/** Handles a request that `validate` has found to be an initial request. */
export function answerIkeInit(core: Core, gate: Gate, datagram: Datagram, message: Message): void {
  const { halfOpen } = gate;
  const key = `${formatEndpoint(datagram.remote)} ${fingerprint(datagram.data)}`;
  const known = halfOpen.find(key);
  if (known !== undefined) {
    const { last } = known.window;
    if (last !== undefined && known.state.name === 'half-open') {
      known.channel.send(last.responses, datagram.local, datagram.remote);
    }
    return;
  }
  const { payloads } = message;
  if (mustProve(gate, datagram) && !hasGoodCookie(core, gate, datagram, message)) {
    const cookie = gate.cookies.make(cookieInput(datagram, message), core.now);
    reply(core, datagram, message, [notify(NOTIFY.COOKIE, cookie)]);
    return;
  }
  if (!makeRoom(core, gate, datagram.remote.address)) {
    core.count('ike-half-open-full');
    return;
  }
  const { method, data: peerPublic } = need(payloads, 'KE');
  const { proposals } = need(payloads, 'SA');
  const selection = select(core, datagram, payloads);
  if (selection === undefined) {
    if (!gate.mayReply()) return;
    reply(core, datagram, message, [notify(NOTIFY.NO_PROPOSAL_CHOSEN)]);
    reportNoProposal(core, datagram, proposals);
    return;
  }
  const group = selection.suite.keyExchange!.id;
  if (method !== group) {
    reply(core, datagram, message, [notify(NOTIFY.INVALID_KE_PAYLOAD, uint16(group))]);
    return;
  }
  // RFC 7296 §3.4: the length of the KE data has to be that of the group.
  if (peerPublic.length !== publicValueLength(group)) {
    reply(core, datagram, message, [notify(NOTIFY.INVALID_SYNTAX)]);
    return;
  }
  open(core, gate, key, datagram, message, selection);
}

/**
 * Whether one more from this address may be half open. An address has its places; where all are
 * taken of everybody's, the oldest goes: an honest peer is through in seconds, and who fills them,
 * from many addresses, would keep everybody out for the rest of the time that they wait.
 */
function makeRoom(core: Core, { halfOpen }: Gate, address: string): boolean {
  if (!halfOpen.hasRoom(address)) return false;
  const oldest = halfOpen.oldestSurplus;
  if (oldest !== undefined) {
    core.count('ike-half-open-ousted');
    oldest.close('it has made room for a newer one');
  }
  return true;
}

/** An answer without state (§2.6, §2.21.1); the responder's SPI stays as it was: zero. */
export function reply(
  core: Core,
  { local, remote }: Datagram,
  { header }: Message,
  payloads: readonly Payload[],
): void {
  const { initiatorSpi, responderSpi, exchangeType, messageId } = header;
  const data = encodeMessage({
    header: {
      initiatorSpi,
      responderSpi,
      exchangeType,
      messageId,
      response: true,
      initiator: !header.initiator,
    },
    payloads,
  });
  core.log('debug', () => {
    const message = describeMessage(exchangeType, true, messageId);
    return `${message} -> ${formatEndpoint(remote)}: ${describePayloads(payloads, true)}`;
  });
  const marker = local.port === core.options.natPort;
  core.emit({ type: 'send', local, remote, marker, data });
}

// --- COOKIE -----------------------------------------------------------------------------------

function mustProve({ halfOpen }: Gate, { proof, remote }: Datagram): boolean {
  return proof === 'demanded' || (proof === undefined && halfOpen.mustProve(remote.address));
}

function cookieInput({ remote }: Datagram, { header, payloads }: Message) {
  const address = parseAddress(remote.address) ?? new Uint8Array(0);
  return { ni: need(payloads, 'Nonce').data, address, initiatorSpi: header.initiatorSpi };
}

function hasGoodCookie(core: Core, gate: Gate, datagram: Datagram, message: Message): boolean {
  const cookie = notifyOf(message.payloads, NOTIFY.COOKIE);
  if (cookie === undefined) return false;
  return gate.cookies.isGood(cookie.data, cookieInput(datagram, message), core.now);
}

// --- the choice -------------------------------------------------------------------------------

function select(
  core: Core,
  { local, remote }: Datagram,
  payloads: readonly Payload[],
): Selection | undefined {
  const { proposals: offered } = need(payloads, 'SA');
  const { method: guessed } = need(payloads, 'KE');
  const singleKeyExchange = !hasNotify(payloads, NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED);
  const purpose = { guessed, singleKeyExchange, ...PURPOSE };
  for (const proposals of core.candidates(local.address, remote.address).proposals) {
    const selection = selectSuite(proposals, offered, new Uint8Array(0), purpose);
    if (selection !== undefined) return selection;
  }
  return undefined;
}

function reportNoProposal(
  core: Core,
  { local, remote }: Datagram,
  offered: readonly WireProposal[],
): void {
  const [connection] = core.candidates(local.address, remote.address).connections;
  const explanation =
    connection === undefined
      ? `no connection is configured between ${local.address} and ${formatEndpoint(remote)}`
      : `${formatEndpoint(remote)} proposes nothing that we accept\n` +
        explainNoProposal(connection.ikeProposals, offered, PURPOSE);
  core.log('warn', explanation);
  // Anybody can send this in a peer's name: it must end nobody's waiting, nor put off our next try.
  core.emit({
    type: 'failed',
    connection: connection?.name,
    notify: 'NO_PROPOSAL_CHOSEN',
    explanation,
    unproved: true,
  });
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

// --- a half-open SA ---------------------------------------------------------------------------

function open(
  core: Core,
  gate: Gate,
  key: string,
  datagram: Datagram,
  message: Message,
  selection: Selection,
): void {
  const sa = new IkeSa(core, 'responder', datagram.local, datagram.remote);
  sa.peerSpi = message.header.initiatorSpi;
  sa.window.accept(message.header.messageId, datagram.data);
  gate.halfOpen.add(key, sa);
  gate.opened(sa);
  sa.startTimer('half-open', core.options.halfOpenTimeout);
  sa.log('debug', () => {
    const request = describeMessage(EXCHANGE.IKE_SA_INIT, false, 0);
    const content = describePayloads(message.payloads, false);
    return `${request} <- ${formatEndpoint(datagram.remote)}: ${content}`;
  });
  const group = selection.suite.keyExchange!.id;
  sa.compute({ type: 'generate', group }, (result) => {
    if (result.type !== 'generated') {
      sa.close('no key pair could be made');
      return;
    }
    const { privateKey, publicValue } = result;
    respond(sa, core, datagram, message, { selection, privateKey, publicValue });
  });
}

function respond(
  sa: IkeSa,
  core: Core,
  datagram: Datagram,
  message: Message,
  own: { selection: Selection; privateKey: Secret; publicValue: Uint8Array },
): void {
  const { payloads } = message;
  const { local, remote } = datagram;
  const { suite, answer } = own.selection;
  const group = suite.keyExchange!.id;
  const ni = need(payloads, 'Nonce').data;
  const nr = freshNonce(core);
  const before = { ...sa.spis, responderSpi: message.header.responderSpi };
  const candidates = core.candidates(local.address, remote.address);
  const { someForceUdpEncapsulation: forced } = candidates;
  const nat = candidates.someTraverseNats
    ? detectNat(payloads, before, local, remote, forced)
    : NO_NAT;
  sa.place.nat = nat;
  // RFC 7383 §2.3: said by both, or not in use.
  sa.supportsFragments =
    hasNotify(payloads, NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED) && candidates.allTakeFragments;
  sa.peerKnows = { hashes: readHashes(payloads), methods: undefined };
  sa.usesPpk = usesPpk(payloads) && candidates.someHavePpk;
  sa.supportsIntermediate = hasNotify(payloads, NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED);
  const header = { length: datagram.data.length, ...message.header };
  sa.channel.respond(datagram, header, [
    { kind: 'SA', proposals: [answer] },
    { kind: 'KE', method: group, data: own.publicValue },
    { kind: 'Nonce', data: nr },
    notify(NOTIFY.CHILDLESS_IKEV2_SUPPORTED),
    ...(sa.supportsFragments ? [notify(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED)] : []),
    ...(sa.usesPpk ? [notify(NOTIFY.USE_PPK)] : []),
    ...(sa.supportsIntermediate ? [notify(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED)] : []),
    ...(nat.supported ? natDetection(sa.spis, local, remote, fakeSource(core, forced)) : []),
    ...(sa.peerKnows.hashes === undefined ? [] : candidates.hashes),
    ...candidates.requests,
  ]);
  sa.pending = {
    group,
    privateKey: own.privateKey,
    peerPublic: need(payloads, 'KE').data,
    suite,
    ni,
    nr,
    initRequest: datagram.data,
    initResponse: sa.window.last!.responses[0]!,
  };
}

/** The first IKE_AUTH is here: makes the keys, then handles what has come meanwhile. */
export function deriveKeys(sa: IkeSa, core: Core, datagram: Datagram): void {
  sa.channel.hold(datagram);
  const { pending } = sa;
  if (pending === undefined) return;
  sa.pending = undefined;
  const { group, privateKey, peerPublic, suite } = pending;
  sa.compute({ type: 'derive', group, privateKey, peerPublic }, (result) => {
    if (result.type !== 'derived') {
      sa.close(result.type === 'failed' ? result.reason : 'no shared secret');
      return;
    }
    agreeOnKeys(sa, core, suite, result.sharedSecret, pending);
    sa.channel.receiveHeld();
  });
}
