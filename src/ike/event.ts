/**
 * What goes into the IKE core, and what comes out. The core is a pure machine:
 * `Ike.handle(event) -> effects`. Clock, randomness and SPIs are handed in (`Environment`), so
 * that two cores run against each other in memory and a session replays from a seed.
 */
import type { CryptoJob, CryptoJobResult } from '../crypto/job.js';
import type { RecheckJob, VerifyJob, VerifyResult } from '../policy/peer-proof.js';
import type { ChildSa, Endpoint, EspSpi } from '../sad/sad.js';
import type { IkeSpi } from '../wire/ike-spi.js';
import type { ProbeAnswer } from './tasks/probe.js';

export type { IkeSpi } from '../wire/ike-spi.js';

/** What the core has others compute. */
export type Job = CryptoJob | VerifyJob | RecheckJob;
export type JobResult = CryptoJobResult | VerifyResult;

/** Milliseconds of a monotonic clock. */
export type Milliseconds = number;

/** What the core may not do itself. */
export interface Environment {
  /** Cryptographically strong bytes (from a seed in simulation). */
  random(bytes: number): Uint8Array<ArrayBuffer>;
  /** A fresh local IKE SPI that carries this worker's shard. */
  allocateIkeSpi(): IkeSpi;
  allocateSpi(): EspSpi;
  releaseSpi(spi: EspSpi): void;
  /** Whether a line of the log is to be made: asked for each. Without it, all are. */
  admitLine?(level: LogLevel): boolean;
}

/**
 * Of an IKE_SA_INIT request, what is known outside of the core (RFC 7296 §2.6): its sender has shown
 * by a COOKIE that he is where he says; or he has to, since his address has many half-open SAs with
 * other workers. Absent: the core decides.
 */
export type CookieProof = 'given' | 'demanded';

export type Event =
  /** A UDP datagram, the non-ESP marker already removed (RFC 7296 §2.23). */
  | {
      readonly type: 'datagram';
      readonly at: Milliseconds;
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly data: Uint8Array;
      readonly proof?: CookieProof | undefined;
    }
  | { readonly type: 'timer'; readonly at: Milliseconds; readonly timer: string }
  | {
      readonly type: 'computed';
      readonly at: Milliseconds;
      readonly job: string;
      readonly result: JobResult;
    }
  /** Bring a connection up: by its start action, by a person, or by a packet (acquire). */
  | {
      readonly type: 'initiate';
      readonly at: Milliseconds;
      readonly connection: string;
      readonly child?: string;
    }
  /** A resource of the dataplane sends on a Child SA that is for all, or another's: it has none. */
  | {
      readonly type: 'acquire';
      readonly at: Milliseconds;
      readonly connection: string;
      readonly child: string;
      /** Below IkeOptions.resources. */
      readonly resource: number;
    }
  /** Take a connection, or one of its IKE SAs, down with Deletes. */
  | {
      readonly type: 'terminate';
      readonly at: Milliseconds;
      readonly connection: string;
      readonly ikeSpi?: IkeSpi;
    }
  /** Rekey the SAs of a connection now, or set it up anew beside them and then drop them. */
  | {
      readonly type: 'rekey';
      readonly at: Milliseconds;
      readonly connection: string;
      readonly what: RekeyWhat;
    }
  /**
   * The dataplane has used up a part (soft), or all, of what a Child SA may be used for: sequence
   * numbers, bytes, packets. `cause` is for the log.
   */
  | {
      readonly type: 'expire';
      readonly at: Milliseconds;
      readonly inboundSpi: EspSpi;
      readonly hard: boolean;
      readonly cause: string;
    }
  /**
   * ESP of this pair has come from another place than its peer's: authentic, newer than all before,
   * and in UDP (RFC 7296 §2.23).
   */
  | {
      readonly type: 'nat-mapping-changed';
      readonly at: Milliseconds;
      readonly inboundSpi: EspSpi;
      readonly remote: Endpoint;
    }
  /** The addresses that this host has now; who has moved tells its peers (RFC 4555 §3.5). */
  | {
      readonly type: 'addresses';
      readonly at: Milliseconds;
      readonly present: readonly string[];
    }
  /** Other trust anchors, CRLs or policies of revocation: do the connection's peers still prove themselves? */
  | { readonly type: 'recheck'; readonly at: Milliseconds; readonly connection: string }
  /**
   * See how the peer's end of an IKE SA answers; `probed` tells. `bytes` is the length of the IP
   * datagram that is to get there, 0: no matter which.
   */
  | {
      readonly type: 'probe';
      readonly at: Milliseconds;
      readonly ikeSpi: IkeSpi;
      readonly probe: number;
      readonly bytes: number;
    }
  /** Another worker has a newer IKE SA with the same peer: drop this one without a Delete. */
  | {
      readonly type: 'superseded';
      readonly at: Milliseconds;
      readonly ikeSpi: IkeSpi;
    }
  /** Delete everything; afterwards the core only answers retransmissions. */
  | { readonly type: 'stop'; readonly at: Milliseconds };

/** An event before its time is set. */
export type Untimed<E extends Event = Event> = E extends Event ? Omit<E, 'at'> : never;

/** child: each Child SA; ike: the IKE SA; reauth: a new IKE SA with all its Child SAs (§2.8.3). */
export type RekeyWhat = 'child' | 'ike' | 'reauth';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type Effect =
  /**
   * Send a datagram. `marker`: put the four zero bytes of the non-ESP marker before it. `whole`:
   * with DF, since it measures the path; others may be cut on the way.
   */
  | {
      readonly type: 'send';
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly marker: boolean;
      readonly data: Uint8Array;
      readonly whole?: true;
    }
  /** (Re)starts the named timer; it arrives as a `timer` event after `delay`. */
  | { readonly type: 'start-timer'; readonly timer: string; readonly delay: Milliseconds }
  | { readonly type: 'cancel-timer'; readonly timer: string }
  /** Do the job and answer with a `computed` event of the same id. Owns the job's secrets. */
  | { readonly type: 'compute'; readonly id: string; readonly job: Job }
  /**
   * Install a pair of ESP SAs. Whoever applies it wipes the keys afterwards. `standby`: the
   * outbound SA is used only where no other one of its policy serves a packet.
   */
  | { readonly type: 'install-child'; readonly sa: ChildSa; readonly standby: boolean }
  /** The outbound SA of this pair goes before all others of its policy from now on. */
  | { readonly type: 'prefer-child'; readonly inboundSpi: EspSpi }
  /** The outbound SA of this pair is used no more; what still arrives is received. */
  | { readonly type: 'retire-child'; readonly inboundSpi: EspSpi }
  /** The pair goes between these ends from now on, of the same family as before. */
  | {
      readonly type: 'move-child';
      readonly inboundSpi: EspSpi;
      readonly local: Endpoint;
      readonly remote: Endpoint;
    }
  | { readonly type: 'remove-child'; readonly inboundSpi: EspSpi; readonly reason: string }
  /** A Child SA has taken the place of another, which is on its way out: for those who count. */
  | { readonly type: 'child-rekeyed'; readonly connection: string; readonly child: string }
  /** The end of a `probe`; without an answer where there is none, or it cannot be done. */
  | { readonly type: 'probed'; readonly probe: number; readonly answer?: ProbeAnswer }
  /** An IKE SA has authenticated its peer; the index across workers looks for older ones. */
  | {
      readonly type: 'ike-established';
      readonly connection: string;
      readonly ikeSpi: IkeSpi;
      readonly peerIdentity: string;
      readonly initialContact: boolean;
      /** It is the same IKE SA under new keys (RFC 7296 §2.18). */
      readonly replaces?: IkeSpi;
    }
  | {
      readonly type: 'ike-closed';
      readonly connection: string | undefined;
      readonly ikeSpi: IkeSpi;
      readonly reason: string;
    }
  /** An attempt failed; the explanation is what a person is shown. */
  | {
      readonly type: 'failed';
      readonly connection: string | undefined;
      /** The Child SA that failed, where the IKE SA did not. */
      readonly child?: string;
      readonly notify: string;
      readonly explanation: string;
      /** Somebody who may be anybody has brought it about: to be shown, but no attempt of ours. */
      readonly unproved?: true;
    }
  /** One line that reads as the exchange does in the RFC. Never holds a secret. */
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly connection?: string;
      readonly ikeSpi?: IkeSpi;
      readonly message: string;
    };

/** A live IKE SA as status shows it. */
export interface IkeSaView {
  readonly connection: string;
  /** replaced: rekeyed by the peer, which has yet to delete it. */
  readonly state: 'connecting' | 'established' | 'replaced' | 'deleting';
  readonly role: 'initiator' | 'responder';
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly localId: string;
  readonly remoteId: string;
  /** Such as `AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519`. */
  readonly proposal: string;
  readonly natLocal: boolean;
  readonly natRemote: boolean;
  readonly startedAt: Milliseconds;
  readonly establishedAt: Milliseconds | undefined;
  readonly children: readonly ChildSaView[];
}

/** A live Child SA as status shows it. */
export interface ChildSaView {
  readonly name: string;
  readonly state: 'installed' | 'rekeying' | 'replaced' | 'deleting';
  readonly inboundSpi: EspSpi;
  readonly outboundSpi: EspSpi;
  readonly proposal: string;
  readonly protocol: 'esp' | 'ah';
  readonly mode: 'tunnel' | 'transport';
  readonly udpEncapsulation: boolean;
  readonly esn: boolean;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
  /** Of a group (RFC 9611): the resource that sends on it, or all that have none of their own. */
  readonly resource?: number | 'all';
  /** What the peer calls its own, in hexadecimal digits. */
  readonly peerResource?: string;
  readonly installedAt: Milliseconds;
}
