/**
 * The IKE SAs of a core: found by their local SPI, by their connection, and by the two identities
 * that they are between, however many there are.
 */
import { type Connection, hasSameIdentities } from '../policy/connection.js';
import { formatIdentity, type Identity } from '../policy/identity.js';
import { ID_TYPE, type IkeSpi } from '../wire/index.js';
import type { IkeSa } from './ike-sa.js';

export class IkeSas {
  readonly #bySpi = new Map<IkeSpi, IkeSa>();
  readonly #byConnection = new Map<string, Set<IkeSa>>();
  readonly #byIdentities = new Map<string, Set<IkeSa>>();

  add(sa: IkeSa): void {
    this.#bySpi.set(sa.localSpi, sa);
    if (sa.connection !== undefined) this.index(sa, sa.connection);
  }

  /** Its connection is known. */
  index(sa: IkeSa, connection: Connection): void {
    put(this.#byConnection, connection.name, sa);
    put(this.#byIdentities, identitiesOf(connection), sa);
  }

  remove(sa: IkeSa): void {
    this.#bySpi.delete(sa.localSpi);
    if (sa.connection === undefined) return;
    take(this.#byConnection, sa.connection.name, sa);
    take(this.#byIdentities, identitiesOf(sa.connection), sa);
  }

  get(localSpi: IkeSpi): IkeSa | undefined {
    return this.#bySpi.get(localSpi);
  }

  all(): IkeSa[] {
    return [...this.#bySpi.values()];
  }

  /** Those of a connection, the oldest first. */
  of(connection: string): IkeSa[] {
    return [...(this.#byConnection.get(connection) ?? [])];
  }

  /** Those between the identities of a connection, of whichever connection they are. */
  between(connection: Connection): IkeSa[] {
    const near = [...(this.#byIdentities.get(identitiesOf(connection)) ?? [])];
    return near.filter((sa) => hasSameIdentities(sa.connection!, connection));
  }
}

/** The same for connections between the same identities, and seldom for others. */
function identitiesOf({ local, remote }: Connection): string {
  return `${bucketOf(local.identity)} ${bucketOf(remote.identity)}`;
}

/** Names may be written in several ways: distinguished ones are all in one bucket. */
function bucketOf(identity: Identity): string {
  if (identity.type === ID_TYPE.ID_DER_ASN1_DN) return String(identity.type);
  return `${identity.type} ${formatIdentity(identity).toLowerCase()}`;
}

function put(sets: Map<string, Set<IkeSa>>, key: string, sa: IkeSa): void {
  const found = sets.get(key);
  if (found === undefined) sets.set(key, new Set([sa]));
  else found.add(sa);
}

function take(sets: Map<string, Set<IkeSa>>, key: string, sa: IkeSa): void {
  const found = sets.get(key);
  found?.delete(sa);
  if (found?.size === 0) sets.delete(key);
}
