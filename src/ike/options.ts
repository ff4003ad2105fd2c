/** What may be tuned of the IKE core; a value that is not given has the default. */
import type { Milliseconds } from './event.js';

export interface IkeOptions {
  /** Until a request is sent again, at first; doubles up to `retransmitMaximum`. */
  readonly retransmitFirst: Milliseconds;
  readonly retransmitMaximum: Milliseconds;
  /** Part of a delay that chance adds or takes away, so that peers do not march in step. */
  readonly retransmitJitter: number;
  /** Times that a request is sent in all: of IKE_SA_INIT, of Delete, of all others. */
  readonly initTries: number;
  readonly deleteTries: number;
  readonly requestTries: number;
  /** An unauthenticated error only shortens the wait for a better answer (RFC 7296 §2.21.1). */
  readonly hintWait: Milliseconds;
  /** A responder's wait for IKE_AUTH. */
  readonly halfOpenTimeout: Milliseconds;
  /** Half-open SAs above which a COOKIE is demanded (RFC 7296 §2.6). */
  readonly cookieThreshold: number;
  /** Half-open SAs above which the oldest makes room, or nobody from one address is answered. */
  readonly maxHalfOpen: number;
  readonly maxHalfOpenPerAddress: number;
  /** IKE SAs that one connection may have; the oldest goes when there are more. */
  readonly maxIkeSasPerConnection: number;
  /** For how long retransmissions of a last request are answered after the IKE SA is gone. */
  readonly lingerTime: Milliseconds;
  /** What is kept of all messages that are not complete yet (RFC 7383); the oldest go. */
  readonly maxFragmentOctets: number;
  /** Senders in the dataplane that may have Child SAs of their own (RFC 9611). */
  readonly resources: number;
  /** Child SAs that one IKE SA may have. */
  readonly maxChildSasPerIkeSa: number;
  /** Part of the time until a rekeying that chance takes away. */
  readonly rekeyJitter: number;
  /** Between looks at the certificate of an established peer; chance takes a part away as well. */
  readonly recheckSeconds: number;
  /** Until what the peer has refused for now is tried again; doubles up to the maximum (§2.25). */
  readonly postponedFirst: Milliseconds;
  readonly postponedMaximum: Milliseconds;
  /** Refusals for now in a row after which the two are out of step, and the IKE SA ends (§2.25). */
  readonly maxPostponed: number;
  /** A responder sends on a new Child SA after that at the latest, sign of the peer or not (§2.8). */
  readonly switchDelay: Milliseconds;
  /** For how long a Child SA that was replaced and deleted still receives. */
  readonly drainTime: Milliseconds;
  /** A responder's wait for the next key exchange of what a peer has begun (RFC 9370 §2.2.4). */
  readonly followUpTimeout: Milliseconds;
  /** Until we delete ourselves what the peer has replaced and has to delete. */
  readonly replacedTimeout: Milliseconds;
  /**
   * The same of what it has probably forgotten, and between looks at what the peer has replaced: a
   * few retransmissions of its Delete.
   */
  readonly redundantTimeout: Milliseconds;
  /** Between attempts of a connection that is kept up; doubles up to the maximum. */
  readonly reconnectFirst: Milliseconds;
  readonly reconnectMaximum: Milliseconds;
  /** Of NAT mappings (RFC 3948 §4). */
  readonly keepaliveInterval: Milliseconds;
  /** UDP ports of IKE; on the second one IKE follows the non-ESP marker. */
  readonly ikePort: number;
  readonly natPort: number;
}

export const DEFAULT_OPTIONS: IkeOptions = {
  retransmitFirst: 500,
  retransmitMaximum: 24_000,
  retransmitJitter: 0.1,
  initTries: 7, // about 55 s
  deleteTries: 5,
  requestTries: 13, // about 200 s: RFC 7296 §2.4 asks for a dozen times over several minutes
  hintWait: 2_000,
  halfOpenTimeout: 30_000,
  cookieThreshold: 32,
  maxHalfOpen: 1_000,
  maxHalfOpenPerAddress: 8,
  maxIkeSasPerConnection: 8,
  lingerTime: 30_000,
  maxFragmentOctets: 4 * 1024 * 1024,
  resources: 1,
  maxChildSasPerIkeSa: 256,
  rekeyJitter: 0.1,
  recheckSeconds: 660, // a little longer than answers of authorities count
  postponedFirst: 2_000,
  postponedMaximum: 60_000,
  maxPostponed: 10, // about five minutes
  switchDelay: 200_000, // by then a peer has our answer, or has given us up
  drainTime: 3_000,
  followUpTimeout: 240_000,
  replacedTimeout: 240_000,
  redundantTimeout: 10_000,
  reconnectFirst: 1_000,
  reconnectMaximum: 60_000,
  keepaliveInterval: 20_000,
  ikePort: 500,
  natPort: 4_500,
};
