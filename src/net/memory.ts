/**
 * A network in memory for gateways of one process: what one transport sends, the transport that
 * has the address receives, markers and all. Datagrams arrive in order, in a later turn of the
 * event loop.
 */
import type { Endpoint } from '../sad/sad.js';
import { classifyUdp4500, withNonEspMarker } from '../wire/index.js';
import {
  type Datagram,
  NAT_TRAVERSAL_PORT,
  type Transport,
  type TransportCounter,
  zeroCounters,
} from './transport.js';

/** Sees each datagram as it is on the wire; answering false loses it. */
export type MemoryTap = (from: Endpoint, to: Endpoint, data: Uint8Array) => boolean;

export class MemoryNetwork {
  readonly #transports = new Map<string, MemoryTransport>();
  readonly #tap: MemoryTap;

  constructor(tap: MemoryTap = () => true) {
    this.#tap = tap;
  }

  transport(): Transport {
    return new MemoryTransport(this);
  }

  attach(address: string, transport: MemoryTransport): void {
    if (this.#transports.has(address)) throw new Error(`${address} is taken in this network`);
    this.#transports.set(address, transport);
  }

  /** Of one address, or of all that the transport has. */
  detach(transport: MemoryTransport, only?: string): void {
    for (const [address, one] of this.#transports) {
      if (one === transport && (only ?? address) === address) this.#transports.delete(address);
    }
  }

  carry(from: Endpoint, to: Endpoint, data: Uint8Array): void {
    if (!this.#tap(from, to, data)) return;
    setImmediate(() => this.#transports.get(to.address)?.receive(to, from, data));
  }
}

class MemoryTransport implements Transport {
  readonly spiKey = new Uint8Array(32);
  readonly #network: MemoryNetwork;
  readonly #counters = zeroCounters();
  readonly #addresses = new Set<string>();
  #listener: (datagram: Datagram) => void = () => {};

  constructor(network: MemoryNetwork) {
    this.#network = network;
  }

  onDatagram(listener: (datagram: Datagram) => void): void {
    this.#listener = listener;
  }

  async open(addresses: readonly string[]): Promise<void> {
    for (const address of addresses) {
      if (this.#addresses.has(address)) continue;
      this.#network.attach(address, this);
      this.#addresses.add(address);
    }
    for (const address of this.#addresses) {
      if (addresses.includes(address)) continue;
      this.#network.detach(this, address);
      this.#addresses.delete(address);
    }
  }

  refresh(): void {}

  /** Nobody in this process forges addresses. */
  demandCookies(): void {}

  send(local: Endpoint, remote: Endpoint, marker: boolean, data: Uint8Array): void {
    if (!this.#addresses.has(local.address)) {
      this.#counters['no-socket']++;
      return;
    }
    this.#counters.sent++;
    this.#network.carry(local, remote, marker ? withNonEspMarker(data) : data.slice());
  }

  receive(local: Endpoint, remote: Endpoint, data: Uint8Array): void {
    const content =
      local.port === NAT_TRAVERSAL_PORT ? classifyUdp4500(data) : ({ type: 'ike', data } as const);
    if (content.type === 'ike') {
      this.#counters.received++;
      this.#listener({ local, remote, data: content.data });
      return;
    }
    const counter = { keepalive: 'keepalives', esp: 'esp-in-udp', nothing: 'short' } as const;
    this.#counters[counter[content.type]]++;
  }

  missing(): readonly string[] {
    return [];
  }

  counters(): Readonly<Record<TransportCounter, number>> {
    return { ...this.#counters };
  }

  async close(): Promise<void> {
    this.#addresses.clear();
    this.#network.detach(this);
  }
}
