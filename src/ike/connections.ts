/** The connections that are configured, found by name and by the addresses that they are between. */
import type { Connection } from '../policy/connection.js';

export class Connections {
  readonly #byName: ReadonlyMap<string, Connection>;
  readonly #byAddresses = new Map<string, Connection[]>();

  constructor(connections: readonly Connection[]) {
    this.#byName = new Map(connections.map((connection) => [connection.name, connection]));
    for (const connection of connections) {
      const { local, remote } = connection;
      for (const address of [local.address, ...local.alternatives]) {
        this.#add(`${address} ${remote.address}`, connection);
      }
    }
  }

  #add(addresses: string, connection: Connection): void {
    const found = this.#byAddresses.get(addresses);
    if (found === undefined) this.#byAddresses.set(addresses, [connection]);
    else found.push(connection);
  }

  named(name: string | undefined): Connection | undefined {
    return name === undefined ? undefined : this.#byName.get(name);
  }

  /** Those that a peer at this address may belong to, the most specific first. */
  candidates(local: string, remote: string): readonly Connection[] {
    const exact = this.#byAddresses.get(`${local} ${remote}`) ?? [];
    const any = this.#byAddresses.get(`${local} %any`) ?? [];
    return [...exact, ...any];
  }
}
