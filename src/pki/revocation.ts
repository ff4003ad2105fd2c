/**
 * Whether the certificates of a path are revoked (RFC 5280 §6.3, RFC 6960): by CRLs, which were
 * looked at with the path, else by OCSP, else by CRLs that are fetched. A certificate that is known
 * as revoked is refused; what an unknown one means is for the policy of the connection to say.
 */
import { addon } from '../dataplane/addon.js';
import type { PathResult, RevocationStatus } from '../dataplane/bindings/pki.js';
import type { Revocation } from '../policy/authentication.js';
import type { VerifyResult } from '../policy/peer-proof.js';
import type { Answers, Question } from './answers.js';
import { type Certificate, describeCertificate } from './certificate.js';

/** X509_V_ERR_CERT_REVOKED. */
const REVOKED = 23;
/** Places of each kind that one certificate may have us ask. */
const MAX_PLACES = 2;

/** Whether it says that a certificate is revoked, or that it is not. */
export function isDecided({ code }: RevocationStatus): boolean {
  return code === 0 || code === REVOKED;
}

/** A result that holds as long as nothing more is known. */
export interface Judgement {
  readonly result: VerifyResult;
  /** What would let more be known. */
  readonly questions: readonly Question[];
}

export interface Evidence {
  readonly found: PathResult;
  /** The certificates of the path, leaf first. */
  readonly path: readonly Certificate[];
  readonly answers: Answers;
  /** Seconds since 1970. */
  readonly time: number;
}

export function judgeRevocation(evidence: Evidence, policy: Revocation): Judgement {
  const notes: string[] = [];
  const questions: Question[] = [];
  let refusal: VerifyResult | undefined;
  for (const [depth, { code, reason }] of evidence.found.revocation.entries()) {
    if (code === 0) continue;
    const certificate = evidence.path[depth]!;
    const who = describeCertificate(certificate);
    const known = code === REVOKED ? { code, reason } : askOthers(evidence, depth, questions);
    if (known.code === 0) continue;
    if (known.code === REVOKED) return { result: refused(`${who} is revoked`), questions: [] };
    const { crlUrls, ocspUrls } = certificate.facts;
    const asks = crlUrls.length + ocspUrls.length > 0;
    const note = `whether ${who} is revoked is not known: ${known.reason}`;
    if (policy === 'strict' || (policy === 'ifuri' && asks)) {
      refusal ??= refused(`${note} (revocation = "${policy}" wants to know)`);
    }
    if (asks) notes.push(note);
  }
  return { result: refusal ?? { type: 'verified', notes }, questions };
}

function refused(explanation: string): VerifyResult {
  return { type: 'refused', explanation };
}

/** What OCSP says of a certificate of which no CRL says anything; what is to be asked is added. */
function askOthers(
  { found, path, answers, time }: Evidence,
  depth: number,
  questions: Question[],
): RevocationStatus {
  const [certificate, issuer] = [path[depth]!, path[depth + 1]!];
  const { reason } = found.revocation[depth]!;
  const reasons = [reason];
  const toAsk: Question[] = [];
  for (const url of certificate.facts.ocspUrls.slice(0, MAX_PLACES)) {
    const body = addon.ocspRequest(certificate.der, issuer.der);
    const question: Question = { kind: 'ocsp', url, body };
    const answer = answers.find(question);
    if (answer === undefined) toAsk.push(question);
    else if (answer.type === 'failure') reasons.push(answer.reason);
    else {
      const status = addon.ocspStatus(answer.octets, certificate.der, issuer.der, time);
      if (status.code === 0 || status.code === REVOKED) return status;
      reasons.push(`${url}: ${status.reason}`);
    }
  }
  // A CRL is fetched only where OCSP has said nothing: it may be large.
  if (toAsk.length === 0) {
    for (const question of crlQuestions(certificate)) {
      const answer = answers.find(question);
      if (answer === undefined) toAsk.push(question);
      else if (answer.type === 'failure') reasons.push(answer.reason);
    }
  }
  questions.push(...toAsk);
  return { code: found.revocation[depth]!.code, reason: reasons.join('; ') };
}

/** Where the CRLs of a certificate can be had. */
export function crlQuestions({ facts }: Certificate): Question[] {
  return facts.crlUrls.slice(0, MAX_PLACES).map((url) => ({ kind: 'crl', url }));
}
