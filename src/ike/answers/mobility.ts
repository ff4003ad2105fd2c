/**
 * MOBIKE's notifications in an INFORMATIONAL of the peer (RFC 4555 §3.5, §3.7, §3.8, §3.9): a mover
 * that is elsewhere now, the question whether we are here, and what lies between.
 */
import { sameEndpoint } from '../../sad/sad.js';
import { NOTIFY, type Payload } from '../../wire/index.js';
import type { Core } from '../core.js';
import { formatEndpoint } from '../explain.js';
import { hasNotify, notifiesOf, notify } from '../messages/payloads.js';
import { detectNat, fakeSource, isProhibited, NO_NAT, natDetection } from '../path/nat.js';
import type { Datagram, IkeSa } from '../sa/ike-sa.js';
import type { Answer } from './answer.js';

/** What the response has of MOBIKE, and what follows; nothing where that was not negotiated. */
export function answerMobility(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  datagram: Datagram,
  messageId: number,
): Answer {
  const { mobility, paths } = sa.place;
  if (mobility === undefined) return { payloads: [] };
  paths?.learn(sa.place, payloads);
  const has = (notifyType: number) => hasNotify(payloads, notifyType);
  const echo = notifiesOf(payloads, NOTIFY.COOKIE2).slice(0, 1);
  if (isProhibited(payloads, datagram.local, datagram.remote)) {
    return { payloads: [notify(NOTIFY.UNEXPECTED_NAT_DETECTED), ...echo] };
  }
  const moves =
    has(NOTIFY.UPDATE_SA_ADDRESSES) && mobility === 'follower' && sa.place.isNewestMove(messageId);
  const { natTraversal, forceUdpEncapsulation: forced } = sa.connection!;
  const asks = natTraversal && has(NOTIFY.NAT_DETECTION_SOURCE_IP);
  const { local, remote } = datagram;
  return {
    payloads: [
      ...(asks ? natDetection(sa.spis, local, remote, fakeSource(core, forced)) : []),
      ...echo,
    ],
    ...(moves && { afterwards: () => follow(sa, payloads, datagram) }),
  };
}

/** §3.5: IKE goes to where the request came from; ESP when the peer has shown that it is there. */
function follow(sa: IkeSa, payloads: readonly Payload[], { local, remote }: Datagram): void {
  const { name } = sa.state;
  if (name !== 'established' && name !== 'rival') return;
  if (!sameEndpoint(sa.remote, remote)) {
    sa.log('info', `the peer moves from ${formatEndpoint(sa.remote)} to ${formatEndpoint(remote)}`);
  }
  const { natTraversal, forceUdpEncapsulation: forced } = sa.connection!;
  const nat = natTraversal ? detectNat(payloads, sa.spis, local, remote, forced) : NO_NAT;
  sa.place.local = local;
  sa.place.remote = remote;
  if (nat.supported) sa.place.nat = nat;
  // A rival on which the peer moves has won for the peer already; for us as soon as we know of it.
  if (name === 'rival') sa.place.isUnproved = true;
  else sa.place.checkPeer();
}
