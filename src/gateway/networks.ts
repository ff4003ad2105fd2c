/** What the ports take from the kernel: it follows this host's addresses, and the SPD. */
import type { Dataplane, SpdEntry } from '../dataplane/dataplane.js';
import { selectorPrefixes } from '../net/prefixes.js';
import type { Transport } from '../net/transport.js';

export interface NetworksParts {
  readonly dataplane: Pick<Dataplane, 'setNetworks'>;
  readonly transport: Pick<Transport, 'refresh'>;
  /** All addresses of this host. */
  readonly localAddresses: () => readonly string[];
  /** Is told of them when they have changed. */
  readonly onAddresses?: (present: readonly string[]) => void;
}

export class Networks {
  readonly #parts: NetworksParts;
  #protected: { readonly local: string[]; readonly remote: string[] };
  #addresses: readonly string[] = [];

  /** Tells the dataplane for the first time. */
  constructor(parts: NetworksParts, spd: readonly SpdEntry[]) {
    this.#parts = parts;
    this.#protected = protectedBy(spd);
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
    this.#protected = protectedBy(spd);
    this.#tell();
  }

  #read(): string[] {
    return [...new Set(this.#parts.localAddresses())].sort();
  }

  #tell(): void {
    const { local: localProtected, remote: remoteProtected } = this.#protected;
    const localAddresses = this.#addresses;
    this.#parts.dataplane.setNetworks({ localAddresses, localProtected, remoteProtected });
  }
}

function protectedBy(spd: readonly SpdEntry[]) {
  const prefixes = (key: 'localSelectors' | 'remoteSelectors') => {
    const selectors = spd.filter(({ action }) => action === 'protect').flatMap((one) => one[key]);
    return [...new Set(selectors.flatMap(selectorPrefixes))];
  };
  return { local: prefixes('localSelectors'), remote: prefixes('remoteSelectors') };
}
