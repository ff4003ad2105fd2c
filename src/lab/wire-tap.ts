/**
 * Counts what crosses a wire, by class, in a native thread (native/port/packet/tap.h). It watches
 * from the namespace that bridges two gateways: taps at their own interfaces see neither what
 * AF_XDP sends nor what XDP redirects.
 */
import { addon, type NativeWireTap, type TapCounts } from '../dataplane/addon.js';

export type { TapCounts };

export class WireTap {
  readonly #native: NativeWireTap;

  /**
   * Starts to count each frame once, as it enters one of the interfaces of this namespace.
   *
   * @param interfaces the ports of the bridge
   * @param networks what must not be seen in clear: prefixes such as `10.1.0.0/16`
   * @throws where an interface or a privilege (CAP_NET_RAW) is missing; a TypeError for text that
   *   is no prefix
   */
  constructor(interfaces: readonly string[], networks: readonly string[]) {
    this.#native = new addon.WireTap(interfaces, networks);
  }

  /** Counts so far, at most some 20 ms behind the wire. */
  counts(): TapCounts {
    return this.#native.counts();
  }

  /** Ends the tap once what has arrived until now is counted. Blocks for some 20 ms. */
  stop(): TapCounts {
    return this.#native.stop();
  }
}
