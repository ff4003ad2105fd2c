/**
 * The established IKE SAs of all workers, by local SPI: for INITIAL_CONTACT (RFC 7296 §2.4) and
 * to find the worker that holds a connection.
 */
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
  readonly #sas = new Map<IkeSpi, IndexedSa>();

  get size(): number {
    return this.#sas.size;
  }

  /**
   * Adds an SA and answers those that it supersedes, oldest first. They stay in the index until
   * they are closed.
   *
   * INITIAL_CONTACT says that the peer knows of no other SA between these identities. It means
   * those that were there when this one began: where both sides initiate at once, each sends
   * INITIAL_CONTACT, and dropping the other's SA would leave none.
   */
  add(sa: IndexedSa, initialContact: boolean): IndexedSa[] {
    const superseded = initialContact
      ? [...this.#sas.values()].filter(
          (other) => samePeer(other, sa) && other.establishedAt < sa.begunAt,
        )
      : [];
    this.#sas.set(sa.ikeSpi, sa);
    return superseded;
  }

  /** The same IKE SA under new keys and another SPI (RFC 7296 §2.18); false: it is not known. */
  rekey(before: IkeSpi, ikeSpi: IkeSpi): boolean {
    const sa = this.remove(before);
    if (sa !== undefined) this.#sas.set(ikeSpi, { ...sa, ikeSpi });
    return sa !== undefined;
  }

  remove(ikeSpi: IkeSpi): IndexedSa | undefined {
    const sa = this.#sas.get(ikeSpi);
    this.#sas.delete(ikeSpi);
    return sa;
  }

  /** The SAs of a connection, oldest first. */
  ofConnection(name: string): IndexedSa[] {
    return [...this.#sas.values()].filter((sa) => sa.connection === name);
  }

  /** Forgets what a worker that died had. */
  removeShard(shard: number): IndexedSa[] {
    const gone = [...this.#sas.values()].filter((sa) => sa.shard === shard);
    for (const { ikeSpi } of gone) this.#sas.delete(ikeSpi);
    return gone;
  }
}

/** A connection names our identity; two connections with one peer do not end each other's SAs. */
function samePeer(a: IndexedSa, b: IndexedSa): boolean {
  return a.connection === b.connection && a.peerIdentity === b.peerIdentity;
}
