/**
 * What an administrator wants with one peer: the Peer Authorization Database entry (RFC 4301
 * §4.4.3) and the SPD entries behind it (§4.4.1), as the IKE core and the dataplane need them.
 * `config/` makes these from a file; tests make them by hand.
 */
import type { Secret } from '../crypto/secret.js';
import type { TrafficSelector } from '../wire/traffic-selector.js';
import type { LocalAuthentication, RemoteAuthentication } from './authentication.js';
import { type Identity, identityKey, sameIdentity } from './identity.js';
import type { Proposal } from './proposal.js';

export interface Connection {
  readonly name: string;
  readonly local: {
    readonly address: string;
    /** Where we are when that one is not there, in order of preference (RFC 4555). */
    readonly alternatives: readonly string[];
    readonly identity: Identity;
    readonly authentication: LocalAuthentication;
  };
  readonly remote: {
    /** Numeric address, or `%any`: whoever proves the identity (responder only). */
    readonly address: string;
    readonly identity: Identity;
    readonly authentication: RemoteAuthentication;
  };
  /** In order of preference. */
  readonly ikeProposals: readonly Proposal[];
  /** Seconds of silence before a liveness check (RFC 7296 §2.4); 0: never. */
  readonly livenessSeconds: number;
  /** A secret that goes into the keys besides the key exchange (RFC 8784), if any. */
  readonly ppk?: Ppk | undefined;
  /** Either end may move to another address (RFC 4555), where the peer can do that. */
  readonly mobike: boolean;
  /**
   * Bytes of an IP datagram above which our IKE messages go in fragments (RFC 7383); 0: never, and
   * the peer's may not either.
   */
  readonly fragmentBytes: number;
  /** Requests of either side that may be on their way at once, where both say so (RFC 7296 §2.3). */
  readonly windowSize: number;
  /** Pretend a NAT, so that ESP travels in UDP. */
  readonly forceUdpEncapsulation: boolean;
  /** False: nothing on the way may change addresses (NO_NATS_ALLOWED, RFC 4555 §3.9). */
  readonly natTraversal: boolean;
  /**
   * As the initiator, first prove identities, then ask for the Child SAs, each with a key exchange
   * of its own (RFC 6023), where the peer can do that.
   */
  readonly childless: boolean;
  /** Of the IKE SA's keys. */
  readonly lifetime: Lifetime;
  /** Seconds until the peers prove themselves again on a new IKE SA (§2.8.3); 0: never. */
  readonly reauthSeconds: number;
  /** A route-based tunnel: the host routes into this interface what its Child SAs protect. */
  readonly interface?: string | undefined;
  readonly children: readonly ChildPolicy[];
}

export interface Ppk {
  /** By which both sides call it. */
  readonly id: string;
  readonly secret: Secret;
  /** There is no IKE SA without it. */
  readonly required: boolean;
}

/** always: at once, and kept up. trap: a matching packet raises it. wait: the peer does. */
export type Start = 'always' | 'trap' | 'wait';

/** How long keys are used (RFC 7296 §2.8). Each side has its own; none is negotiated. */
export interface Lifetime {
  /** Seconds until we rekey, of which chance takes a part away; 0: never. */
  readonly rekeySeconds: number;
  /** Seconds until it ends, rekeyed or not; 0: never. */
  readonly endSeconds: number;
}

/** What every IPv6 path takes, and nearly every IPv4 path (RFC 7383 §2.5.1). */
export const DEFAULT_FRAGMENT_BYTES = 1280;
/** The largest window that is offered, and used: so many Child SAs are asked for at once. */
export const MOST_WINDOW = 16;

/** Never rekeyed, never ended by us. */
export const NO_LIFETIME: Lifetime = { rekeySeconds: 0, endSeconds: 0 };

/** Whether both are between the same two identities, as INITIAL_CONTACT has it (RFC 7296 §2.4). */
export function hasSameIdentities(a: Connection, b: Connection): boolean {
  return (
    sameIdentity(a.local.identity, b.local.identity) &&
    sameIdentity(a.remote.identity, b.remote.identity)
  );
}

const identitiesKeys = new WeakMap<Connection, string>();

/** The same for connections between the same identities, and hardly ever for others. */
export function identitiesKey(connection: Connection): string {
  const known = identitiesKeys.get(connection);
  if (known !== undefined) return known;
  const { local, remote } = connection;
  const key = `${identityKey(local.identity)} ${identityKey(remote.identity)}`;
  identitiesKeys.set(connection, key);
  return key;
}

export interface ChildPolicy {
  /** Unique within the connection. */
  readonly name: string;
  readonly start: Start;
  /** In transport mode between the ends of the IKE SA, which narrows the selectors to these. */
  readonly mode: 'tunnel' | 'transport';
  readonly localSelectors: readonly TrafficSelector[];
  readonly remoteSelectors: readonly TrafficSelector[];
  /** Of ESP or of AH, in order of preference. */
  readonly proposals: readonly Proposal[];
  /**
   * Child SAs for single resources of the dataplane beside the one for all, where the peer can do
   * that (RFC 9611): as many at most, or as many as may be of use. Undefined: none.
   */
  readonly perResource?: 'auto' | number;
  /** Replay window in packets. */
  readonly replayWindow: number;
  /** IPv4 packets without DF that do not fit; see ChildSa. Default: before ESP. */
  readonly fragmentation?: 'before' | 'after';
  /** ESP in tunnel mode: what hides how much is sent and when (RFC 4303 §2.6, §2.7); 0: nothing. */
  readonly tfc?: { readonly padTo: number; readonly dummiesPerSecond: number };
  /** Tunnel mode: of the outer header (RFC 4301 §5.1.2, §8.1). Default: the inner packet's. */
  readonly outer?: { readonly df: 'copy' | 'set' | 'clear'; readonly dscp: 'copy' | number };
  readonly lifetime: Lifetime;
}
