/**
 * A wire of Ethernet frames between this process and the network card of a User Mode Linux guest:
 * L2TPv3 over UDP on the loopback (RFC 3931 §4.1.2), which UML's card speaks by itself. So a test
 * needs neither a namespace nor a device.
 */
import { createSocket, type Socket } from 'node:dgram';

const OUR_ADDRESS = '127.0.0.1';
const GUEST_ADDRESS = '127.0.0.2';
/** Session IDs, by who receives. */
const OURS = 2;
const GUESTS = 1;
/** Version 3, a data message; then the session ID. No cookie. */
const HEADER_BYTES = 8;
const VERSION = 0x0003_0000;

export class GuestWire {
  /** The guest's MAC address. */
  readonly mac = '02:00:00:00:00:fe';
  #listener: (frame: Uint8Array) => void = () => {};
  readonly #socket: Socket;
  readonly #port: number;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#port = socket.address().port;
    socket.on('message', (datagram) => {
      if (datagram.length > HEADER_BYTES && datagram.readUInt32BE(4) === OURS)
        this.#listener(datagram.subarray(HEADER_BYTES));
    });
  }

  static async open(): Promise<GuestWire> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, OUR_ADDRESS, resolve);
    });
    return new GuestWire(socket);
  }

  /** What User Mode Linux is told about its card. */
  get card(): string {
    const ports = `srcport=${this.#port},dstport=${this.#port}`;
    const addresses = `src=${GUEST_ADDRESS},dst=${OUR_ADDRESS}`;
    const sessions = `rx_session=${GUESTS},tx_session=${OURS}`;
    return `vec0:transport=l2tpv3,udp=1,${addresses},${ports},${sessions},depth=128,mac=${this.mac}`;
  }

  /** One listener; a second replaces the first. */
  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#listener = listener;
  }

  send(frame: Uint8Array): void {
    const datagram = Buffer.alloc(HEADER_BYTES + frame.length);
    datagram.writeUInt32BE(VERSION);
    datagram.writeUInt32BE(GUESTS, 4);
    datagram.set(frame, HEADER_BYTES);
    this.#socket.send(datagram, this.#port, GUEST_ADDRESS);
  }

  close(): void {
    this.#socket.close();
  }
}
