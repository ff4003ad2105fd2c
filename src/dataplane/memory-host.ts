/**
 * A host at the far end of a memory port, in JavaScript's hands: for tests and for the lab that
 * runs without privileges. Frames are whole Ethernet frames; on a `reinjectLink` they are IP
 * packets.
 */
import { addon, type NativeMemoryHost } from './addon.js';

export class MemoryHost {
  readonly #native: NativeMemoryHost;

  /** @param queues as many as the port at the other end has */
  constructor(link: string, queues = 1) {
    this.#native = new addon.MemoryHost(link, queues);
  }

  /** Sends copies. Returns how many the wire took, from the front: a full wire takes no more. */
  send(frames: readonly Uint8Array[], queue = 0): number {
    return this.#native.send(frames, queue);
  }

  /** Everything that has arrived on a queue since the last call. */
  receive(queue = 0): Uint8Array[] {
    return this.#native.receive(queue);
  }

  /** Gives up this end; the link can be opened again. */
  close(): void {
    this.#native.close();
  }
}
