/**
 * What follows from what is known of revocation (RFC 5280 §6.3): a certificate that is known as
 * revoked is refused; what an unknown one means is for the policy of the connection to say.
 */
import type { PathResult } from '../dataplane/addon.js';
import type { Revocation } from '../policy/authentication.js';
import type { VerifyResult } from '../policy/peer-proof.js';
import { describeCertificate, readCertificate } from './certificate.js';

/** X509_V_ERR_CERT_REVOKED. */
const REVOKED = 23;

export function judgeRevocation(found: PathResult, policy: Revocation): VerifyResult {
  const notes: string[] = [];
  for (const [depth, { code, reason }] of found.revocation.entries()) {
    if (code === 0) continue;
    const certificate = readCertificate(found.path[depth]!)!;
    const who = describeCertificate(certificate);
    if (code === REVOKED) return { type: 'refused', explanation: `${who} is revoked` };
    const { crlUrls, ocspUrls } = certificate.facts;
    const asked = crlUrls.length + ocspUrls.length > 0;
    const note = `whether ${who} is revoked is not known: ${reason}`;
    if (policy === 'strict' || (policy === 'ifuri' && asked)) {
      const explanation = `${note} (revocation = "${policy}" wants to know)`;
      return { type: 'refused', explanation };
    }
    if (asked) notes.push(note);
  }
  return { type: 'verified', notes };
}
