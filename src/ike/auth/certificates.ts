/**
 * CERT and CERTREQ payloads (RFC 7296 §3.6, §3.7).
 *
 * Certificates travel in the messages themselves. Those that a peer has somewhere else are not
 * fetched (§3.6, Hash and URL): nobody may have us open connections to places of its choice.
 */
import type { Connection } from '../../policy/connection.js';
import { CERT_ENCODING, nameOf, type Payload, type PayloadOf } from '../../wire/index.js';

/** Certificates that a peer may send; a path has rarely more than three. */
const MAX_CERTIFICATES = 10;
/** Trust anchors that are named in a CERTREQ; with more, none is named, which asks for any. */
const MAX_AUTHORITIES = 32;

const EMPTY = new Uint8Array(0);

/** Our certificate, and those that lead from it towards what the peer trusts. */
export function certificatePayloads({ local }: Connection): PayloadOf<'CERT'>[] {
  const { authentication } = local;
  if (authentication.type !== 'certificate') return [];
  return authentication.chain.map((data) => {
    return { kind: 'CERT', encoding: CERT_ENCODING.X509_SIGNATURE, data };
  });
}

/** Asks for a certificate by which one of these connections' peers would prove itself. */
export function certificateRequests(connections: readonly Connection[]): PayloadOf<'CERTREQ'>[] {
  const trusts = connections.flatMap(({ remote: { authentication } }) =>
    authentication.type === 'certificate' ? [authentication] : [],
  );
  if (trusts.length === 0) return [];
  const hashes = new Map(
    trusts.flatMap(({ anchors }) => anchors.map(({ keyHash }) => [keyHash.join(), keyHash])),
  );
  const named = hashes.size <= MAX_AUTHORITIES ? [...hashes.values()] : [];
  const authorities = named.length === 0 ? EMPTY : Uint8Array.from(named.flatMap((h) => [...h]));
  return [{ kind: 'CERTREQ', encoding: CERT_ENCODING.X509_SIGNATURE, authorities }];
}

/** The certificates that a peer has sent, its own first; or why there is none to go by. */
export function readCertificates(payloads: readonly Payload[]): {
  readonly certificates: readonly Uint8Array[];
  readonly problem?: string;
} {
  const all = payloads.filter((payload): payload is PayloadOf<'CERT'> => payload.kind === 'CERT');
  const certificates = all
    .filter(({ encoding }) => encoding === CERT_ENCODING.X509_SIGNATURE)
    .map(({ data }) => data);
  if (certificates.length > MAX_CERTIFICATES) {
    const problem = `the peer sends ${certificates.length} certificates, at most ${MAX_CERTIFICATES} are taken`;
    return { certificates: [], problem };
  }
  if (certificates.length > 0) return { certificates };
  const others = [...new Set(all.map(({ encoding }) => nameOf(CERT_ENCODING, encoding)))];
  const problem =
    others.length === 0
      ? 'the peer has sent no certificate'
      : `the peer has sent ${others.join(', ')} and no X509_SIGNATURE certificate`;
  return { certificates, problem };
}
