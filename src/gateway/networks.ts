/**
 * What the ports take from the kernel, and what of this host's own traffic: it follows the host's
 * addresses, and the SPD.
 */
import type { Dataplane, SpdEntry } from '../dataplane/dataplane.js';
import type { HostRoutes } from '../net/host-routes.js';
import { selectorPrefixes } from '../net/prefixes.js';
import type { Transport } from '../net/transport.js';

export interface NetworksParts {
  readonly dataplane: Pick<Dataplane, 'setNetworks'>;
  readonly transport: Pick<Transport, 'refresh'>;
  readonly hostRoutes: HostRoutes;
  /** All addresses of this host. */
  readonly localAddresses: () => readonly string[];
  /** Is told of them when they have changed. */
  readonly onAddresses?: (present: readonly string[]) => void;
}

export class Networks {
  readonly #parts: NetworksParts;
  #spd: readonly SpdEntry[];
  #addresses: readonly string[] = [];
  #takesOwn = false;

  /** Tells the dataplane for the first time. */
  constructor(parts: NetworksParts, spd: readonly SpdEntry[]) {
    this.#parts = parts;
    this.#spd = spd;
    this.#addresses = this.#read();
    this.#tell();
  }

  /** The addresses may have changed: what is new is taken, and the transport looks again. */
  follow(): void {
    const now = this.#read();
    if (now.join(' ') === this.#addresses.join(' ')) return;
    this.#addresses = now;
    this.#tell();
    this.#parts.transport.refresh();
    this.#parts.onAddresses?.(now);
  }

  /** What is protected has changed; the dataplane knows this SPD already. */
  protect(spd: readonly SpdEntry[]): void {
    this.#spd = spd;
    this.#tell();
  }

  /** The gateway's TUN is there: from now on what this host sends is led into it. */
  takeOwn(): void {
    this.#takesOwn = true;
    this.#leadOwn();
  }

  #read(): string[] {
    return [...new Set(this.#parts.localAddresses())].sort();
  }

  #tell(): void {
    const { local, remote: remoteProtected } = protectedBy(this.#spd);
    const localAddresses = this.#addresses;
    // In transport mode it is we who are protected, and others may speak to us in clear: the guard
    // tells them from the peer.
    const ourselves = new Set(
      localAddresses.map((one) => `${one}/${one.includes(':') ? 128 : 32}`),
    );
    const localProtected = local.filter((prefix) => !ourselves.has(prefix));
    this.#parts.dataplane.setNetworks({ localAddresses, localProtected, remoteProtected });
    this.#leadOwn();
  }

  #leadOwn(): void {
    if (this.#takesOwn) this.#parts.hostRoutes.lead(this.#spd, this.#addresses);
  }
}

function protectedBy(spd: readonly SpdEntry[]) {
  const prefixes = (key: 'localSelectors' | 'remoteSelectors') => {
    const selectors = spd
      .filter(({ action, interface: name }) => action === 'protect' && name === undefined)
      .flatMap((one) => one[key]);
    return [...new Set(selectors.flatMap(selectorPrefixes))];
  };
  return { local: prefixes('localSelectors'), remote: prefixes('remoteSelectors') };
}
