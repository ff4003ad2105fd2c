/** What an IKE SA and its tasks see of the core around them. */
import type { Connection } from '../policy/connection.js';
import type { EspSpi } from '../sad/sad.js';
import type { PeekedHeader } from '../wire/index.js';
import type { Children } from './child/children.js';
import type { Candidates } from './connections.js';
import type { DropReason } from './drops.js';
import type { Effect, Environment, Job, JobResult, LogLevel, Milliseconds } from './event.js';
import type { FragmentStore } from './messages/fragments.js';
import type { IkeOptions } from './options.js';
import type { Datagram, IkeSa } from './sa/ike-sa.js';

/** A line of the log, or what makes it. */
export type Line = string | (() => string);

/** What a line is about. */
export type About = Pick<Extract<Effect, { type: 'log' }>, 'connection' | 'ikeSpi'>;

export interface Core {
  /** Of the event that is being handled. */
  readonly now: Milliseconds;
  readonly environment: Environment;
  readonly options: IkeOptions;
  /** What is kept of messages that are not complete yet. */
  readonly fragments: FragmentStore;
  emit(effect: Effect): void;
  /** Handles a request of the peer's that is new, and within the window. */
  answer(sa: IkeSa, datagram: Datagram, header: PeekedHeader): void;
  /** Takes note of a message that was not served. */
  count(reason: DropReason): void;
  /** Tells the log, where it wants to know; a function is asked for its line only then. */
  log(level: LogLevel, message: Line, about?: About): void;
  /** Asks for a job; `resume` is called with its result unless the IKE SA is gone by then. */
  compute(sa: IkeSa, job: Job, resume: (result: JobResult) => void): void;
  /** The connection as it is configured now. */
  connection(name: string): Connection | undefined;
  /** Our addresses of a connection that are there, preferred first; none where nobody has said so. */
  ourAddresses(connection: Connection): readonly string[];
  /** Connections that a peer at this address may belong to. */
  candidates(local: string, remote: string): Candidates;
  /** Whether another IKE SA between the identities of the connection is established. */
  isEstablished(connection: Connection, except: IkeSa): boolean;
  /** The peer of a responder's IKE SA has proved that it is the other end of the connection. */
  authenticated(sa: IkeSa, connection: Connection): void;
  /** The peer has proved its identity, and the Child SA is installed. */
  settled(sa: IkeSa): void;
  /** A Child SA is gone, or could not be had; the IKE SA stays. */
  childGone(sa: IkeSa): void;
  /** A Child SA that was asked for on this IKE SA is there, or refused. */
  childSettled(sa: IkeSa): void;
  /** Whether a Child SA of the connection's policy is in use, on another IKE SA than `except`. */
  hasChild(connection: string, policy: string, except?: IkeSa): boolean;
  /** Where the Child SA with this inbound SPI is found from now on; undefined: nowhere. */
  childIsOf(inboundSpi: EspSpi, children: Children | undefined): void;
  /** Removes a pair of ESP SAs when nothing on its way can arrive any more. */
  drain(inboundSpi: EspSpi, reason: string): void;
  /** An IKE SA that rekeying has made; messages find it from now on. */
  added(sa: IkeSa): void;
  /** `by` has taken the place of `sa`, with its Child SAs. */
  replaced(sa: IkeSa, by: IkeSa): void;
  /** Sets the connection up anew, and then drops this IKE SA (§2.8.3). */
  reauthenticate(sa: IkeSa, reason: string): void;
  closed(sa: IkeSa): void;
}
