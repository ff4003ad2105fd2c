/**
 * What an administrator wants with one peer: the Peer Authorization Database entry (RFC 4301
 * §4.4.3) and the SPD entries behind it (§4.4.1), as the IKE core and the dataplane need them.
 * `config/` makes these from a file; tests make them by hand.
 */
import type { Secret } from '../crypto/secret.js';
import type { TrafficSelector } from '../wire/traffic-selector.js';
import { type Identity, sameIdentity } from './identity.js';
import type { Proposal } from './proposal.js';

export interface Connection {
  readonly name: string;
  readonly local: { readonly address: string; readonly identity: Identity };
  readonly remote: {
    /** Numeric address, or `%any`: whoever proves the identity (responder only). */
    readonly address: string;
    readonly identity: Identity;
  };
  readonly psk: Secret;
  /** In order of preference. */
  readonly ikeProposals: readonly Proposal[];
  /** start: at once, and kept up. trap: a matching packet raises it. wait: the peer does. */
  readonly start: 'start' | 'trap' | 'wait';
  /** Seconds of silence before a liveness check (RFC 7296 §2.4); 0: never. */
  readonly livenessSeconds: number;
  /** Pretend a NAT, so that ESP travels in UDP. */
  readonly forceUdpEncapsulation: boolean;
  readonly children: readonly ChildPolicy[];
}

/** Whether both are between the same two identities, as INITIAL_CONTACT has it (RFC 7296 §2.4). */
export function hasSameIdentities(a: Connection, b: Connection): boolean {
  return (
    sameIdentity(a.local.identity, b.local.identity) &&
    sameIdentity(a.remote.identity, b.remote.identity)
  );
}

export interface ChildPolicy {
  /** Unique within the connection. */
  readonly name: string;
  readonly mode: 'tunnel';
  readonly localSelectors: readonly TrafficSelector[];
  readonly remoteSelectors: readonly TrafficSelector[];
  readonly espProposals: readonly Proposal[];
  /** Replay window in packets. */
  readonly replayWindow: number;
}
