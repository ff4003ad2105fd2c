/**
 * The certificate that a peer has proved itself with, looked at again as long as the IKE SA lives:
 * SAs last no longer than certificates do (RFC 4301 §4.4.2.1). That is done every few minutes, for
 * which answers of authorities count, and when the configuration has other CRLs.
 */

import type { Core } from '../core.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { refused } from './authentication.js';

/** Ends the IKE SA, or says so, where the certificate of its peer is revoked or over by now. */
export function recheckPeer(sa: IkeSa, core: Core): void {
  const { connection, peerCertificates, state } = sa;
  if (state.name !== 'established' || peerCertificates === undefined) return;
  const trust = core.connection(connection!.name)?.remote.authentication;
  if (trust?.type !== 'certificate') return;
  sa.compute({ type: 'recheck', trust, ...peerCertificates }, (result) => {
    if (result.type === 'verified') {
      for (const note of result.notes) sa.log('debug', note);
    } else if (result.type === 'refused') {
      const { explanation } = result;
      if (trust.onRevocation === 'keep') sa.log('warn', `${explanation}; its SAs are kept`);
      else end(sa, explanation);
    }
  });
}

function end(sa: IkeSa, explanation: string): void {
  if (sa.state.name !== 'established') return;
  sa.report(refused(explanation));
  sa.terminate("the peer's certificate is not good any more");
}
