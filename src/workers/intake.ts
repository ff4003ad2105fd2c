/**
 * What comes in for IKE, on its way to the worker that it belongs to: what can be told to be of no
 * use without decoding ends here, by name, and under a flood of first requests a COOKIE is demanded
 * (RFC 7296 §2.6).
 */
import type { Log } from '../log.js';
import type { Datagram, Transport } from '../net/transport.js';
import { EXCHANGE, type PeekedHeader, peekHeader, ZERO_IKE_SPI } from '../wire/index.js';
import type { HalfOpenTable } from './half-open.js';
import type { WorkerLink } from './link.js';
import type { ShardMap } from './shard-map.js';

/** Why a datagram did not reach a worker. */
type Undelivered =
  | 'ike-malformed'
  | 'ike-version-1'
  | 'ike-init-too-long'
  | 'ike-overload'
  | 'ike-init-overload';

/**
 * A worker with more messages than this waiting gets no further datagrams; and with more than that
 * no first requests without a COOKIE, so that a flood of them, from forged addresses, delays
 * neither who has one nor who has an IKE SA. For the next seconds one is demanded of everybody
 * (RFC 7296 §2.6).
 */
const MAX_BACKLOG = 2048;
const MAX_STRANGERS = 128;
const SIEGE_MS = 10_000;

/** An IKE_SA_INIT request has no reason to be longer; what is in it is read before anybody has proved anything. */
const MAX_INIT_OCTETS = 10_000;

export interface IntakeOptions {
  readonly transport: Transport;
  readonly map: ShardMap;
  readonly halfOpen: HalfOpenTable;
  readonly linkOf: (shard: number) => WorkerLink;
  /** For what peers, and those who pretend to be, can cause. */
  readonly log: Log;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #drops = new Map<Undelivered, number>();
  /** While a COOKIE is demanded of everybody. */
  #siege: NodeJS.Timeout | undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
    options.transport.onDatagram((datagram) => this.#take(datagram));
  }

  /** Datagrams that reached no worker. */
  drops(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#drops);
  }

  /** Leaves no timer; what comes is still handed on. */
  stop(): void {
    clearTimeout(this.#siege);
  }

  #take(datagram: Datagram): void {
    const header = peekHeader(datagram.data);
    // RFC 7296 §2.21 lets all that is wrong before anything is decoded go unanswered.
    if (header === undefined || header.length !== datagram.data.length) this.#drop('ike-malformed');
    else if (header.majorVersion < 2) this.#drop('ike-version-1');
    else this.#pass(datagram, header);
  }

  #drop(reason: Undelivered): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }

  #pass({ local, remote, data, proved = false }: Datagram, header: PeekedHeader): void {
    const { map, halfOpen, linkOf } = this.#options;
    const link = linkOf(map.ofMessage(header, remote.address));
    const initial = isInitRequest(header);
    if (initial && data.length > MAX_INIT_OCTETS) {
      this.#drop('ike-init-too-long');
      return;
    }
    const backlog = link.backlog();
    if (backlog > MAX_BACKLOG) {
      this.#drop('ike-overload');
      return;
    }
    if (backlog > MAX_STRANGERS && initial && !proved) {
      this.#drop('ike-init-overload');
      this.#besieged();
      return;
    }
    const admitted = !initial || halfOpen.admit(remote.address, header.initiatorSpi);
    const proof = proved ? 'given' : admitted ? undefined : 'demanded';
    link.post({ type: 'datagram', local, remote, data: alone(data), proof });
  }

  /** A flood of first requests: from now on the transport asks each for a COOKIE. */
  #besieged(): void {
    const { transport, log } = this.#options;
    if (this.#siege !== undefined) return;
    log.warn(`too many IKE_SA_INIT requests: a COOKIE is demanded for ${SIEGE_MS / 1000} s`);
    transport.demandCookies(true);
    this.#siege = setTimeout(() => {
      this.#siege = undefined;
      transport.demandCookies(false);
    }, SIEGE_MS);
  }
}

/** The first message of all: no responder SPI yet. */
function isInitRequest(header: PeekedHeader): boolean {
  const { exchangeType, response, responderSpi } = header;
  return exchangeType === EXCHANGE.IKE_SA_INIT && !response && responderSpi === ZERO_IKE_SPI;
}

/** In memory of its own: with what is part of a larger one, all of that would be copied. */
function alone(data: Uint8Array): Uint8Array {
  return data.length === data.buffer.byteLength ? data : new Uint8Array(data);
}
