/** IKE over Ethernet frames in a test's hands: UDP over IPv4, ports 500 and 4500. */
import {
  type Datagram,
  IKE_PORT,
  NAT_TRAVERSAL_PORT,
  type Transport,
  zeroCounters,
} from '../../../src/net/transport.js';
import { classifyUdp4500, formatAddress, withNonEspMarker } from '../../../src/wire/index.js';
import { frame, ipPacket, udp } from '../../unit/dataplane/packets.js';

const ETHERNET_BYTES = 14;
const UDP = 17;

export class FrameTransport implements Transport {
  readonly spiKey = new Uint8Array(32);
  readonly #send: (frame: Uint8Array) => void;
  #listener: (datagram: Datagram) => void = () => {};

  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send;
  }

  onDatagram(listener: (datagram: Datagram) => void): void {
    this.#listener = listener;
  }

  send(local: Datagram['local'], remote: Datagram['remote'], marker: boolean, data: Uint8Array) {
    const addresses = { source: local.address, destination: remote.address };
    const payload = marker ? withNonEspMarker(data) : data;
    const datagram = udp(addresses, [local.port, remote.port], payload);
    const sent = frame(ipPacket({ ...addresses, protocol: UDP, payload: datagram }));
    // From us, not to us.
    const [to, from] = [sent.slice(0, 6), sent.slice(6, 12)];
    sent.set(from);
    sent.set(to, 6);
    this.#send(sent);
  }

  /** Takes a frame if it is IKE; else it is for the dataplane. */
  receive(received: Uint8Array): boolean {
    const bytes = Buffer.from(received.buffer, received.byteOffset, received.length);
    if (bytes.readUInt16BE(12) !== 0x0800 || bytes[ETHERNET_BYTES + 9] !== UDP) return false;
    const ip = bytes.subarray(ETHERNET_BYTES);
    const header = (ip[0]! & 15) * 4;
    const [from, to] = [ip.readUInt16BE(header), ip.readUInt16BE(header + 2)];
    const payload = ip.subarray(header + 8, header + ip.readUInt16BE(header + 4));
    const content =
      to === NAT_TRAVERSAL_PORT
        ? classifyUdp4500(payload)
        : ({ type: 'ike', data: payload } as const);
    if ((to !== IKE_PORT && to !== NAT_TRAVERSAL_PORT) || content.type !== 'ike') return false;
    this.#listener({
      local: { address: formatAddress(ip.subarray(16, 20)), port: to },
      remote: { address: formatAddress(ip.subarray(12, 16)), port: from },
      data: new Uint8Array(content.data),
    });
    return true;
  }

  async open(): Promise<void> {}
  refresh(): void {}

  demandCookies(): void {}
  missing(): readonly string[] {
    return [];
  }
  counters() {
    return zeroCounters();
  }
  async close(): Promise<void> {}
}
