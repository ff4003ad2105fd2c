/**
 * INFORMATIONAL of the peer (RFC 7296 §1.4): Deletes, notifications, liveness checks.
 * Left out: configuration payloads, which may be ignored (§3.15).
 */
import {
  NOTIFY,
  type Payload,
  type PayloadOf,
  type PeekedHeader,
  PROTOCOL,
} from '../../wire/index.js';
import { announcedLifetime } from '../auth/auth-lifetime.js';
import {
  type ChildName,
  deletePayloads,
  espSpiOf,
  type InstalledChild,
} from '../child/child-sa.js';
import type { Core } from '../core.js';
import { errorOf, notifyName } from '../messages/payloads.js';
import type { OutstandingRequest } from '../messages/window.js';
import { announceWindow, heedWindow } from '../messages/window-size.js';
import { explainRedirect } from '../redirect.js';
import type { Datagram, IkeSa } from '../sa/ike-sa.js';
import { CreateChild } from '../tasks/create-child.js';
import { DeleteChild } from '../tasks/delete.js';
import { beginningOf } from '../tasks/task.js';
import type { Answer } from './answer.js';
import { answerMobility } from './mobility.js';

export function answerInformational(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  datagram: Datagram,
  { messageId }: PeekedHeader,
): Answer {
  const deletes = payloads.filter((payload) => payload.kind === 'D');
  if (deletes.some(({ protocolId }) => protocolId === PROTOCOL.IKE)) {
    // §1.4.1: the response is empty; all Child SAs go with it.
    return { payloads: [], afterwards: () => sa.succession.deletedByPeer() };
  }
  const error = errorOf(payloads);
  if (error !== undefined && isFatal(error.notifyType)) {
    // §2.21.2, §2.21.3: the peer does not take us for who we say, or not for sane.
    const reason = `the peer has sent ${notifyName(error.notifyType)}`;
    return { payloads: [], afterwards: () => sa.close(reason) };
  }
  sa.lifespan.limit(announcedLifetime(payloads));
  const redirect = explainRedirect(payloads);
  if (redirect !== undefined) {
    core.count('ike-redirect');
    sa.log('warn', redirect.explanation);
  }
  const removed = deletes.flatMap((payload) => removeChildren(sa, payload));
  if (removed.length === 0) {
    const window = heedWindow(sa, payloads) ? announceWindow(sa) : [];
    const answer = answerMobility(sa, core, payloads, datagram, messageId);
    return { ...answer, payloads: [...answer.payloads, ...window] };
  }
  return { payloads: deletePayloads(removed), afterwards: () => core.childGone(sa) };
}

function isFatal(notifyType: number): boolean {
  return notifyType === NOTIFY.AUTHENTICATION_FAILED || notifyType === NOTIFY.INVALID_SYNTAX;
}

/**
 * §1.4.1: the peer names its inbound SAs, we remove the pairs and answer with ours. §2.25.1: those
 * that our own Delete, which is on its way, names are left out, and those that we do not know.
 */
function removeChildren(sa: IkeSa, { protocolId, spis }: PayloadOf<'D'>): ChildName[] {
  return spis.flatMap((octets) => {
    const child = sa.children.byOutbound(protocolId, espSpiOf(octets));
    if (child === undefined) deletedEarly(sa, octets);
    if (child === undefined || isBeingDeleted(sa, child)) return [];
    sa.children.deletedByPeer(child);
    if (isServedByAnother(sa, child)) sa.children.drain(child, 'deleted by the peer');
    else sa.children.remove(child, 'deleted by the peer');
    return [child.sa];
  });
}

/** What is not known here may be what one of our requests is about to be answered. */
function deletedEarly(sa: IkeSa, spi: Uint8Array): void {
  for (const { task } of sa.window.requests) {
    const begun = beginningOf(task);
    if (begun instanceof CreateChild) begun.deletedEarly(spi);
  }
}

function isBeingDeleted(sa: IkeSa, child: InstalledChild): boolean {
  const isIts = ({ task }: OutstandingRequest) => task instanceof DeleteChild && task.isOf(child);
  return sa.window.find(isIts) !== undefined;
}

function isServedByAnother(sa: IkeSa, child: InstalledChild): boolean {
  return [...sa.children].some(
    (other) => other !== child && other.policy.name === child.policy.name,
  );
}
