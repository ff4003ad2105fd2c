/**
 * A proposal as policy sees it: for each transform type the acceptable transforms in order of
 * preference (RFC 7296 §3.3). The wire form, with its numbers and SPIs, is made from it.
 */
export interface Proposal {
  readonly protocol: 'ike' | 'esp';
  readonly encryption: readonly Algorithm[];
  readonly prf: readonly Algorithm[];
  readonly integrity: readonly Algorithm[];
  readonly keyExchange: readonly Algorithm[];
  /** Acceptable values, preferred first (esp only). */
  readonly esn: readonly boolean[];
}

/** A transform ID of its IANA registry, with the key length attribute where it has one. */
export interface Algorithm {
  readonly id: number;
  readonly keyBits?: number;
}
