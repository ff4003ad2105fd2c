/**
 * Sends by the sockets of a UdpTransport, in whichever thread of its process. What cannot be sent is
 * counted there: IKE retransmits what is lost.
 */
import { addon, type NativeIkeSender } from '../dataplane/addon.js';
import type { Endpoint } from '../sad/sad.js';

export class UdpSender {
  readonly #native: NativeIkeSender;

  /** @param id  the transport's `senderId` */
  constructor(id: number) {
    this.#native = new addon.IkeSender(id);
  }

  /** As `Transport.send`. */
  send(local: Endpoint, remote: Endpoint, marker: boolean, data: Uint8Array, whole = false): void {
    const { address, port } = remote;
    this.#native.send(local.address, local.port, address, port, marker, data, whole);
  }
}
