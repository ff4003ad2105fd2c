/**
 * Messages that belong to no IKE SA of ours: what is answered to anybody, in clear and without
 * state (RFC 7296 §2.5, §2.21.1, §2.21.4), and what still is to retransmissions for an IKE SA that
 * is gone (§2.1). Answers are bounded in number a second, what is kept in number and time.
 */
import { ChurnMap } from '../../churn-map.js';
import {
  EXCHANGE,
  type IkeSpi,
  NOTIFY,
  type PeekedHeader,
  peekHeader,
  type WireError,
} from '../../wire/index.js';
import { reply } from '../answers/ike-init.js';
import type { Core } from '../core.js';
import { formatEndpoint } from '../explain.js';
import { describeHeader, notify } from '../messages/payloads.js';
import { type Exchanged, sameOctets } from '../messages/window.js';
import type { Datagram } from '../sa/ike-sa.js';
import { Throttle } from './throttle.js';

const ANSWERS_PER_SECOND = 50;
/** IKE SAs that are gone and still answer retransmissions. */
const MAX_LINGERING = 1_000;

export class Strangers {
  readonly #core: Core;
  readonly #throttle = new Throttle(ANSWERS_PER_SECOND);
  readonly #lingering = new ChurnMap<IkeSpi, Exchanged>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Whether one more answer may go out now. */
  mayReply(): boolean {
    return this.#throttle.take(this.#core.now);
  }

  /** An IKE_SA_INIT request that does not decode, or has an unknown critical payload. */
  refuseMalformed(datagram: Datagram, error: WireError): void {
    const isCritical = error.notifyType === NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD;
    this.#core.count(isCritical ? 'ike-critical-payload' : 'ike-invalid-syntax');
    if (error.notifyType === undefined || !this.mayReply()) return;
    const header = peekHeader(datagram.data)!;
    const from = formatEndpoint(datagram.remote);
    const message = `${describeHeader(header)} <- ${from} is refused: ${error.message}`;
    this.#core.log('debug', message);
    this.#reply(datagram, header, error.notifyType, error.notifyData);
  }

  /** §2.5: a higher version is told the one that we speak; a lower one is IKEv1. */
  refuseVersion(datagram: Datagram, header: PeekedHeader): void {
    this.#core.count('ike-major-version');
    if (header.majorVersion < 2 || header.response || !this.mayReply()) return;
    this.#reply(datagram, header, NOTIFY.INVALID_MAJOR_VERSION);
  }

  /** For an SPI that is none of ours (any more). */
  receive(datagram: Datagram, header: PeekedHeader, localSpi: IkeSpi): void {
    if (header.response) {
      this.#core.count('ike-stray-response');
      return;
    }
    const lingering = this.#lingering.get(localSpi);
    if (lingering !== undefined) {
      if (sameOctets(lingering.request, datagram.data)) this.#repeat(datagram, lingering);
      return;
    }
    this.#core.count('ike-unknown-spi');
    if (header.exchangeType === EXCHANGE.IKE_SA_INIT || !this.mayReply()) return;
    this.#reply(datagram, header, NOTIFY.INVALID_IKE_SPI);
  }

  /** The IKE SA is gone; the peer may not have got our last response. */
  linger(spi: IkeSpi, last: Exchanged): void {
    if (this.#lingering.size >= MAX_LINGERING) return;
    this.#lingering.set(spi, last);
    const delay = this.#core.options.lingerTime;
    this.#core.emit({ type: 'start-timer', timer: `linger/${spi}`, delay });
  }

  forget(spi: IkeSpi): void {
    this.#lingering.delete(spi);
  }

  #repeat({ local, remote }: Datagram, { responses }: Exchanged): void {
    const marker = local.port === this.#core.options.natPort;
    for (const data of responses) this.#core.emit({ type: 'send', local, remote, marker, data });
  }

  #reply(datagram: Datagram, header: PeekedHeader, type: number, data?: Uint8Array): void {
    const full = { ...header, minorVersion: 0, higherVersion: false };
    reply(this.#core, datagram, { header: full, payloads: [] }, [notify(type, data)]);
  }
}
