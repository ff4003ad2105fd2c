/**
 * What authorities have answered about revocation: CRLs and OCSP responses, and which of them could
 * not be had. For some minutes they are not asked again; what is kept is bounded.
 */

export interface Question {
  readonly kind: 'crl' | 'ocsp';
  readonly url: string;
  /** An OCSPRequest in DER. */
  readonly body?: Uint8Array;
}

/** Asks; rejects with an Error that says why there is no answer. */
export type Ask = (question: Question) => Promise<Uint8Array>;

export type Answer =
  | { readonly type: 'octets'; readonly octets: Uint8Array }
  | { readonly type: 'failure'; readonly reason: string };

const KEEP_MS = 600_000;
const KEEP_FAILURE_MS = 60_000;
const MAX_ANSWERS = 256;
const MAX_OCTETS = 32 << 20;

export class Answers {
  readonly #now: () => number;
  /** The oldest first. */
  readonly #kept = new Map<string, { readonly answer: Answer; readonly until: number }>();
  readonly #underWay = new Map<string, Promise<void>>();
  #octets = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  find(question: Question): Answer | undefined {
    const kept = this.#kept.get(keyOf(question));
    return kept !== undefined && this.#now() < kept.until ? kept.answer : undefined;
  }

  /** Resolves when there is an answer, or the reason why there is none. */
  ask(question: Question, ask: Ask): Promise<void> {
    const key = keyOf(question);
    let asking = this.#underWay.get(key);
    if (asking === undefined) {
      asking = ask(question)
        .then(
          (octets) => this.#keep(key, { type: 'octets', octets }, KEEP_MS),
          (error: Error) => {
            const reason = `${question.url}: ${error.message}`;
            this.#keep(key, { type: 'failure', reason }, KEEP_FAILURE_MS);
          },
        )
        .finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, asking);
    }
    return asking;
  }

  /** The answer is of no use: it counts as none, and is asked for again in a minute. */
  refuse(question: Question, why: string): void {
    const reason = `${question.url}: ${why}`;
    this.#keep(keyOf(question), { type: 'failure', reason }, KEEP_FAILURE_MS);
  }

  #keep(key: string, answer: Answer, forMs: number): void {
    this.#drop(key);
    this.#kept.set(key, { answer, until: this.#now() + forMs });
    this.#octets += sizeOf(answer);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_ANSWERS && this.#octets <= MAX_OCTETS) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#octets -= sizeOf(kept.answer);
    this.#kept.delete(key);
  }
}

function keyOf({ url, body }: Question): string {
  return body === undefined ? url : `${url} ${Buffer.from(body).toString('base64')}`;
}

function sizeOf(answer: Answer): number {
  return answer.type === 'octets' ? answer.octets.length : 0;
}
