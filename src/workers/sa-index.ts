/**
 * The established IKE SAs of all workers, by local SPI: for INITIAL_CONTACT (RFC 7296 §2.4) and
 * to find the worker that holds a connection.
 */
import { ChurnMap } from '../churn-map.js';
import type { IkeSpi, Milliseconds } from '../ike/event.js';

export interface IndexedSa {
  readonly ikeSpi: IkeSpi;
  readonly shard: number;
  readonly connection: string;
  readonly peerIdentity: string;
  /** When its IKE_SA_INIT began, and when it was established. */
  readonly begunAt: Milliseconds;
  readonly establishedAt: Milliseconds;
}

export class SaIndex {
  readonly #sas = new ChurnMap<IkeSpi, IndexedSa>();
  /** Those of each connection, oldest first. */
  readonly #byConnection = new ChurnMap<string, Map<IkeSpi, IndexedSa>>();

  get size(): number {
    return this.#sas.size;
  }

  /**
   * Adds an SA and answers those that it supersedes, oldest first. They stay in the index until
   * they are closed. A connection names our identity; two connections with one peer do not end each
   * other's SAs.
   *
   * INITIAL_CONTACT says that the peer knows of no other SA between these identities. It means
   * those that were there when this one began: where both sides initiate at once, each sends
   * INITIAL_CONTACT, and dropping the other's SA would leave none.
   */
  add(sa: IndexedSa, initialContact: boolean): IndexedSa[] {
    const superseded = initialContact
      ? this.ofConnection(sa.connection).filter(
          ({ peerIdentity, establishedAt }) =>
            peerIdentity === sa.peerIdentity && establishedAt < sa.begunAt,
        )
      : [];
    this.#put(sa);
    return superseded;
  }

  #put(sa: IndexedSa): void {
    const { ikeSpi, connection } = sa;
    this.#sas.set(ikeSpi, sa);
    const others = this.#byConnection.get(connection);
    if (others === undefined) this.#byConnection.set(connection, new Map([[ikeSpi, sa]]));
    else others.set(ikeSpi, sa);
  }

  /** The same IKE SA under new keys and another SPI (RFC 7296 §2.18); false: it is not known. */
  rekey(before: IkeSpi, ikeSpi: IkeSpi): boolean {
    const sa = this.remove(before);
    if (sa !== undefined) this.#put({ ...sa, ikeSpi });
    return sa !== undefined;
  }

  remove(ikeSpi: IkeSpi): IndexedSa | undefined {
    const sa = this.#sas.get(ikeSpi);
    if (sa === undefined) return undefined;
    this.#sas.delete(ikeSpi);
    const others = this.#byConnection.get(sa.connection)!;
    others.delete(ikeSpi);
    if (others.size === 0) this.#byConnection.delete(sa.connection);
    return sa;
  }

  /** The SAs of a connection, oldest first. */
  ofConnection(name: string): IndexedSa[] {
    return [...(this.#byConnection.get(name)?.values() ?? [])];
  }

  /** Forgets what a worker that died had. */
  removeShard(shard: number): IndexedSa[] {
    const gone = [...this.#sas.values()].filter((sa) => sa.shard === shard);
    for (const { ikeSpi } of gone) this.remove(ikeSpi);
    return gone;
  }
}
