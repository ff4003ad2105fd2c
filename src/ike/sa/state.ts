/**
 * The states of an IKE SA and of a Child SA, and the rows by which they go from one to the next. A
 * row that is not here does not happen: `transition` throws, which would be a mistake of ours,
 * never of a peer.
 */
import type { Milliseconds } from '../event.js';

export type Role = 'initiator' | 'responder';

export type IkeSaState =
  /** Initiator: IKE_SA_INIT is under way. */
  | { readonly name: 'initiating' }
  /** Responder: IKE_SA_INIT came, IKE_AUTH has not succeeded. */
  | { readonly name: 'half-open' }
  /** Initiator: there are keys, IKE_AUTH is under way. */
  | { readonly name: 'authenticating' }
  /** Made by the peer's rekeying while ours is under way: which of the two stays is open (§2.8.2). */
  | { readonly name: 'rival' }
  | { readonly name: 'established'; readonly at: Milliseconds }
  /** The peer has rekeyed it, or it has lost against another rekeying: the peer deletes it. */
  | { readonly name: 'replaced' }
  /** Our Delete, or our refusal of the peer's AUTH, is under way. */
  | { readonly name: 'deleting' }
  | { readonly name: 'closed' };

/** Whether an attempt of ours is on its way to being established. */
export function isUnderWay({ name }: IkeSaState): boolean {
  return name === 'initiating' || name === 'authenticating';
}

export type StateName = IkeSaState['name'];

interface Transition {
  readonly story: string;
  readonly role: Role | 'both';
  readonly from: StateName;
  readonly to: StateName;
}

const TRANSITIONS = [
  {
    story: 'IKE_SA_INIT is answered',
    role: 'initiator',
    from: 'initiating',
    to: 'authenticating',
  },
  {
    story: 'the peer has proved its identity',
    role: 'initiator',
    from: 'authenticating',
    to: 'established',
  },
  {
    story: 'the peer has not proved its identity',
    role: 'initiator',
    from: 'authenticating',
    to: 'deleting',
  },
  {
    story: 'the peer has proved its identity',
    role: 'responder',
    from: 'half-open',
    to: 'established',
  },
  {
    story: 'of two rekeyings it is the one that stays',
    role: 'both',
    from: 'rival',
    to: 'established',
  },
  {
    story: 'of two rekeyings it is the one that goes',
    role: 'both',
    from: 'rival',
    to: 'replaced',
  },
  { story: 'the peer has rekeyed it', role: 'both', from: 'established', to: 'replaced' },
  { story: 'Delete is sent', role: 'both', from: 'established', to: 'deleting' },
  { story: 'Delete is sent', role: 'both', from: 'replaced', to: 'deleting' },
  { story: 'Delete is sent', role: 'both', from: 'rival', to: 'deleting' },
  { story: 'the attempt ends', role: 'initiator', from: 'initiating', to: 'closed' },
  { story: 'the attempt ends', role: 'initiator', from: 'authenticating', to: 'closed' },
  { story: 'the attempt ends', role: 'responder', from: 'half-open', to: 'closed' },
  { story: 'the IKE SA ends at once', role: 'both', from: 'established', to: 'closed' },
  { story: 'the IKE SA ends at once', role: 'both', from: 'replaced', to: 'closed' },
  { story: 'the IKE SA ends at once', role: 'both', from: 'rival', to: 'closed' },
  { story: 'Delete is over', role: 'both', from: 'deleting', to: 'closed' },
] as const satisfies readonly Transition[];

/** The row from one state to another. Throws where there is none. */
export function transition(role: Role, from: StateName, to: StateName): Transition {
  const row = (TRANSITIONS as readonly Transition[]).find(
    (candidate) =>
      candidate.from === from &&
      candidate.to === to &&
      (candidate.role === 'both' || candidate.role === role),
  );
  if (row === undefined) throw new Error(`an IKE SA as ${role} does not go from ${from} to ${to}`);
  return row;
}

export type ChildState =
  | 'installed'
  /** Our rekeying of it is under way. */
  | 'rekeying'
  /** Another has taken its place, and the peer is to delete it. */
  | 'replaced'
  /** We delete it. */
  | 'deleting';

interface ChildTransition {
  readonly story: string;
  readonly from: ChildState;
  readonly to: ChildState;
}

const CHILD_TRANSITIONS = [
  { story: 'rekeying is asked for', from: 'installed', to: 'rekeying' },
  { story: 'the peer does not rekey it now', from: 'rekeying', to: 'installed' },
  { story: 'rekeyed by us', from: 'rekeying', to: 'deleting' },
  { story: "of two rekeyings the peer's stays", from: 'rekeying', to: 'replaced' },
  { story: 'rekeyed by the peer', from: 'installed', to: 'replaced' },
  { story: 'Delete is asked for', from: 'installed', to: 'deleting' },
  { story: 'the peer has not deleted it in time', from: 'replaced', to: 'deleting' },
] as const satisfies readonly ChildTransition[];

/** The row from one state of a Child SA to another. Throws where there is none. */
export function childTransition(from: ChildState, to: ChildState): ChildTransition {
  const row = CHILD_TRANSITIONS.find((candidate) => candidate.from === from && candidate.to === to);
  if (row === undefined) throw new Error(`a Child SA does not go from ${from} to ${to}`);
  return row;
}
