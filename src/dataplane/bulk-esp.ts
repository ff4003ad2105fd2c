/**
 * Bulk ESP as a library: a Security Association Database and the transforms of the dataplane on
 * batches of packets in the caller's memory, without ports, policies or threads (RFC 4301 §4.4.2,
 * RFC 4303). For tests, tools and other programs.
 *
 * Left to the caller: which packets are protected by which SA (the SPD), TTL, MTU, and where
 * packets go.
 */
import type { ChildSa, ChildSaCounters, EspSpi, Sad } from '../sad/sad.js';
import { addon, type NativeBulkEsp } from './addon.js';
import { asSadFull } from './native.js';
import type { PacketBatch } from './packet-batch.js';

/** A Sad whose caller chooses the pair that sends, so that there is none to prefer or to retire. */
export class BulkEsp implements Omit<Sad, 'prefer' | 'retire' | 'move'> {
  readonly #native: NativeBulkEsp;

  private constructor(native: NativeBulkEsp) {
    this.#native = native;
  }

  /**
   * Makes a SAD.
   * @param options.maxChildSas  most SA pairs at once, 1 to 1,048,576
   */
  static create(options: { readonly maxChildSas: number }): BulkEsp {
    return new BulkEsp(new addon.BulkEsp(options));
  }

  /**
   * Shares a SAD with another thread of this process: any thread may send and receive on any SA.
   * Throws where every thread that had it has closed it.
   */
  static attach(id: number): BulkEsp {
    return new BulkEsp(new addon.BulkEsp(id));
  }

  /** Process-wide number for `attach`. */
  get id(): number {
    return this.#native.id;
  }

  allocateSpi(): EspSpi {
    try {
      return this.#native.allocateSpi() as EspSpi;
    } catch (error) {
      throw asSadFull(error);
    }
  }

  releaseSpi(spi: EspSpi): void {
    this.#native.releaseSpi(spi);
  }

  /** Installs a pair. `policy` and the selectors' ports matter to inbound packets only. */
  install(sa: ChildSa): void {
    this.#native.install({
      ...sa,
      inboundKey: sa.inboundKey.bytes,
      outboundKey: sa.outboundKey.bytes,
    });
  }

  remove(inboundSpi: EspSpi): void {
    this.#native.remove(inboundSpi);
  }

  counters(inboundSpi: EspSpi): ChildSaCounters | undefined {
    return this.#native.counters(inboundSpi);
  }

  /**
   * Encapsulates and encrypts every packet of the batch in place, on the pair that `batch.pair`
   * names. Runs on the calling thread.
   *
   * Before: IP packets. After: `offset` and `length` of the outer packets, `verdict` 0; or a
   * verdict such as `no_sa`, `no_headroom` or `sequence_exhausted`, with the packet as it was.
   * @returns packets that went through
   * @throws TypeError, RangeError where the batch itself is not well-formed; then nothing is done
   */
  outbound(batch: PacketBatch): number {
    return this.#native.outbound(batch);
  }

  /**
   * Authenticates, decrypts and decapsulates every packet of the batch in place. The SA is found
   * by the SPI, which is left in `batch.pair`; ESP in UDP port 4500 is taken as well (RFC 3948).
   *
   * Before: outer IP packets. After: `offset` and `length` of the inner packets, `verdict` 0; or a
   * verdict such as `replay_duplicate`, `icv_bad` or `unknown_spi`: the bytes are then no longer
   * usable.
   * @returns packets that went through
   * @throws TypeError, RangeError where the batch itself is not well-formed; then nothing is done
   */
  inbound(batch: PacketBatch): number {
    return this.#native.inbound(batch);
  }

  /** Lets go of the SAD. The last thread to do so wipes its keys. Idempotent. */
  close(): void {
    this.#native.close();
  }
}
