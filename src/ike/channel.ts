/**
 * The messages of one IKE SA as octets: ours are encoded, sealed and sent, the peer's are opened.
 * Of the peer's requests each is let in once, and its response answers its duplicates
 * (RFC 7296 §2.1-2.3). What is said in an exchange is for the tasks and the answers.
 *
 * Left out: fragmentation (RFC 7383).
 */
import type { Endpoint } from '../sad/sad.js';
import {
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  type Payload,
  type PeekedHeader,
  peekHeader,
  WireError,
} from '../wire/index.js';
import { answerRequest } from './answers/answer.js';
import type { Core } from './core.js';
import { formatEndpoint } from './explain.js';
import type { Datagram, IkeSa } from './ike-sa.js';
import { describeHeader, describeMessage, describePayloads } from './payloads.js';

/** IKE_AUTH messages that may wait for the shared secret; all but one are forged. */
const MAX_HELD = 4;

export class Channel {
  readonly #sa: IkeSa;
  readonly #core: Core;
  /** What has come before there were keys to open it. */
  readonly #held: Datagram[] = [];

  constructor(sa: IkeSa, core: Core) {
    this.#sa = sa;
    this.#core = core;
  }

  // --- ours --------------------------------------------------------------------------------

  /** A whole message of ours; in clear only in IKE_SA_INIT. */
  encode(
    exchangeType: number,
    response: boolean,
    messageId: number,
    payloads: readonly Payload[],
  ): Uint8Array {
    const { spis, role, remote, protection } = this.#sa;
    const initiator = role === 'initiator';
    const header = { ...spis, exchangeType, response, initiator, messageId };
    const arrow = `-> ${formatEndpoint(remote)}`;
    const content = describePayloads(payloads, response);
    this.log(`${describeMessage(exchangeType, response, messageId)} ${arrow}: ${content}`);
    if (exchangeType === EXCHANGE.IKE_SA_INIT) return encodeMessage({ header, payloads });
    return protection!.seal(header, payloads);
  }

  /** Sends the response of a new request; it answers the request's duplicates from now on. */
  respond(datagram: Datagram, header: PeekedHeader, payloads: readonly Payload[]): void {
    const response = this.encode(header.exchangeType, true, header.messageId, payloads);
    this.#sa.window.answered(datagram.data, response);
    this.send(response, datagram.local, datagram.remote);
  }

  send(data: Uint8Array, local: Endpoint, remote: Endpoint): void {
    const marker = local.port === this.#core.options.natPort;
    this.#core.emit({ type: 'send', local, remote, marker, data });
  }

  // --- the peer's --------------------------------------------------------------------------

  receiveRequest(datagram: Datagram, header: PeekedHeader): void {
    const sa = this.#sa;
    const standing = sa.window.classify(header.messageId, datagram.data);
    if (standing === 'duplicate') {
      sa.log('debug', `${describeHeader(header)} came again, its response is sent again`);
      this.send(sa.window.lastResponse!, datagram.local, datagram.remote);
      sa.children.peerIsNotReady();
      return;
    }
    if (standing === 'pending' || standing === 'stray' || !this.#takesRequests(header)) {
      sa.log('debug', `${describeHeader(header)} is outside the window, ignored`);
      return;
    }
    answerRequest(sa, this.#core, datagram, header);
  }

  /** Before the peer has proved anything it may only send IKE_AUTH. */
  #takesRequests({ exchangeType }: PeekedHeader): boolean {
    switch (this.#sa.state.name) {
      case 'half-open':
        return exchangeType === EXCHANGE.IKE_AUTH;
      case 'rival':
      case 'established':
      case 'replaced':
      case 'deleting':
        return exchangeType !== EXCHANGE.IKE_SA_INIT && exchangeType !== EXCHANGE.IKE_AUTH;
      case 'initiating':
      case 'authenticating':
      case 'closed':
        return false;
    }
  }

  /** Keeps what cannot be opened yet, up to a few messages. */
  hold(datagram: Datagram): void {
    if (this.#held.length < MAX_HELD) this.#held.push(datagram);
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

  dropHeld(): void {
    this.#held.length = 0;
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
   * Opens a protected message. What does not authenticate changes nothing and is dropped.
   * @param malformed  is told of an authentic message whose payloads do not decode
   */
  openSealed(
    datagram: Datagram,
    header: PeekedHeader,
    malformed: (error: WireError) => void,
  ): readonly Payload[] | undefined {
    const content = this.#sa.protection?.open(datagram.data);
    if (content === undefined) {
      this.#sa.log('debug', `${describeHeader(header)} is not authentic, ignored`);
      return undefined;
    }
    this.#sa.heard(datagram);
    try {
      const payloads = content.decode();
      this.#logReceived(datagram, header, payloads);
      return payloads;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      malformed(error);
      return undefined;
    }
  }

  // --- the log -----------------------------------------------------------------------------

  #logReceived(datagram: Datagram, header: PeekedHeader, payloads: readonly Payload[]): void {
    const content = describePayloads(payloads, header.response);
    const from = formatEndpoint(datagram.remote);
    this.log(`${describeHeader(header)} <- ${from}: ${content}`);
  }

  /** Until the peer is known, anybody could fill a log. Liveness checks are many and dull. */
  log(message: string): void {
    const dull = this.#sa.connection === undefined || message.endsWith(': empty');
    this.#sa.log(dull ? 'debug' : 'info', message);
  }
}
