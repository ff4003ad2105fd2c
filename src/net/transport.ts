/** How IKE datagrams reach us and leave: UDP sockets, or memory in tests and the in-process lab. */
import type { Endpoint } from '../sad/sad.js';

export const IKE_PORT = 500;
/** RFC 7296 §2.23: IKE behind the non-ESP marker, and ESP in UDP. */
export const NAT_TRAVERSAL_PORT = 4500;

export interface Datagram {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** The IKE message without the non-ESP marker. */
  readonly data: Uint8Array;
  /** It asks for a new IKE SA, and bears a COOKIE of this transport's that holds. */
  readonly proved?: boolean;
}

export type TransportCounter =
  | 'received'
  | 'sent'
  /** One octet of 0xFF (RFC 3948 §2.3). */
  | 'keepalives'
  /** ESP in UDP that reached a socket: the dataplane has not taken it. */
  | 'esp-in-udp'
  /** Empty, or on port 4500 and too short for anything. */
  | 'short'
  /** Requests for a new IKE SA that were answered with a COOKIE here. */
  | 'cookies-demanded'
  /** For IKE SAs with SPIs that we have not made, beyond a number a second. */
  | 'foreign'
  /** Requests for a new IKE SA whose payloads have wrong lengths, or no nonce. */
  | 'nonsense'
  /** Came while the kernel had no room for them. */
  | 'overflows'
  | 'send-errors'
  /** Nothing to send from: the address is not there (yet). */
  | 'no-socket';

export interface Transport {
  /** Of the mark in our IKE SPIs (workers/shard-map.ts): little is heard for others than these. */
  readonly spiKey: Uint8Array;
  /** By which other threads send for themselves (udp-sender.ts); undefined: they cannot. */
  readonly senderId?: number;
  onDatagram(listener: (datagram: Datagram) => void): void;
  /**
   * `marker`: put the non-ESP marker before the message. `whole`: nobody is to cut it on the way
   * (DF). Never throws; failures are counted.
   */
  send(local: Endpoint, remote: Endpoint, marker: boolean, data: Uint8Array, whole?: boolean): void;
  /**
   * Listens on these addresses and no others from now on, on those that are not there yet as soon
   * as they come. Rejects where a port is taken or not permitted; what was open before stays so.
   */
  open(addresses: readonly string[]): Promise<void>;
  /**
   * Whether requests for a new IKE SA without a COOKIE go no further, and are answered with one
   * where the transport can (RFC 7296 §2.6).
   */
  demandCookies(on: boolean): void;
  /** Something about the addresses of this machine has changed: try the missing ones now. */
  refresh(): void;
  /** The addresses to listen on that are not there (yet). */
  missing(): readonly string[];
  counters(): Readonly<Record<TransportCounter, number>>;
  close(): Promise<void>;
}

export function zeroCounters(): Record<TransportCounter, number> {
  return {
    received: 0,
    sent: 0,
    keepalives: 0,
    'esp-in-udp': 0,
    short: 0,
    'cookies-demanded': 0,
    foreign: 0,
    nonsense: 0,
    overflows: 0,
    'send-errors': 0,
    'no-socket': 0,
  };
}
