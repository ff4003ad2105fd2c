/**
 * The connections that are configured, found by name and by the addresses that they are between.
 * There may be thousands between two addresses: what is asked of all of them is found out once.
 */
import type { Connection } from '../policy/connection.js';
import { type Identity, identityKey, sameIdentity } from '../policy/identity.js';
import type { Proposal } from '../policy/proposal.js';
import type { Payload } from '../wire/index.js';
import { announceHashes, announceMethods } from './auth/announcements.js';
import { certificateRequests } from './auth/certificates.js';

/** Those that a peer at some address may belong to, before it says who it is. */
export class Candidates {
  /** The most specific first. */
  readonly connections: readonly Connection[];
  /** What they accept, each once, in the order of the connections. */
  readonly proposals: readonly (readonly Proposal[])[];
  readonly someForceUdpEncapsulation: boolean;
  readonly someTraverseNats: boolean;
  readonly allTakeFragments: boolean;
  readonly someHavePpk: boolean;
  /** What a responder says of the proofs that it takes, but for the hashes. */
  readonly requests: readonly Payload[];
  readonly hashes: readonly Payload[];
  readonly #byIdentity = new Map<string, Connection[]>();

  constructor(connections: readonly Connection[]) {
    this.connections = connections;
    const distinct = new Map(
      connections.map(({ ikeProposals }) => [JSON.stringify(ikeProposals), ikeProposals]),
    );
    this.proposals = [...distinct.values()];
    this.someForceUdpEncapsulation = connections.some((one) => one.forceUdpEncapsulation);
    this.someTraverseNats = connections.some(({ natTraversal }) => natTraversal);
    this.allTakeFragments = connections.every(({ fragmentBytes }) => fragmentBytes > 0);
    this.someHavePpk = connections.some(({ ppk }) => ppk !== undefined);
    this.requests = [...certificateRequests(connections), ...announceMethods(connections)];
    this.hashes = announceHashes(connections);
    for (const connection of connections) {
      add(this.#byIdentity, identityKey(connection.remote.identity), connection);
    }
  }

  /** Those whose peer has this identity, the most specific first. */
  withPeer(identity: Identity): readonly Connection[] {
    const near = this.#byIdentity.get(identityKey(identity)) ?? [];
    return near.filter(({ remote }) => sameIdentity(remote.identity, identity));
  }
}

const NOBODY = new Candidates([]);

export class Connections {
  readonly #byName: ReadonlyMap<string, Connection>;
  readonly #byAddresses = new Map<string, Connection[]>();
  /** Made when they are asked for; by the addresses of `#byAddresses`. */
  readonly #candidates = new Map<string, Candidates>();

  constructor(connections: readonly Connection[]) {
    this.#byName = new Map(connections.map((connection) => [connection.name, connection]));
    for (const connection of connections) {
      const { local, remote } = connection;
      for (const address of [local.address, ...local.alternatives]) {
        add(this.#byAddresses, `${address} ${remote.address}`, connection);
      }
    }
  }

  named(name: string | undefined): Connection | undefined {
    return name === undefined ? undefined : this.#byName.get(name);
  }

  /** Those that a peer at this address may belong to. */
  candidates(local: string, remote: string): Candidates {
    const exact = `${local} ${remote}`;
    const any = `${local} %any`;
    const key = this.#byAddresses.has(exact) ? exact : any;
    const known = this.#candidates.get(key);
    if (known !== undefined) return known;
    const keys = key === any ? [any] : [exact, any];
    const connections = keys.flatMap((addresses) => this.#byAddresses.get(addresses) ?? []);
    if (connections.length === 0) return NOBODY;
    const made = new Candidates(connections);
    this.#candidates.set(key, made);
    return made;
  }
}

function add(lists: Map<string, Connection[]>, key: string, connection: Connection): void {
  const found = lists.get(key);
  if (found === undefined) lists.set(key, [connection]);
  else found.push(connection);
}
