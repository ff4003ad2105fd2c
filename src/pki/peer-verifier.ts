/**
 * Whether a peer has proved its identity with a certificate: its path to a trust anchor, what it
 * may be used for, whose it is, whether it is revoked, and the signature of its AUTH payload.
 *
 * Every refusal says which certificate it is about, why, and what to change.
 */
import { refuseAuth, weaknessOf } from '../crypto/signature.js';
import { addon } from '../dataplane/addon.js';
import type { NativeTrustStore, PathResult, RevocationStatus } from '../dataplane/bindings/pki.js';
import type { Trust } from '../policy/authentication.js';
import { formatIdentity, nameIdentity } from '../policy/identity.js';
import type { RecheckJob, VerifyJob, VerifyResult } from '../policy/peer-proof.js';
import { Answers, type Ask, type Question } from './answers.js';
import {
  type Certificate,
  describeCertificate,
  identitiesOf,
  provesIdentity,
  refuseUsage,
} from './certificate.js';
import { CertificateCache } from './certificate-cache.js';
import { thisUpdateOf } from './crl.js';
import { crlQuestions, isDecided, type Judgement, judgeRevocation } from './revocation.js';

/** X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, _LOCALLY, and the self-signed ones: no anchor was reached. */
const NO_ANCHOR: readonly number[] = [2, 18, 19, 20, 21];
/** OCSP, then CRLs, then the result. */
const ROUNDS = 3;
/** CRLs that are fetched for the peers of one connection. */
const MAX_CRLS = 32;

export interface VerifierOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Asks authorities about revocation; without it only CRLs of the configuration count. */
  readonly ask?: Ask;
}

/** What is known of the authorities that a connection trusts. */
interface Store {
  readonly native: NativeTrustStore;
  /** CRLs besides those of the configuration, by where they come from. */
  readonly fetched: ReadonlyMap<string, Uint8Array>;
}

/** A CRL, and what it answers. */
interface Fetched {
  readonly question: Question;
  readonly crl: Uint8Array;
}

export class PeerVerifier {
  /** The trust of a connection that is gone takes its store with it. */
  readonly #stores = new WeakMap<Trust, Store>();
  readonly #certificates = new CertificateCache();
  readonly #answers: Answers;
  readonly #now: () => number;
  readonly #ask: Ask | undefined;

  constructor({ now = Date.now, ask }: VerifierOptions = {}) {
    this.#now = now;
    this.#ask = ask;
    this.#answers = new Answers(now);
  }

  /** `settle` is given the result: at once where no authority has to be asked. */
  verify(
    job: VerifyJob | RecheckJob,
    settle: (result: VerifyResult) => void,
    rounds = ROUNDS,
  ): void {
    const { result, questions } = this.#examine(job);
    const ask = this.#ask;
    if (questions.length === 0 || ask === undefined || rounds === 1) {
      settle(result);
      return;
    }
    const answered = questions.map((question) => this.#answers.ask(question, ask));
    void Promise.all(answered).then(() => this.verify(job, settle, rounds - 1));
  }

  #examine(job: VerifyJob | RecheckJob): Judgement {
    const { trust } = job;
    const [der = trust.pinned, ...others] = job.certificates;
    if (der === undefined) return refused('the peer has sent no certificate');
    const leaf = this.#certificates.read(der);
    if (leaf === undefined) return refused("the peer's certificate does not parse");
    const who = `the peer's certificate ${describeCertificate(leaf)}`;
    if (trust.pinned !== undefined && !sameOctets(der, trust.pinned)) {
      return refused(`${who} is not the one that the connection names (remote.cert)`);
    }
    const time = Math.floor(this.#now() / 1000);
    const found = this.#findPath(trust, [der, ...others], time);
    const path = found.path.flatMap((each) => this.#certificates.read(each) ?? []);
    if (path.length < found.path.length)
      return refused(`${who}: one of its path has a strange key`);
    const problem =
      this.#explainPath(found, path, trust, who) ??
      explainWeakness(path) ??
      prefixed(who, refuseUsage(leaf)) ??
      explainWrongIdentity(leaf, who, job) ??
      explainWrongSignature(leaf, job);
    if (problem !== undefined) return refused(problem);
    // Nobody is asked on behalf of a peer that has not proved itself so far.
    const policy = job.type === 'recheck' ? 'relaxed' : trust.revocation;
    const evidence = { found, path, answers: this.#answers, time };
    const { result, questions } = judgeRevocation(evidence, policy);
    return { result, questions: [...questions, ...this.#renewals(trust, path)] };
  }

  /**
   * With what CRLs say, those included that were fetched for certificates of this path. One that is
   * fetched counts, and takes the place of an older one, where by it OpenSSL knows whether the
   * certificate is revoked: http proves nothing, and a web server may answer with anything.
   */
  #findPath(trust: Trust, certificates: readonly Uint8Array[], time: number): PathResult {
    const store = this.#stores.get(trust) ?? this.#makeStore(trust, []);
    this.#stores.set(trust, store);
    const found = store.native.verify(certificates, time);
    const fresh = found.revocation.flatMap((status, depth) =>
      this.#freshCrls(store, found.path[depth]!, status).map((one) => ({ ...one, depth })),
    );
    if (fresh.length === 0) return found;
    const crls = fresh.map(({ question, crl }) => [question.url, crl] as const);
    const renewed = this.#makeStore(trust, [...store.fetched, ...crls]);
    const again = renewed.native.verify(certificates, time);
    const useless = fresh.filter(({ depth }) => !isDecided(again.revocation[depth]!));
    if (useless.length > 0) {
      for (const { question, depth } of useless) {
        this.#answers.refuse(question, again.revocation[depth]!.reason);
      }
      return this.#findPath(trust, certificates, time);
    }
    this.#stores.set(trust, renewed);
    return again;
  }

  /** What its authority has answered with that is not in the store, and is not older than that. */
  #freshCrls({ fetched }: Store, der: Uint8Array, { code }: RevocationStatus): Fetched[] {
    const certificate = this.#certificates.read(der);
    if (certificate === undefined) return [];
    return crlQuestions(certificate).flatMap((question): Fetched[] => {
      const answer = this.#answers.find(question);
      if (answer?.type !== 'octets') return [];
      const { octets: crl } = answer;
      const kept = fetched.get(question.url);
      if (kept === crl || (code === 0 && kept === undefined)) return [];
      const madeAt = thisUpdateOf(crl);
      if (madeAt === undefined || !isCrl(crl)) this.#answers.refuse(question, 'it is no CRL');
      else if (kept !== undefined && madeAt < thisUpdateOf(kept)!) {
        this.#answers.refuse(question, 'it is older than the CRL that was had before');
      } else return [{ question, crl }];
      return [];
    });
  }

  /** CRLs that were fetched, and are to be asked for again: there may be newer ones. */
  #renewals(trust: Trust, path: readonly Certificate[]): Question[] {
    const fetched = this.#stores.get(trust)?.fetched;
    return path
      .flatMap(crlQuestions)
      .filter((one) => fetched?.has(one.url) && this.#answers.find(one) === undefined);
  }

  #makeStore(trust: Trust, crls: readonly (readonly [string, Uint8Array])[]): Store {
    const fetched = new Map([...new Map(crls)].slice(-MAX_CRLS));
    const anchors = trust.anchors.map(({ certificate }) => certificate);
    const ends = anchors.length === 0 && trust.pinned !== undefined ? [trust.pinned] : anchors;
    return { native: new addon.TrustStore(ends, [...trust.crls, ...fetched.values()]), fetched };
  }

  #explainPath(
    found: PathResult,
    path: readonly Certificate[],
    trust: Trust,
    who: string,
  ): string | undefined {
    if (found.code === 0) return undefined;
    if (!NO_ANCHOR.includes(found.code)) {
      const certificate = path[found.depth];
      const which =
        certificate === undefined ? 'one of its path' : describeCertificate(certificate);
      return `${who} is refused: ${which}: ${found.reason}`;
    }
    const issuer = path.at(-1)?.facts.issuer ?? new Uint8Array(0);
    const anchors = trust.anchors.flatMap(({ certificate }) => {
      const anchor = this.#certificates.read(certificate);
      return anchor === undefined ? [] : [`trusted: ${describeCertificate(anchor)}`];
    });
    return [
      `${who} leads to no certificate authority that the connection trusts (remote.ca)`,
      `issuer:  "${formatIdentity(nameIdentity(issuer))}"`,
      ...anchors.slice(0, 8),
      'the peer sends an intermediate that is missing here, or its authority is to be trusted',
    ].join('\n');
  }
}

/** Whether OpenSSL reads it. */
function isCrl(octets: Uint8Array): boolean {
  try {
    new addon.TrustStore([], [octets]);
    return true;
  } catch {
    return false;
  }
}

function refused(explanation: string): Judgement {
  return { result: { type: 'refused', explanation }, questions: [] };
}

function prefixed(who: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `${who}: ${problem}`;
}

/** The keys of all but the anchor, which whoever trusts it has to judge. */
function explainWeakness(path: readonly Certificate[]): string | undefined {
  for (const certificate of path.slice(0, -1)) {
    const weakness = weaknessOf(certificate.publicKey);
    if (weakness !== undefined) return `${describeCertificate(certificate)}: ${weakness}`;
  }
  return undefined;
}

/** With a pinned certificate the configuration itself says whose it is. */
function explainWrongIdentity(
  leaf: Certificate,
  who: string,
  { identity, trust }: VerifyJob | RecheckJob,
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

/** Its signature was verified when it proved itself; then it is not asked for again. */
function explainWrongSignature(
  { publicKey }: Certificate,
  job: VerifyJob | RecheckJob,
): string | undefined {
  if (job.type === 'recheck') return undefined;
  const { identity, method, data, octets } = job;
  return prefixed(
    `AUTH of ${formatIdentity(identity)}`,
    refuseAuth(publicKey, method, data, octets),
  );
}

function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
