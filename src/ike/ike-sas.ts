/**
 * The IKE SAs of a core: found by their local SPI, by their connection, and by the two identities
 * that they are between, however many there are.
 */
import { ChurnMap } from '../churn-map.js';
import { type Connection, hasSameIdentities, identitiesKey } from '../policy/connection.js';
import type { IkeSpi } from '../wire/index.js';
import { isOfResource } from './child/resources.js';
import type { IkeSa } from './sa/ike-sa.js';

export class IkeSas {
  readonly #bySpi = new ChurnMap<IkeSpi, IkeSa>();
  readonly #byConnection = new ChurnMap<string, Set<IkeSa>>();
  readonly #byIdentities = new ChurnMap<string, Set<IkeSa>>();

  add(sa: IkeSa): void {
    this.#bySpi.set(sa.localSpi, sa);
    if (sa.connection !== undefined) this.index(sa, sa.connection);
  }

  /** Its connection is known. */
  index(sa: IkeSa, connection: Connection): void {
    put(this.#byConnection, connection.name, sa);
    put(this.#byIdentities, identitiesKey(connection), sa);
  }

  remove(sa: IkeSa): void {
    this.#bySpi.delete(sa.localSpi);
    if (sa.connection === undefined) return;
    take(this.#byConnection, sa.connection.name, sa);
    take(this.#byIdentities, identitiesKey(sa.connection), sa);
  }

  get(localSpi: IkeSpi): IkeSa | undefined {
    return this.#bySpi.get(localSpi);
  }

  get size(): number {
    return this.#bySpi.size;
  }

  all(): IkeSa[] {
    return [...this.#bySpi.values()];
  }

  /** Those of a connection, the oldest first. */
  of(connection: string): IkeSa[] {
    return [...(this.#byConnection.get(connection) ?? [])];
  }

  /** Those of them that are established. */
  established(connection: string): IkeSa[] {
    return this.of(connection).filter(({ state }) => state.name === 'established');
  }

  /** Whether one of them, but `except`, has a Child SA of the policy for all senders that stays. */
  hasChild(connection: string, policy: string, except?: IkeSa): boolean {
    return this.of(connection).some(
      (sa) =>
        sa !== except &&
        sa.state.name === 'established' &&
        [...sa.children].some(
          (child) =>
            child.policy.name === policy && child.state !== 'deleting' && !isOfResource(child),
        ),
    );
  }

  /** Those between the identities of a connection, of whichever connection they are. */
  between(connection: Connection): IkeSa[] {
    const near = [...(this.#byIdentities.get(identitiesKey(connection)) ?? [])];
    return near.filter((sa) => hasSameIdentities(sa.connection!, connection));
  }
}

function put(sets: ChurnMap<string, Set<IkeSa>>, key: string, sa: IkeSa): void {
  const found = sets.get(key);
  if (found === undefined) sets.set(key, new Set([sa]));
  else found.add(sa);
}

function take(sets: ChurnMap<string, Set<IkeSa>>, key: string, sa: IkeSa): void {
  const found = sets.get(key);
  found?.delete(sa);
  if (found?.size === 0) sets.delete(key);
}
