/**
 * Whether a peer has proved its identity with a certificate: its path to a trust anchor, what it
 * may be used for, whose it is, whether it is revoked, and the signature of its AUTH payload.
 *
 * Every refusal says which certificate it is about, why, and what to change.
 */
import { refuseAuth, weaknessOf } from '../crypto/signature.js';
import { addon, type NativeTrustStore, type PathResult } from '../dataplane/addon.js';
import type { Trust } from '../policy/authentication.js';
import { formatIdentity } from '../policy/identity.js';
import type { VerifyJob, VerifyResult } from '../policy/peer-proof.js';
import {
  type Certificate,
  describeCertificate,
  identitiesOf,
  provesIdentity,
  readCertificate,
  refuseUsage,
} from './certificate.js';
import { judgeRevocation } from './revocation.js';

/** X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, _LOCALLY, and the self-signed ones: no anchor was reached. */
const NO_ANCHOR: readonly number[] = [2, 18, 19, 20, 21];

export class PeerVerifier {
  /** Made when first used; the trust of a connection that is gone takes its store with it. */
  readonly #stores = new WeakMap<Trust, NativeTrustStore>();
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  verify(job: VerifyJob): VerifyResult {
    const { trust, identity, method, data, octets } = job;
    const [der = trust.pinned, ...others] = job.certificates;
    if (der === undefined) return refused('the peer has sent no certificate');
    const leaf = readCertificate(der);
    if (leaf === undefined) return refused("the peer's certificate does not parse");
    const who = `the peer's certificate ${describeCertificate(leaf)}`;
    if (trust.pinned !== undefined && !sameOctets(der, trust.pinned)) {
      return refused(`${who} is not the one that the connection names (remote.cert)`);
    }
    const found = this.#storeOf(trust).verify([der, ...others], Math.floor(this.#now() / 1000));
    const problem =
      explainPath(found, trust, who) ??
      explainWeakness(found) ??
      prefixed(who, refuseUsage(leaf)) ??
      explainWrongIdentity(leaf, who, job) ??
      prefixed(
        `AUTH of ${formatIdentity(identity)}`,
        refuseAuth(leaf.publicKey, method, data, octets),
      );
    if (problem !== undefined) return refused(problem);
    return judgeRevocation(found, trust.revocation);
  }

  #storeOf(trust: Trust): NativeTrustStore {
    let store = this.#stores.get(trust);
    if (store === undefined) {
      const anchors = trust.anchors.map(({ certificate }) => certificate);
      const ends = anchors.length === 0 && trust.pinned !== undefined ? [trust.pinned] : anchors;
      store = new addon.TrustStore(ends, trust.crls);
      this.#stores.set(trust, store);
    }
    return store;
  }
}

function refused(explanation: string): VerifyResult {
  return { type: 'refused', explanation };
}

function prefixed(who: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `${who}: ${problem}`;
}

function explainPath(found: PathResult, trust: Trust, who: string): string | undefined {
  if (found.code === 0) return undefined;
  if (!NO_ANCHOR.includes(found.code)) {
    return `${who} is refused: ${nameAt(found, found.depth)}: ${found.reason}`;
  }
  const last = readCertificate(found.path.at(-1) ?? new Uint8Array(0));
  const issuer =
    last === undefined ? 'unknown' : formatIdentity({ type: 9, data: last.facts.issuer });
  const anchors = trust.anchors.map(({ certificate }) => {
    const anchor = readCertificate(certificate);
    return `trusted: ${anchor === undefined ? 'unreadable' : describeCertificate(anchor)}`;
  });
  return [
    `${who} leads to no certificate authority that the connection trusts (remote.ca)`,
    `issuer:  "${issuer}"`,
    ...anchors.slice(0, 8),
    'the peer sends an intermediate that is missing here, or its authority is to be trusted',
  ].join('\n');
}

function nameAt({ path }: PathResult, depth: number): string {
  const certificate = path[depth] && readCertificate(path[depth]);
  return certificate === undefined ? `certificate ${depth}` : describeCertificate(certificate);
}

/** The keys of all but the anchor, which whoever trusts it has to judge. */
function explainWeakness({ path }: PathResult): string | undefined {
  for (const der of path.slice(0, -1)) {
    const certificate = readCertificate(der);
    if (certificate === undefined) return 'a certificate of the path has a key of unknown type';
    const weakness = weaknessOf(certificate.publicKey);
    if (weakness !== undefined) return `${describeCertificate(certificate)}: ${weakness}`;
  }
  return undefined;
}

/** With a pinned certificate the configuration itself says whose it is. */
function explainWrongIdentity(
  leaf: Certificate,
  who: string,
  { identity, trust }: VerifyJob,
): string | undefined {
  if (trust.pinned !== undefined || provesIdentity(leaf, identity)) return undefined;
  return [
    `${who} is not for the identity that the peer claims`,
    `claimed: ${formatIdentity(identity)}`,
    ...identitiesOf(leaf)
      .slice(0, 8)
      .map((own) => `proved:  ${formatIdentity(own)}`),
  ].join('\n');
}

function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
