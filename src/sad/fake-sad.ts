/** A Sad in memory: for tests and simulations of IKE, where no packet flows. */
import {
  type ChildSa,
  type ChildSaCounters,
  type Endpoint,
  type EspSpi,
  type Sad,
  SadFullError,
} from './sad.js';

/** What is kept of an installed pair: everything, with copies of the keys to compare. */
export interface FakeChildSa extends ChildSa {
  readonly inboundKeyBytes: Uint8Array;
  readonly outboundKeyBytes: Uint8Array;
}

const NO_TRAFFIC: ChildSaCounters = {
  inPackets: 0n,
  inBytes: 0n,
  outPackets: 0n,
  outBytes: 0n,
  inDrops: {},
  outSequence: 1n,
  inSequence: 0n,
  inLost: 0n,
  pathMtu: 0,
  innerMtu: 0,
};

export class FakeSad implements Sad {
  readonly #capacity: number;
  readonly #reserved = new Set<EspSpi>();
  readonly #installed = new Map<EspSpi, FakeChildSa>();
  /** The inbound SPIs of each policy's pairs, in the order in which they send. */
  readonly #order = new Map<string, readonly EspSpi[]>();
  #next: number;

  /** @param firstSpi SPIs are handed out in sequence from here, so that a session replays */
  constructor(capacity = 65536, firstSpi = 0x1000) {
    this.#capacity = capacity;
    this.#next = firstSpi;
  }

  /** The pairs that are installed, by inbound SPI. */
  get installed(): ReadonlyMap<EspSpi, FakeChildSa> {
    return this.#installed;
  }

  /** SPIs handed out under which nothing was installed yet. */
  get reserved(): ReadonlySet<EspSpi> {
    return this.#reserved;
  }

  allocateSpi(): EspSpi {
    if (this.#reserved.size + this.#installed.size >= this.#capacity) {
      throw new SadFullError(`the SAD is full: ${this.#capacity} Child SAs`);
    }
    const spi = this.#next++ as EspSpi;
    this.#reserved.add(spi);
    return spi;
  }

  releaseSpi(spi: EspSpi): void {
    this.#reserved.delete(spi);
  }

  install(sa: ChildSa, standby = false): void {
    if (!this.#reserved.delete(sa.inboundSpi)) {
      throw new TypeError(`inboundSpi: ${sa.inboundSpi} was not allocated, or is installed`);
    }
    this.#installed.set(sa.inboundSpi, {
      ...sa,
      inboundKeyBytes: new Uint8Array(sa.inboundKey.bytes),
      outboundKeyBytes: new Uint8Array(sa.outboundKey.bytes),
    });
    const { inboundSpi, policy } = sa;
    const before = this.#order.get(policy) ?? [];
    this.#order.set(policy, standby ? [...before, inboundSpi] : [inboundSpi, ...before]);
  }

  prefer(inboundSpi: EspSpi): void {
    const policy = this.#installed.get(inboundSpi)?.policy;
    const before = (policy !== undefined && this.#order.get(policy)) || [];
    if (policy === undefined || !before.includes(inboundSpi)) return;
    this.#order.set(policy, [inboundSpi, ...before.filter((spi) => spi !== inboundSpi)]);
  }

  retire(inboundSpi: EspSpi): void {
    const policy = this.#installed.get(inboundSpi)?.policy;
    const before = policy === undefined ? undefined : this.#order.get(policy);
    if (policy === undefined || before === undefined) return;
    this.#order.set(
      policy,
      before.filter((spi) => spi !== inboundSpi),
    );
  }

  /** The pairs of a policy that may be sent on, the one that goes first at the front. */
  outbound(policy: string): readonly EspSpi[] {
    return this.#order.get(policy) ?? [];
  }

  move(inboundSpi: EspSpi, local: Endpoint, remote: Endpoint): boolean {
    const sa = this.#installed.get(inboundSpi);
    if (sa === undefined) return false;
    if (sa.mode === 'transport') throw new TypeError("in transport mode the ends are the packets'");
    this.#installed.set(inboundSpi, { ...sa, local, remote });
    return true;
  }

  remove(inboundSpi: EspSpi): void {
    this.retire(inboundSpi);
    this.#installed.delete(inboundSpi);
  }

  counters(inboundSpi: EspSpi): ChildSaCounters | undefined {
    return this.#installed.has(inboundSpi) ? NO_TRAFFIC : undefined;
  }
}
