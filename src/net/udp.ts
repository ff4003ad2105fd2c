/**
 * UDP sockets for IKE (RFC 7296 §2.23, RFC 3948): a pair, port 500 and 4500, for each local
 * address, which tells where a datagram was sent to. One thread opens and reads them, every thread
 * sends by them (udp-sender.ts).
 *
 * An address that is not there yet is tried again every two seconds, and at once after
 * `refresh()`. A socket outlives its address: Linux looks sockets up by the address of each
 * datagram, so it works again when the address returns.
 *
 * Left out: NAT keepalives to the peer (RFC 3948 §4).
 */
import { randomBytes } from 'node:crypto';
import { addon, type NativeIkeSockets } from '../dataplane/addon.js';
import type { Endpoint } from '../sad/sad.js';
import { type Datagram, IKE_PORT, NAT_TRAVERSAL_PORT, type Transport } from './transport.js';
import { UdpSender } from './udp-sender.js';

const RETRY_MS = 2_000;

export interface UdpOptions {
  /** The address is not there, or is there now. */
  readonly onAddress?: (address: string, present: boolean) => void;
  /** In place of 500 and 4500, for tests that may not bind these. */
  readonly ports?: readonly [ike: number, natTraversal: number];
}

export class UdpTransport implements Transport {
  readonly spiKey = randomBytes(32);
  readonly #onAddress: (address: string, present: boolean) => void;
  readonly #ports: readonly [number, number];
  #received = 0;
  readonly #native: NativeIkeSockets;
  readonly #sender: UdpSender;
  /** Open sockets by `address port`, and where each is. */
  readonly #sockets = new Map<string, number>();
  readonly #places = new Map<number, Endpoint>();
  /** Those to listen on, and those among them that are not there. */
  readonly #addresses = new Set<string>();
  readonly #missing = new Set<string>();
  #listener: (datagram: Datagram) => void = () => {};
  #retry: NodeJS.Timeout | undefined;

  constructor(options: UdpOptions = {}) {
    this.#onAddress = options.onAddress ?? (() => {});
    this.#ports = options.ports ?? [IKE_PORT, NAT_TRAVERSAL_PORT];
    this.#native = new addon.IkeSockets(this.spiKey, (socket, address, port, data, proved) => {
      this.#received++;
      this.#listener({ local: this.#places.get(socket)!, remote: { address, port }, data, proved });
    });
    this.#sender = new UdpSender(this.#native.id);
  }

  get senderId(): number {
    return this.#native.id;
  }

  onDatagram(listener: (datagram: Datagram) => void): void {
    this.#listener = listener;
  }

  async open(addresses: readonly string[]): Promise<void> {
    const before = new Set(this.#addresses);
    const fresh = addresses.filter((address) => !before.has(address));
    try {
      for (const address of fresh) {
        this.#addresses.add(address);
        if (this.#openAddress(address)) continue;
        this.#missing.add(address);
        this.#onAddress(address, false);
      }
    } catch (error) {
      this.#leave(fresh);
      throw error;
    }
    this.#leave([...before].filter((address) => !addresses.includes(address)));
    this.#retry ??= setInterval(() => this.refresh(), RETRY_MS).unref();
  }

  /** Listens on these no longer. */
  #leave(addresses: readonly string[]): void {
    for (const address of addresses) {
      this.#addresses.delete(address);
      this.#missing.delete(address);
      for (const port of this.#ports) this.#closeSocket({ address, port });
    }
  }

  demandCookies(on: boolean): void {
    this.#native.demandCookies(on);
  }

  refresh(): void {
    for (const address of [...this.#missing]) {
      if (!this.#openIfFree(address)) continue;
      this.#missing.delete(address);
      this.#onAddress(address, true);
    }
  }

  /** A port that is taken by now stays missing; it was told of at the start. */
  #openIfFree(address: string): boolean {
    try {
      return this.#openAddress(address);
    } catch {
      return false;
    }
  }

  send(local: Endpoint, remote: Endpoint, marker: boolean, data: Uint8Array, whole = false): void {
    this.#sender.send(local, remote, marker, data, whole);
  }

  missing(): readonly string[] {
    return [...this.#missing];
  }

  counters() {
    const { sendErrors, noSocket, cookiesDemanded, espInUdp, ...others } = this.#native.counters();
    return {
      ...{ ...others, received: this.#received, 'esp-in-udp': espInUdp },
      ...{ 'send-errors': sendErrors, 'no-socket': noSocket, 'cookies-demanded': cookiesDemanded },
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#retry);
    this.#leave([...this.#addresses]);
  }

  /** Opens both ports or none; false where the address is not there. */
  #openAddress(address: string): boolean {
    const places = this.#ports.map((port) => ({ address, port }));
    try {
      for (const place of places) {
        const { id } = this.#native.open(address, place.port, place.port === this.#ports[1]);
        this.#sockets.set(keyOf(place), id);
        this.#places.set(id, place);
      }
      return true;
    } catch (error) {
      for (const place of places) this.#closeSocket(place);
      if ((error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') return false;
      throw explain(error as NodeJS.ErrnoException, address);
    }
  }

  #closeSocket(place: Endpoint): void {
    const socket = this.#sockets.get(keyOf(place));
    if (socket === undefined) return;
    this.#native.close(socket);
    this.#sockets.delete(keyOf(place));
    this.#places.delete(socket);
  }
}

function keyOf({ address, port }: Endpoint): string {
  return `${address} ${port}`;
}

function explain(error: NodeJS.ErrnoException, address: string): Error {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'is taken: does another IKE daemon run?',
    EACCES: 'may not be opened: run as root or with CAP_NET_BIND_SERVICE',
  };
  const reason = reasons[error.code ?? ''] ?? error.message;
  return new Error(`UDP port 500 or 4500 of ${address} ${reason}`, { cause: error });
}
