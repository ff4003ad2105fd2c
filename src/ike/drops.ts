/**
 * Messages that the core did not serve, by name: those that it passed over in silence, and those
 * that it refused in words (RFC 7296 §2.5, §2.21).
 */
export type DropReason =
  /** For an IKE SA of ours, and its ICV does not hold, or it has none. */
  | 'ike-not-authentic'
  /** An error in clear after IKE_SA_INIT: a hint at most (§2.21.4). */
  | 'ike-in-clear'
  /** A request with another message ID than what is due (§2.3), or one that has no place now. */
  | 'ike-unexpected-request'
  /** A request that is here already: its answer is under way, or goes with its first fragment. */
  | 'ike-repeated-request'
  /** A response to nothing that was asked, or to what has its answer. */
  | 'ike-stray-response'
  /** A response that does not decode, or is none to its request (§2.21.3). */
  | 'ike-bad-response'
  /** Answered INVALID_SYNTAX. */
  | 'ike-invalid-syntax'
  /** Answered UNSUPPORTED_CRITICAL_PAYLOAD (§2.5). */
  | 'ike-critical-payload'
  /** Of an exchange type that we do not know; answered NO_PROPOSAL_CHOSEN (§2.21.3). */
  | 'ike-unknown-exchange'
  /** Answered TS_MAX_QUEUE (RFC 9611): one Child SA too many with the same selectors. */
  | 'ike-max-queue'
  /** Of a version above 2 (§2.5). */
  | 'ike-major-version'
  /** It sends us elsewhere (RFC 5685), which is refused. */
  | 'ike-redirect'
  /** For an SPI that is none of ours (§2.21.4). */
  | 'ike-unknown-spi'
  /** An IKE_SA_INIT request while its address has as many half-open IKE SAs as it may. */
  | 'ike-half-open-full'
  /** A half-open IKE SA that has made room for a newer one. */
  | 'ike-half-open-ousted'
  /** Has come before there were keys to open it, and more waited for them than may. */
  | 'ike-held-full'
  /** A fragment that is none of the message that is awaited (RFC 7383 §2.6). */
  | 'ike-fragment-refused'
  /** A message in fragments that has made room for others. */
  | 'ike-fragments-ousted';

export class Drops {
  readonly #counts = new Map<DropReason, number>();

  count(reason: DropReason): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  /** Those that have happened. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}
