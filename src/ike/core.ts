/** What an IKE SA and its tasks see of the core around them. */
import type { Job, JobResult } from '../crypto/job.js';
import type { Connection } from '../policy/connection.js';
import type { Effect, Environment, Milliseconds } from './event.js';
import type { IkeSa } from './ike-sa.js';
import type { IkeOptions } from './options.js';

export interface Core {
  /** Of the event that is being handled. */
  readonly now: Milliseconds;
  readonly environment: Environment;
  readonly options: IkeOptions;
  emit(effect: Effect): void;
  /** Asks for a job; `resume` is called with its result unless the IKE SA is gone by then. */
  compute(sa: IkeSa, job: Job, resume: (result: JobResult) => void): void;
  /** The connection as it is configured now. */
  connection(name: string): Connection | undefined;
  /** Connections that a peer at this address may belong to, the most specific first. */
  candidates(local: string, remote: string): readonly Connection[];
  /** Whether another IKE SA between the identities of the connection is established. */
  isEstablished(connection: Connection, except: IkeSa): boolean;
  /** The peer has proved its identity, and the Child SA is installed. */
  settled(sa: IkeSa): void;
  /** The peer has deleted a Child SA; the IKE SA stays. */
  childGone(sa: IkeSa): void;
  closed(sa: IkeSa): void;
}
