/**
 * A proposal as policy sees it: for each transform type the acceptable transforms in order of
 * preference (RFC 7296 §3.3). The wire form, with its numbers and SPIs, is made from it in
 * `suite.ts`.
 *
 * As text it is algorithms joined by `-`, such as `aes128gcm16-prfsha256-x25519`,
 * `aes256-sha256-modp2048`, for ESP `aes128gcm16-esn`, or for AH `sha256`.
 */
import { TRANSFORM } from '../wire/index.js';
import {
  ADDITIONAL_WORDS,
  ADDKE,
  type Algorithm,
  algorithmName,
  type Protocol,
  sameAlgorithm,
  WORDS,
  type Word,
} from './algorithm.js';

export type { Algorithm, Protocol } from './algorithm.js';

export interface Proposal {
  readonly protocol: Protocol;
  /** Not of AH. */
  readonly encryption: readonly Algorithm[];
  readonly prf: readonly Algorithm[];
  readonly integrity: readonly Algorithm[];
  readonly keyExchange: readonly Algorithm[];
  /** Key exchanges that follow the first one, ADDKE1 before all (RFC 9370); NONE: or not. */
  readonly additional: readonly (readonly Algorithm[])[];
  /** Acceptable values, preferred first (not of an IKE SA). */
  readonly esn: readonly boolean[];
}

/**
 * What is proposed where the configuration says nothing (RFC 8247 §2, RFC 8221 §5). The first key
 * exchange is the one that an initiator guesses. A peer that does not know of a second one, which no
 * quantum computer breaks, takes the next proposal (RFC 9370 §2.2.1).
 */
export const DEFAULT_IKE: readonly string[] = [
  'aes256gcm16-aes128gcm16-prfsha384-prfsha256-x25519-ecp256-ecp384-modp3072-modp2048-ke1_mlkem768',
  'aes256gcm16-aes128gcm16-prfsha384-prfsha256-x25519-ecp256-ecp384-modp3072-modp2048',
  'aes256-aes128-sha384-sha256-x25519-ecp256-ecp384-modp3072-modp2048',
];
/** ESP with a key exchange of its own when it is rekeyed, where the peer has that too. */
export const DEFAULT_ESP: readonly string[] = [
  'aes256gcm16-aes128gcm16-x25519-ecp256-ecp384-modp3072-modp2048',
  'aes256gcm16-aes128gcm16',
];

/** A word of a proposal is none that its protocol has. */
export class UnknownAlgorithm extends RangeError {
  override readonly name = 'UnknownAlgorithm';
  readonly word: string;
  /** Those that there are. */
  readonly known: readonly string[];
  /** The same in words. */
  readonly allowed: string;

  constructor(protocol: Protocol, word: string) {
    const known = Object.keys(WORDS[protocol]);
    const further = 'further key exchanges from ke1_ to ke7_, such as ke1_mlkem768 or ke1_none';
    const allowed = `for ${protocol}: ${known.join(', ')}, and ${further}`;
    super(`unknown algorithm "${word}"; allowed ${allowed}`);
    this.word = word;
    this.known = [...known, ...Object.keys(ADDITIONAL_WORDS)];
    this.allowed = allowed;
  }
}

/**
 * Reads a proposal.
 * @throws UnknownAlgorithm  that says which word is unknown, and what is allowed
 * @throws RangeError        that says what is missing, or too much
 */
export function parseProposal(protocol: Protocol, text: string): Proposal {
  const words = text.split('-').map((word) => wordOf(protocol, word));
  const of = <P extends Word['part']>(part: P) =>
    words.filter((word): word is Extract<Word, { part: P }> => word.part === part);
  const integrity = of('integrity');
  const prf = of('prf').map(({ algorithm }) => algorithm);
  const proposal: Proposal = {
    protocol,
    encryption: unique(of('encryption').map(({ algorithm }) => algorithm)),
    // As with strongSwan, an integrity algorithm brings its PRF unless one is named.
    prf: unique(prf.length > 0 || protocol !== 'ike' ? prf : integrity.flatMap(prfOf)),
    integrity: unique(integrity.map(({ algorithm }) => algorithm)),
    keyExchange: unique(of('keyExchange').map(({ algorithm }) => algorithm)),
    additional: additionalOf(of('additional')),
    esn: esnOf(
      protocol,
      of('esn').map(({ esn }) => esn),
    ),
  };
  const aeads = of('encryption').map(({ aead }) => aead);
  const problem = problemWith(proposal, aeads);
  if (problem !== undefined) throw new RangeError(`it ${problem}`);
  return proposal;
}

function wordOf(protocol: Protocol, text: string): Word {
  const words = WORDS[protocol];
  for (const table of [words, ADDITIONAL_WORDS]) {
    if (Object.hasOwn(table, text)) return table[text]!;
  }
  throw new UnknownAlgorithm(protocol, text);
}

function prfOf({ prf }: Extract<Word, { part: 'integrity' }>): readonly Algorithm[] {
  return prf === undefined ? [] : [prf];
}

function additionalOf(words: readonly Extract<Word, { part: 'additional' }>[]): Algorithm[][] {
  const last = Math.max(0, ...words.map(({ number }) => number));
  return Array.from({ length: last }, (_, i) =>
    unique(words.filter(({ number }) => number === i + 1).map(({ algorithm }) => algorithm)),
  );
}

/** RFC 7296 §3.3.2: both values are offered unless one is asked for; ESN is preferred. */
function esnOf(protocol: Protocol, named: readonly boolean[]): readonly boolean[] {
  if (protocol === 'ike') return [];
  return named.length === 0 ? [true, false] : [...new Set(named)];
}

/** RFC 7296 §3.3.3 lists the transform types that each protocol needs. */
function problemWith(proposal: Proposal, aeads: readonly boolean[]): string | undefined {
  const { protocol, prf, integrity, keyExchange, additional } = proposal;
  if (protocol !== 'ah' && aeads.length === 0) {
    return 'has no encryption algorithm, such as aes256gcm16';
  }
  if (aeads.includes(true) && aeads.includes(false)) {
    return 'mixes AEADs, such as AES-GCM, with other ciphers: both need proposals of their own (RFC 7296 §3.3)';
  }
  if (aeads.includes(true) && integrity.length > 0) {
    const hint = protocol === 'ike' ? '; write prfsha256 for a PRF' : '';
    return `has an integrity algorithm beside an AEAD, such as AES-GCM, which needs none${hint}`;
  }
  if (!aeads.includes(true) && integrity.length === 0) {
    return 'has no integrity algorithm, such as sha256';
  }
  if (protocol === 'ike' && prf.length === 0) return 'has no PRF, such as prfsha256';
  if (protocol === 'ike' && keyExchange.length === 0) return 'has no key exchange, such as x25519';
  if (keyExchange.length === 0 && additional.length > 0) {
    return 'has a further key exchange and no first one, such as x25519';
  }
  return undefined;
}

function unique(algorithms: readonly Algorithm[]): Algorithm[] {
  return algorithms.filter(
    (algorithm, i) => algorithms.findIndex((other) => sameAlgorithm(algorithm, other)) === i,
  );
}

/** Such as `AES_GCM_16_256 or AES_GCM_16_128 / PRF_HMAC_SHA2_256 / CURVE25519`. */
export function formatProposal(proposal: Proposal): string {
  const names = (type: number, algorithms: readonly Algorithm[]) =>
    algorithms.map((algorithm) => algorithmName(type, algorithm)).join(' or ');
  return [
    names(TRANSFORM.ENCR, proposal.encryption),
    names(TRANSFORM.INTEG, proposal.integrity),
    names(TRANSFORM.PRF, proposal.prf),
    names(TRANSFORM.KE, proposal.keyExchange),
    ...proposal.additional.map((algorithms, i) => names(ADDKE[i]!, algorithms)),
    proposal.esn.map((esn) => (esn ? 'ESN' : 'NO_ESN')).join(' or '),
  ]
    .filter((part) => part !== '')
    .join(' / ');
}
