/**
 * UDP sockets for IKE (RFC 7296 §2.23, RFC 3948): a pair, port 500 and 4500, for each local
 * address, since Node does not tell which address a datagram was sent to.
 *
 * An address that is not there yet is tried again every two seconds, and at once after
 * `refresh()`. A socket outlives its address: Linux looks sockets up by the address of each
 * datagram, so it works again when the address returns.
 *
 * Left out: NAT keepalives to the peer (RFC 3948 §4).
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import type { Endpoint } from '../sad/sad.js';
import { classifyUdp4500, withNonEspMarker } from '../wire/index.js';
import {
  type Datagram,
  IKE_PORT,
  NAT_TRAVERSAL_PORT,
  type Transport,
  zeroCounters,
} from './transport.js';

const RETRY_MS = 2_000;

/** Room for a burst of IKE_SA_INIT requests while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 1 << 20;

export interface UdpOptions {
  /** The address is not there, or is there now. */
  readonly onAddress?: (address: string, present: boolean) => void;
  /** In place of 500 and 4500, for tests that may not bind these. */
  readonly ports?: readonly [ike: number, natTraversal: number];
}

export class UdpTransport implements Transport {
  readonly #onAddress: (address: string, present: boolean) => void;
  readonly #ports: readonly [number, number];
  readonly #counters = zeroCounters();
  /** Open sockets by `address port`. */
  readonly #sockets = new Map<string, Socket>();
  /** Those to listen on, and those among them that are not there. */
  readonly #addresses = new Set<string>();
  readonly #missing = new Set<string>();
  #listener: (datagram: Datagram) => void = () => {};
  #retry: NodeJS.Timeout | undefined;
  #retrying = false;
  #closed = false;

  constructor(options: UdpOptions = {}) {
    this.#onAddress = options.onAddress ?? (() => {});
    this.#ports = options.ports ?? [IKE_PORT, NAT_TRAVERSAL_PORT];
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
        if (await this.#openAddress(address)) continue;
        this.#missing.add(address);
        this.#onAddress(address, false);
      }
    } catch (error) {
      await this.#leave(fresh);
      throw error;
    }
    await this.#leave([...before].filter((address) => !addresses.includes(address)));
    this.#retry ??= setInterval(() => this.refresh(), RETRY_MS).unref();
  }

  /** Listens on these no longer. */
  async #leave(addresses: readonly string[]): Promise<void> {
    const gone: Socket[] = [];
    for (const address of addresses) {
      this.#addresses.delete(address);
      this.#missing.delete(address);
      for (const port of this.#ports) {
        const socket = this.#sockets.get(`${address} ${port}`);
        if (socket !== undefined) gone.push(socket);
        this.#sockets.delete(`${address} ${port}`);
      }
    }
    await Promise.all(gone.map(closeSocket));
  }

  refresh(): void {
    if (this.#missing.size === 0 || this.#retrying) return;
    this.#retrying = true;
    void this.#openMissing().finally(() => {
      this.#retrying = false;
    });
  }

  send(local: Endpoint, remote: Endpoint, marker: boolean, data: Uint8Array): void {
    const socket = this.#sockets.get(`${local.address} ${local.port}`);
    if (socket === undefined) {
      this.#counters['no-socket']++;
      return;
    }
    const bytes = marker ? withNonEspMarker(data) : data;
    // Of the outcome only a number is kept: IKE retransmits what is lost.
    socket.send(bytes, remote.port, remote.address, (error) => {
      if (error === null) this.#counters.sent++;
      else this.#counters['send-errors']++;
    });
  }

  missing(): readonly string[] {
    return [...this.#missing];
  }

  counters() {
    return { ...this.#counters };
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#retry);
    const sockets = [...this.#sockets.values()];
    this.#sockets.clear();
    await Promise.all(sockets.map(closeSocket));
  }

  async #openMissing(): Promise<void> {
    for (const address of [...this.#missing]) {
      // A port that is taken by now stays missing; it was told of at the start.
      const opened = await this.#openAddress(address).catch(() => false);
      if (!opened || this.#closed) continue;
      this.#missing.delete(address);
      this.#onAddress(address, true);
    }
  }

  /** Opens both ports or none; false where the address is not there. */
  async #openAddress(address: string): Promise<boolean> {
    const opened: [string, Socket][] = [];
    try {
      for (const port of this.#ports) {
        const socket = await bindSocket(address, port);
        opened.push([`${address} ${port}`, socket]);
      }
    } catch (error) {
      await Promise.all(opened.map(([, socket]) => closeSocket(socket)));
      if ((error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') return false;
      throw explain(error as NodeJS.ErrnoException, address);
    }
    if (this.#closed || !this.#addresses.has(address)) {
      await Promise.all(opened.map(([, socket]) => closeSocket(socket)));
      return false;
    }
    for (const [key, socket] of opened) {
      this.#sockets.set(key, socket);
      const local = { address, port: socket.address().port };
      socket.on('message', (data, remote) => this.#receive(local, remote, data));
      // Errors of earlier sends, such as ECONNREFUSED from an ICMP message.
      socket.on('error', () => this.#counters['send-errors']++);
    }
    return true;
  }

  #receive(local: Endpoint, { address, port }: RemoteInfo, data: Uint8Array): void {
    const remote = { address: withoutZone(address), port };
    if (local.port !== this.#ports[1]) {
      this.#deliver({ local, remote, data });
      return;
    }
    const content = classifyUdp4500(data);
    switch (content.type) {
      case 'ike':
        this.#deliver({ local, remote, data: content.data });
        break;
      case 'keepalive':
        this.#counters.keepalives++;
        break;
      case 'esp':
        this.#counters['esp-in-udp']++;
        break;
      case 'nothing':
        this.#counters.short++;
    }
  }

  #deliver(datagram: Datagram): void {
    this.#counters.received++;
    this.#listener(datagram);
  }
}

/** Node appends the interface to a link-local address. */
function withoutZone(address: string): string {
  const percent = address.indexOf('%');
  return percent < 0 ? address : address.slice(0, percent);
}

function bindSocket(address: string, port: number): Promise<Socket> {
  const type = isIPv4(address) ? 'udp4' : 'udp6';
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.close();
      reject(error);
    };
    socket.once('error', fail);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', fail);
      socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
      resolve(socket);
    });
  });
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}

function explain(error: NodeJS.ErrnoException, address: string): Error {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'is taken: does another IKE daemon run?',
    EACCES: 'may not be opened: run as root or with CAP_NET_BIND_SERVICE',
  };
  const reason = reasons[error.code ?? ''] ?? error.message;
  return new Error(`UDP port 500 or 4500 of ${address} ${reason}`, { cause: error });
}
