/**
 * The messages of one IKE SA as octets: ours are encoded, sealed and sent, the peer's are opened.
 * Of the peer's requests each is let in once, and its response answers its duplicates
 * (RFC 7296 §2.1-2.3). What is said in an exchange is for the tasks and the answers.
 *
 * A message that is too long for one datagram goes in fragments where both can (RFC 7383). How long
 * that is, is configured, and shrinks to what every path takes when the peer does not answer, or to
 * what the peer's own fragments have (§2.5.1, §2.5.2).
 */
import { DEFAULT_FRAGMENT_BYTES, MOST_WINDOW } from '../../policy/connection.js';
import type { Endpoint } from '../../sad/sad.js';
import {
  asUnencrypted,
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  encodePayloads,
  type Payload,
  type PeekedHeader,
  peekHeader,
  unencryptedMessage,
  WireError,
} from '../../wire/index.js';
import type { Core, Line } from '../core.js';
import { formatEndpoint } from '../explain.js';
import type { Datagram, IkeSa } from '../sa/ike-sa.js';
import type { Role } from '../sa/state.js';
import { PartialMessage } from './fragments.js';
import { describeHeader, describeMessage, describePayloads } from './payloads.js';
import type { Protection, SealedContent } from './protection.js';

const INITIAL_EXCHANGES = [
  ...[EXCHANGE.IKE_SA_INIT, EXCHANGE.IKE_INTERMEDIATE, EXCHANGE.IKE_AUTH],
] as const;

/** Datagrams of IKE_AUTH that may wait for the shared secret, and their octets; they may be forged. */
const MAX_HELD = 16;
const MAX_HELD_OCTETS = 65_536;
/** IP datagrams that every path takes, so to speak (RFC 7383 §2.5.1), and what is around ours. */
const IPV4 = { leastBytes: 576, headerBytes: 20 + 8 };
const IPV6 = { leastBytes: 1280, headerBytes: 40 + 8 };
const MARKER_BYTES = 4;
/** Of a cipher in blocks: what a fragment may have less of than another. */
const MOST_PADDING = 16;
/** Times that something is sent before its length is suspected. */
const TRIES_BEFORE_SHRINKING = 2;

export class Channel {
  readonly #sa: IkeSa;
  readonly #core: Core;
  /** What has come before there were keys to open it. */
  readonly #held: Datagram[] = [];
  /**
   * What is here of the peer's requests, and of its responses to ours: of message IDs that are no
   * further from each other than a window each has a place of its own.
   */
  readonly #requests: (PartialMessage | undefined)[] = [];
  readonly #responses: (PartialMessage | undefined)[] = [];
  /** Bytes of an IP datagram, where the path or the peer has taught less than is configured. */
  #learnedBytes = Number.POSITIVE_INFINITY;
  /** The keys that our last response went under. */
  #protection: Protection | undefined;

  constructor(sa: IkeSa, core: Core) {
    this.#sa = sa;
    this.#core = core;
  }

  // --- ours --------------------------------------------------------------------------------

  /** A message of ours, in one datagram or several; in clear only in IKE_SA_INIT. */
  encode(
    exchangeType: number,
    response: boolean,
    messageId: number,
    payloads: readonly Payload[],
    protection = this.#sa.protection,
    mostOctets = this.#mostOctets,
    to = this.#sa.remote,
  ): Uint8Array[] {
    const { role } = this.#sa;
    const { initiatorSpi, responderSpi } = this.#sa.spis;
    const initiator = role === 'initiator';
    const header = { initiatorSpi, responderSpi, exchangeType, response, initiator, messageId };
    const clear = exchangeType === EXCHANGE.IKE_SA_INIT;
    const datagrams = clear
      ? [encodeMessage({ header, payloads })]
      : protection!.seal(header, payloads, mostOctets);
    if (exchangeType === EXCHANGE.IKE_INTERMEDIATE) {
      const { firstType, bytes } = encodePayloads(payloads);
      this.#cover(role, unencryptedMessage(header, firstType, bytes), messageId);
    }
    this.#log(payloads.length === 0, () => {
      const message = describeMessage(exchangeType, response, messageId);
      const content = describePayloads(payloads, response) + inFragments(datagrams.length);
      return `${message} -> ${formatEndpoint(to)}: ${content}`;
    });
    return datagrams;
  }

  /** Sends the response of the accepted request; it answers its duplicates from now on. */
  respond(datagram: Datagram, header: PeekedHeader, payloads: readonly Payload[]): void {
    const { exchangeType, messageId } = header;
    const { protection, window } = this.#sa;
    const { local, remote } = datagram;
    if (this.#protection !== protection) {
      this.#protection?.wipe();
      window.keepAnswers();
    }
    this.#protection = protection;
    const encode = () =>
      this.encode(exchangeType, true, messageId, payloads, protection, this.#mostOctets, remote);
    const responses = encode();
    const mayShrink = exchangeType !== EXCHANGE.IKE_SA_INIT && this.#mayShrink(responses);
    window.answered(messageId, responses, mayShrink ? encode : undefined);
    this.send(responses, local, remote);
  }

  /** @param whole  with DF: it measures the path */
  send(datagrams: readonly Uint8Array[], local: Endpoint, remote: Endpoint, whole = false): void {
    const marker = local.port === this.#core.options.natPort;
    for (const data of datagrams) {
      const effect = { type: 'send', local, remote, marker, data } as const;
      this.#core.emit(whole ? { ...effect, whole } : effect);
    }
  }

  // --- how long a datagram may be ----------------------------------------------------------

  /** Octets of an IKE message, or fragment, in one datagram. */
  get #mostOctets(): number {
    const { supportsFragments, connection } = this.#sa;
    if (!supportsFragments) return Number.POSITIVE_INFINITY;
    const configured = connection?.fragmentBytes ?? DEFAULT_FRAGMENT_BYTES;
    return Math.min(configured, this.#learnedBytes) - this.#overheadBytes;
  }

  get #family() {
    return this.#sa.remote.address.includes(':') ? IPV6 : IPV4;
  }

  get #overheadBytes(): number {
    const marked = this.#sa.local.port === this.#core.options.natPort;
    return this.#family.headerBytes + (marked ? MARKER_BYTES : 0);
  }

  /** Of the IP datagram that carries an IKE message. */
  ipBytes(message: Uint8Array): number {
    return message.length + this.#overheadBytes;
  }

  /** Of the IP datagram that an INFORMATIONAL request with these payloads goes in, whole. */
  datagramBytes(payloads: readonly Payload[]): number {
    const { role, spis, protection } = this.#sa;
    const exchangeType = EXCHANGE.INFORMATIONAL;
    const initiator = role === 'initiator';
    const header = { ...spis, exchangeType, response: false, initiator, messageId: 0 };
    return this.ipBytes(protection!.seal(header, payloads, Number.POSITIVE_INFINITY)[0]!);
  }

  /** Whether it went whole, and would go in fragments. */
  mustSplit(datagrams: readonly Uint8Array[]): boolean {
    return datagrams.length === 1 && datagrams[0]!.length > this.#mostOctets;
  }

  #mayShrink(datagrams: readonly Uint8Array[]): boolean {
    const least = this.#family.leastBytes - this.#overheadBytes;
    return this.#sa.supportsFragments && datagrams.some(({ length }) => length > least);
  }

  /**
   * Whether what was sent so often without an answer may be too long for the path, and can be
   * sent in smaller fragments: from now on all is (§2.5.2). There have to be more of them than
   * before, since that is how a receiver tells the new ones from the old ones (§2.6).
   */
  shrink(datagrams: readonly Uint8Array[], sent: number): boolean {
    if (sent < TRIES_BEFORE_SHRINKING || !this.#mayShrink(datagrams)) return false;
    const octets = datagrams.reduce((sum, { length }) => sum + length, 0);
    const tooFew = Math.floor(octets / datagrams.length) - MOST_PADDING;
    this.#learnedBytes = Math.min(this.#family.leastBytes, tooFew + this.#overheadBytes);
    return true;
  }

  /** §2.5.1: a responder may do with what its peer's fragments have. */
  #learn(fragmentOctets: number): void {
    const bytes = Math.max(fragmentOctets + this.#overheadBytes, this.#family.leastBytes);
    this.#learnedBytes = Math.min(bytes, this.#learnedBytes);
  }

  // --- the peer's --------------------------------------------------------------------------

  receiveRequest(datagram: Datagram, header: PeekedHeader): void {
    const sa = this.#sa;
    const standing = sa.window.classify(header.messageId, datagram.data);
    const fragment = standing === 'altered' ? this.#fragmentOf(datagram) : undefined;
    // RFC 7383 §2.6.1: of a request that comes again in other fragments, the first one counts.
    if (standing === 'duplicate' || fragment === 1) this.#repeat(datagram, header);
    else if (standing === 'new' && this.#takesRequests(header)) {
      this.#core.answer(sa, datagram, header);
    } else if (standing === 'pending' || fragment !== undefined) {
      this.#core.count('ike-repeated-request');
    } else {
      this.#core.count('ike-unexpected-request');
      sa.log('debug', () => `${describeHeader(header)} is outside the window, ignored`);
    }
  }

  /** The number of an authentic fragment; undefined for all else. */
  #fragmentOf({ data }: Datagram): number | undefined {
    return this.#protection?.open(data)?.fragment?.number;
  }

  #repeat(datagram: Datagram, header: PeekedHeader): void {
    const sa = this.#sa;
    const answered = sa.window.answerTo(header.messageId)!;
    sa.log('debug', () => `${describeHeader(header)} came again, its response is sent again`);
    const { encode, responses } = answered;
    if (encode !== undefined && this.shrink(responses, ++answered.repeats)) {
      answered.responses = encode();
      answered.encode = undefined;
    }
    this.send(answered.responses, datagram.local, datagram.remote);
    sa.children.peerIsNotReady();
  }

  /** Before the peer has proved anything it may only send IKE_AUTH, and what goes before it. */
  #takesRequests({ exchangeType }: PeekedHeader): boolean {
    switch (this.#sa.state.name) {
      case 'half-open':
        return (
          exchangeType === EXCHANGE.IKE_AUTH ||
          (exchangeType === EXCHANGE.IKE_INTERMEDIATE && this.#sa.supportsIntermediate)
        );
      case 'rival':
      case 'established':
      case 'replaced':
      case 'deleting':
        return !(INITIAL_EXCHANGES as readonly number[]).includes(exchangeType);
      case 'initiating':
      case 'authenticating':
      case 'closed':
        return false;
    }
  }

  /** Keeps what cannot be opened yet, up to a few messages. */
  hold(datagram: Datagram): void {
    const octets = this.#held.reduce((sum, { data }) => sum + data.length, datagram.data.length);
    if (this.#held.length < MAX_HELD && octets <= MAX_HELD_OCTETS) this.#held.push(datagram);
    else this.#core.count('ike-held-full');
  }

  /** There are keys: handles what has waited for them. */
  receiveHeld(): void {
    for (const datagram of this.#held.splice(0)) {
      const header = peekHeader(datagram.data);
      if (header !== undefined && this.#sa.state.name !== 'closed') {
        this.#sa.receive(datagram, header);
      }
    }
  }

  /** Other keys have taken the place of these, which the last response may still need. */
  retire(protection: Protection): void {
    if (protection !== this.#protection) protection.wipe();
  }

  /** The IKE SA is closed: nothing is kept. */
  close(): void {
    this.#protection?.wipe();
    this.#held.length = 0;
    for (const partial of [...this.#requests, ...this.#responses]) partial?.drop();
  }

  /** The payloads of a message in clear; undefined where it does not decode. */
  openClear(datagram: Datagram, header: PeekedHeader): readonly Payload[] | undefined {
    try {
      const { payloads } = decodeMessage(datagram.data);
      this.#logReceived(datagram, header, payloads);
      return payloads;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#sa.log('debug', `${describeHeader(header)} is ignored: ${error.message}`);
      return undefined;
    }
  }

  /**
   * Opens a protected message, when all of it is here; a request is accepted with that. What does
   * not authenticate changes nothing and is dropped.
   * @param malformed  is told of an authentic message whose payloads do not decode
   */
  openSealed(
    datagram: Datagram,
    header: PeekedHeader,
    malformed: (error: WireError) => void,
  ): readonly Payload[] | undefined {
    const whole = this.#openWhole(datagram, header);
    if (whole === undefined) return undefined;
    if (!header.response) this.#sa.window.accept(header.messageId, whole.first);
    if (header.exchangeType === EXCHANGE.IKE_INTERMEDIATE) this.#coverReceived(whole, header);
    this.#sa.heard(datagram, header);
    try {
      const payloads = whole.content.decode();
      this.#logReceived(datagram, header, payloads, whole.fragments);
      return payloads;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      malformed(error);
      return undefined;
    }
  }

  /** The message that this datagram is, or of which it is the last fragment that was missing. */
  #openWhole(datagram: Datagram, header: PeekedHeader): Whole | undefined {
    const sa = this.#sa;
    const content = sa.protection?.open(datagram.data);
    if (content === undefined) {
      this.#core.count('ike-not-authentic');
      sa.log('debug', () => `${describeHeader(header)} is not authentic, ignored`);
      return undefined;
    }
    const partials = header.response ? this.#responses : this.#requests;
    const place = header.messageId % MOST_WINDOW;
    if (content.fragment === undefined || content.problem !== undefined) {
      partials[place]?.drop();
      return { content, first: datagram.data, fragments: 1 };
    }
    const { number, total } = content.fragment;
    partials[place] ??= new PartialMessage(this.#core.fragments);
    const result = sa.supportsFragments
      ? partials[place].add(header.messageId, content, datagram.data)
      : ({ fate: 'refused' } as const);
    const { fate } = result;
    sa.log('debug', () => `${describeHeader(header)}, fragment ${number} of ${total}: ${fate}`);
    if (result.fate === 'refused') this.#core.count('ike-fragment-refused');
    if (result.fate !== 'complete') return undefined;
    this.#learn(result.first.length);
    return { ...result, fragments: total };
  }

  /** AUTH covers what lies before it (RFC 9242 §3.3.2). */
  #coverReceived({ first, content }: Whole, { messageId }: PeekedHeader): void {
    const message = asUnencrypted(first, content.plaintext);
    this.#cover(this.#sa.role === 'initiator' ? 'responder' : 'initiator', message, messageId);
  }

  #cover(sender: Role, message: Uint8Array, messageId: number): void {
    const { intermediate, negotiated, protection } = this.#sa;
    const { skPi, skPr } = protection!.keys;
    const skP = sender === 'initiator' ? skPi : skPr;
    intermediate?.cover(sender, messageId, negotiated!.prf, skP, message);
  }

  // --- the log -----------------------------------------------------------------------------

  #logReceived(
    datagram: Datagram,
    header: PeekedHeader,
    payloads: readonly Payload[],
    fragments = 1,
  ): void {
    this.#log(payloads.length === 0, () => {
      const content = describePayloads(payloads, header.response) + inFragments(fragments);
      return `${describeHeader(header)} <- ${formatEndpoint(datagram.remote)}: ${content}`;
    });
  }

  /** A request of ours is sent again. */
  logAgain(message: Line): void {
    this.#log(false, message);
  }

  /** Until the peer is known, anybody could fill a log. Liveness checks are many and dull. */
  #log(empty: boolean, message: Line): void {
    const dull = this.#sa.connection === undefined || empty;
    this.#sa.log(dull ? 'debug' : 'info', message);
  }
}

/** A message of the peer that is here as a whole. */
interface Whole {
  readonly content: SealedContent;
  /** The datagram that its retransmissions begin with. */
  readonly first: Uint8Array;
  readonly fragments: number;
}

function inFragments(count: number): string {
  return count === 1 ? '' : `, in ${count} fragments`;
}
