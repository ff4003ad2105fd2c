/**
 * The states of an IKE SA and the rows by which it goes from one to the next. A row that is not
 * here does not happen: `transition` throws, which would be a mistake of ours, never of a peer.
 */
import type { Milliseconds } from './event.js';

export type Role = 'initiator' | 'responder';

export type IkeSaState =
  /** Initiator: IKE_SA_INIT is under way. */
  | { readonly name: 'initiating' }
  /** Responder: IKE_SA_INIT came, IKE_AUTH has not succeeded. */
  | { readonly name: 'half-open' }
  /** Initiator: there are keys, IKE_AUTH is under way. */
  | { readonly name: 'authenticating' }
  | { readonly name: 'established'; readonly at: Milliseconds }
  /** Our Delete, or our refusal of the peer's AUTH, is under way. */
  | { readonly name: 'deleting' }
  | { readonly name: 'closed' };

export type StateName = IkeSaState['name'];

interface Transition {
  readonly story: string;
  readonly role: Role | 'both';
  readonly from: StateName;
  readonly to: StateName;
}

export const TRANSITIONS = [
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
  { story: 'Delete is sent', role: 'both', from: 'established', to: 'deleting' },
  { story: 'the attempt ends', role: 'initiator', from: 'initiating', to: 'closed' },
  { story: 'the attempt ends', role: 'initiator', from: 'authenticating', to: 'closed' },
  { story: 'the attempt ends', role: 'responder', from: 'half-open', to: 'closed' },
  { story: 'the IKE SA ends at once', role: 'both', from: 'established', to: 'closed' },
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
