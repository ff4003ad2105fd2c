/** An IKE SA as status shows it. */
import { formatIdentity } from '../policy/identity.js';
import { formatSuite } from '../policy/suite.js';
import { viewChild } from './child/child-sa.js';
import type { IkeSaView } from './event.js';
import type { IkeSa } from './sa/ike-sa.js';

/** Undefined for a half-open SA, whose connection is not known yet. */
export function viewIkeSa(sa: IkeSa): IkeSaView | undefined {
  const { connection, local, remote, nat } = sa;
  if (connection === undefined) return undefined;
  const { name } = sa.state;
  return {
    connection: connection.name,
    state:
      name === 'established' || name === 'replaced' || name === 'deleting' ? name : 'connecting',
    role: sa.role,
    local,
    remote,
    localId: formatIdentity(connection.local.identity),
    remoteId: formatIdentity(sa.remoteIdentity ?? connection.remote.identity),
    proposal: sa.negotiated === undefined ? '' : formatSuite(sa.negotiated.suite),
    natLocal: nat.local,
    natRemote: nat.remote,
    startedAt: sa.startedAt,
    establishedAt: sa.establishedAt,
    // A rival's are still those of the IKE SA that it may replace.
    children: sa.children.owner === sa ? [...sa.children].map(viewChild) : [],
    ...sa.spis,
  };
}
