/**
 * A request of ours and what its response leads to. A procedure of several exchanges is several
 * tasks, each of which starts the next one.
 */
import type { Payload, PeekedHeader, Story } from '../../wire/index.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { ChildPlan } from './create-child.js';

/** What a task is about; requests of the peer that cross it are answered by that (§2.25). */
export type TaskKind =
  | 'init'
  | 'intermediate'
  | 'auth'
  | 'liveness'
  | 'mobike'
  | 'create-child'
  | 'rekey-child'
  | 'delete-child'
  | 'rekey-ike'
  | 'delete-ike';

export interface Task {
  readonly kind: TaskKind;
  /** The task that it goes on with, in an exchange of its own (RFC 9370 §2.2.4). */
  readonly begunBy?: Task;
  /** The Child SA that it asks for. */
  readonly plan?: ChildPlan;
  /** Nothing else is to be under way beside it, though the window has room. */
  readonly alone?: boolean;
  /** Exchange type of the request. */
  readonly exchange: number;
  /** How many times the request is sent before the peer counts as gone. */
  readonly tries: number;
  /** What has to be computed before the request can be made; `ready` is called when that is done. */
  prepare?(ready: () => void): void;
  /** It is sent with DF the first time, since that shows what the path takes. */
  readonly measures?: boolean;
  /** Whether it goes in one message, however long it is, after it was sent so often. */
  goesWhole?(sent: number): boolean;
  /**
   * What is said in place of the first payloads after it was sent so often, since the peer has most
   * likely not seen it; undefined: the same.
   */
  again?(sent: number): readonly Payload[] | undefined;
  /** The payloads of the request; undefined: it is pointless by now, or cannot be made. */
  build(): readonly Payload[] | undefined;
  /** There was no request, and it is abandoned: what is to come of its purpose. */
  unsent?(): void;
  /** Handles a response; what it is and that it is complete was found by `validate`. */
  process(response: Response): void;
  /** The peer's response is authentic, and no such response. */
  malformed(problem: string): void;
  /** The request was sent as often as it may be, and there is no response. */
  timedOut(): void;
  /** It comes to no end: gives back what was reserved, wipes secrets. */
  abandon(): void;
  /** The IKE SA is replaced before the request was sent: what to do on the new one in its place. */
  onSuccessor?(successor: IkeSa): Task | undefined;
}

/** What others may be under way beside, where the window has room (RFC 7296 §2.3). */
const BESIDE_OTHERS: ReadonlySet<TaskKind> = new Set([
  ...(['liveness', 'create-child', 'rekey-child', 'delete-child'] as const),
]);

export function isAlone({ kind, alone }: Task): boolean {
  return alone === true || !BESIDE_OTHERS.has(kind);
}

/** The task that a procedure has begun with. */
export function beginningOf(task: Task): Task {
  return task.begunBy ?? task;
}

export interface Response {
  readonly story: Story;
  readonly payloads: readonly Payload[];
  readonly header: PeekedHeader;
  /** The whole message as it came, without a non-ESP marker. */
  readonly message: Uint8Array;
}
