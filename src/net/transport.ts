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
}

export type TransportCounter =
  | 'received'
  | 'sent'
  /** One octet of 0xFF (RFC 3948 §2.3). */
  | 'keepalives'
  /** ESP in UDP that reached a socket: the dataplane has not taken it. */
  | 'esp-in-udp'
  /** On port 4500, and too short for anything. */
  | 'short'
  | 'send-errors'
  /** Nothing to send from: the address is not there (yet). */
  | 'no-socket';

export interface Transport {
  onDatagram(listener: (datagram: Datagram) => void): void;
  /** `marker`: put the non-ESP marker before the message. Never throws; failures are counted. */
  send(local: Endpoint, remote: Endpoint, marker: boolean, data: Uint8Array): void;
  /**
   * Listens on these addresses and no others from now on, on those that are not there yet as soon
   * as they come. Rejects where a port is taken or not permitted; what was open before stays so.
   */
  open(addresses: readonly string[]): Promise<void>;
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
    'send-errors': 0,
    'no-socket': 0,
  };
}
