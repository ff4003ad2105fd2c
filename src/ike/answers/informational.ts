/**
 * INFORMATIONAL of the peer (RFC 7296 §1.4): Deletes, notifications, liveness checks.
 * Left out: configuration payloads, which may be ignored (§3.15).
 */
import type { EspSpi } from '../../sad/sad.js';
import { NOTIFY, type Payload, PROTOCOL } from '../../wire/index.js';
import { deleteEsp, espSpiOf } from '../child-sa.js';
import type { Core } from '../core.js';
import type { IkeSa } from '../ike-sa.js';
import { errorOf, notifyName } from '../payloads.js';
import type { Answer } from './answer.js';

export function answerInformational(sa: IkeSa, core: Core, payloads: readonly Payload[]): Answer {
  const deletes = payloads.flatMap((payload) => (payload.kind === 'D' ? [payload] : []));
  if (deletes.some(({ protocolId }) => protocolId === PROTOCOL.IKE)) {
    // §1.4.1: the response is empty; all Child SAs go with it.
    return { payloads: [], afterwards: () => sa.close('deleted by the peer') };
  }
  const error = errorOf(payloads);
  if (error !== undefined && isFatal(error.notifyType)) {
    // §2.21.2, §2.21.3: the peer does not take us for who we say, or not for sane.
    const reason = `the peer has sent ${notifyName(error.notifyType)}`;
    return { payloads: [], afterwards: () => sa.close(reason) };
  }
  const spis = deletes.flatMap((payload) =>
    payload.protocolId === PROTOCOL.ESP ? payload.spis : [],
  );
  const removed = removeChildren(sa, spis);
  if (removed.length === 0) return { payloads: [] };
  return { payloads: [deleteEsp(removed)], afterwards: () => core.childGone(sa) };
}

function isFatal(notifyType: number): boolean {
  return notifyType === NOTIFY.AUTHENTICATION_FAILED || notifyType === NOTIFY.INVALID_SYNTAX;
}

/**
 * §1.4.1: the peer names its inbound SAs, we remove the pairs and answer with ours. Those that are
 * not there any more, because our own Delete is on its way, are left out.
 */
function removeChildren(sa: IkeSa, spis: readonly Uint8Array[]): EspSpi[] {
  return spis.flatMap((octets) => {
    const spi = espSpiOf(octets);
    const child = sa.children.find((one) => one.sa.outboundSpi === spi);
    if (child === undefined) return [];
    sa.removeChild(child.sa.inboundSpi, 'deleted by the peer');
    return [child.sa.inboundSpi];
  });
}
