/**
 * Negotiation of algorithms (RFC 7296 §2.7, §3.3): proposals as they are offered, the choice of a
 * responder, the check of that choice by the initiator.
 *
 * The responder decides by its own order: §2.7 leaves the choice to it, and the order in the
 * configuration is what its administrator wants. Within what is acceptable, the key exchange that
 * the initiator has already sent is taken, which saves a round trip (§1.2).
 *
 * Further key exchanges (RFC 9370) are transforms of types of their own, ADDKE1 to ADDKE7; a peer
 * that does not know these passes such a proposal over (§3.3.6).
 */
import {
  KEY_EXCHANGE,
  SEQUENCE_NUMBERS,
  TRANSFORM,
  TRANSFORM_ATTRIBUTE,
  type WireProposal,
  type WireTransform,
} from '../wire/index.js';
import { ADDKE, type Algorithm, algorithmName, PROTOCOL_ID } from './algorithm.js';
import type { Proposal, Protocol } from './proposal.js';

/** One algorithm of each type: what two peers have agreed upon. */
export interface Suite {
  /** Undefined with AH. */
  readonly encryption: Algorithm | undefined;
  readonly prf: Algorithm | undefined;
  /** Undefined with an AEAD. */
  readonly integrity: Algorithm | undefined;
  readonly keyExchange: Algorithm | undefined;
  /** Methods of ADDKE1 and so on; 0 where there is none (RFC 9370). */
  readonly additional: readonly number[];
  /** Of a Child SA only. */
  readonly esn: boolean | undefined;
}

export interface Selection {
  readonly suite: Suite;
  /** What is answered: the proposal's number and one transform of each type, with our SPI. */
  readonly answer: WireProposal;
  /** The peer's SPI. */
  readonly spi: Uint8Array;
}

export interface Purpose {
  readonly protocol: Protocol;
  /** False in IKE_AUTH: the Child SA has no key exchange of its own (RFC 7296 §1.2). */
  readonly keyExchange: boolean;
  /** The IKE SA replaces another: its proposals hold its new SPI, of 8 octets (§3.3.1). */
  readonly rekeying?: true;
  /** Method of the KE payload that came with the proposals. */
  readonly guessed?: number;
  /** The peer has not said that it can do further key exchanges after this (RFC 9370 §2.2.1). */
  readonly singleKeyExchange?: boolean;
}

/** Transform types in the order in which proposals list them. */
const TYPES = [
  ...[TRANSFORM.ENCR, TRANSFORM.PRF, TRANSFORM.INTEG, TRANSFORM.KE, TRANSFORM.SN],
  ...ADDKE,
] as const;
type TransformType = (typeof TYPES)[number];
type AdditionalType = (typeof ADDKE)[number];

const KNOWN_TYPES: readonly number[] = TYPES;
const ADDITIONAL_TYPES: readonly number[] = ADDKE;

function isAdditional(type: number): type is AdditionalType {
  return ADDITIONAL_TYPES.includes(type);
}

/** The key exchange methods that follow the first one, in their order (RFC 9370 §2.2.2). */
export function additionalMethods({ additional }: Suite): number[] {
  return additional.filter((id) => id !== KEY_EXCHANGE.NONE);
}

/** Whether one of them may not be left out. */
function needsAdditional({ additional }: Proposal): boolean {
  return additional.some((list) => list.length > 0 && !list.some(isNone));
}

function isPossible(proposal: Proposal, purpose: Purpose): boolean {
  return !purpose.keyExchange || !purpose.singleKeyExchange || !needsAdditional(proposal);
}

function isNone({ id }: Algorithm): boolean {
  return id === 0;
}

const NO_ALGORITHMS: readonly Algorithm[] = [];
const EXTENDED: Algorithm = { id: SEQUENCE_NUMBERS.ESN };
const NOT_EXTENDED: Algorithm = { id: SEQUENCE_NUMBERS.NO_ESN };

/** The acceptable algorithms of one type, in order of preference. */
export function algorithmsOf(
  proposal: Proposal,
  type: TransformType,
  purpose: Purpose,
): readonly Algorithm[] {
  switch (type) {
    case TRANSFORM.ENCR:
      return proposal.encryption;
    case TRANSFORM.PRF:
      return proposal.prf;
    case TRANSFORM.INTEG:
      return proposal.integrity;
    case TRANSFORM.KE:
      return purpose.keyExchange ? proposal.keyExchange : NO_ALGORITHMS;
    case TRANSFORM.SN:
      return proposal.esn.map((esn) => (esn ? EXTENDED : NOT_EXTENDED));
    default: {
      const list = proposal.additional[type - TRANSFORM.ADDKE1];
      if (list === undefined || !purpose.keyExchange) return NO_ALGORITHMS;
      return purpose.singleKeyExchange ? list.filter(isNone) : list;
    }
  }
}

/**
 * The proposals that differ for the purpose: without a key exchange of its own, two that differ
 * in that alone are one (RFC 7296 §1.2). With a single one, those that need more are none.
 */
export function proposalsFor(proposals: readonly Proposal[], purpose: Purpose): Proposal[] {
  if (proposals.length < 2) return [...proposals];
  const possible = proposals.filter((proposal) => isPossible(proposal, purpose));
  const texts = possible.map((proposal) =>
    JSON.stringify(TYPES.map((type) => algorithmsOf(proposal, type, purpose))),
  );
  return possible.filter((_, i) => texts.indexOf(texts[i]!) === i);
}

/** The proposals of an SA payload, numbered from 1 in order of preference (§3.3.1). */
export function toWireProposals(
  proposals: readonly Proposal[],
  spi: Uint8Array,
  purpose: Purpose,
): WireProposal[] {
  return proposals.map((proposal, i) => ({
    number: i + 1,
    protocolId: PROTOCOL_ID[proposal.protocol],
    spi,
    transforms: transformsOf(proposal, purpose),
  }));
}

function transformsOf(proposal: Proposal, purpose: Purpose): WireTransform[] {
  const transforms: WireTransform[] = [];
  for (const type of TYPES) {
    for (const algorithm of algorithmsOf(proposal, type, purpose)) {
      transforms.push(toTransform(type, algorithm));
    }
  }
  return transforms;
}

function toTransform(type: number, { id, keyBits }: Algorithm): WireTransform {
  const attributes =
    keyBits === undefined ? [] : [{ type: TRANSFORM_ATTRIBUTE.KEY_LENGTH, value: keyBits }];
  return { type, id, attributes };
}

/** A transform's algorithm; undefined with an attribute that we do not know (§3.3.6). */
export function fromTransform({ id, attributes }: WireTransform): Algorithm | undefined {
  const [attribute] = attributes;
  if (attribute === undefined) return { id };
  if (attributes.length > 1 || attribute.type !== TRANSFORM_ATTRIBUTE.KEY_LENGTH) return undefined;
  return typeof attribute.value === 'number' ? { id, keyBits: attribute.value } : undefined;
}

/** Whether a transform is for this algorithm, and for no other that an unknown attribute makes of it. */
function stands({ id, attributes }: WireTransform, algorithm: Algorithm): boolean {
  if (id !== algorithm.id) return false;
  const [attribute] = attributes;
  if (attribute === undefined) return algorithm.keyBits === undefined;
  const { type, value } = attribute;
  const isKnown = attributes.length === 1 && type === TRANSFORM_ATTRIBUTE.KEY_LENGTH;
  return isKnown && value === algorithm.keyBits;
}

/** The responder's choice among what was offered, or undefined: NO_PROPOSAL_CHOSEN. */
export function selectSuite(
  ours: readonly Proposal[],
  offered: readonly WireProposal[],
  spi: Uint8Array,
  purpose: Purpose,
): Selection | undefined {
  for (const own of ours) {
    for (const other of offered) {
      const suite = match(own, other, purpose);
      if (suite !== undefined) {
        return { suite, answer: answerTo(other, suite, spi, purpose), spi: other.spi };
      }
    }
  }
  return undefined;
}

/** Octets of the SPI in a proposal (§3.3.1). */
function spiLength({ protocol, rekeying }: Purpose): number {
  if (protocol === 'ike') return rekeying ? 8 : 0;
  return 4;
}

/**
 * The initiator's check of an answer: one proposal, under its number, that takes one transform of
 * each type that was offered and nothing else (§2.7, §3.3.6). Undefined where it is no such thing.
 */
export function acceptAnswer(
  ours: readonly Proposal[],
  answer: readonly WireProposal[],
  purpose: Purpose,
): { readonly suite: Suite; readonly spi: Uint8Array } | undefined {
  const [chosen] = answer;
  if (chosen === undefined || answer.length !== 1) return undefined;
  const own = ours[chosen.number - 1];
  if (own === undefined) return undefined;
  const { transforms } = chosen;
  const isSecond = ({ type }: WireTransform, i: number) => firstOf(type, chosen) !== transforms[i];
  if (transforms.some(isSecond)) return undefined;
  const hasGroup = transforms.some(
    ({ type, id }) => (type === TRANSFORM.KE || isAdditional(type)) && id !== 0,
  );
  if (hasGroup && !purpose.keyExchange) return undefined;
  const suite = match(own, chosen, purpose);
  return suite === undefined ? undefined : { suite, spi: chosen.spi };
}

function match(own: Proposal, other: WireProposal, purpose: Purpose): Suite | undefined {
  if (other.protocolId !== PROTOCOL_ID[purpose.protocol]) return undefined;
  if (other.spi.length !== spiLength(purpose)) return undefined;
  // §3.3.6: a proposal with a transform type that we do not know is no choice.
  if (!other.transforms.every(({ type }) => KNOWN_TYPES.includes(type))) return undefined;
  if (!isPossible(own, purpose)) return undefined;
  const chosen: Chosen = [];
  for (const type of TYPES) {
    if ((type === TRANSFORM.KE || isAdditional(type)) && !purpose.keyExchange) continue;
    const common = inCommon(algorithmsOf(own, type, purpose), other, type, purpose, chosen);
    if (common === 'none') return undefined;
    chosen[type] = common;
  }
  const additional = own.additional.map((_, i) => chosen[TRANSFORM.ADDKE1 + i]?.id ?? 0);
  const esn = chosen[TRANSFORM.SN];
  return {
    encryption: chosen[TRANSFORM.ENCR],
    prf: chosen[TRANSFORM.PRF],
    integrity: chosen[TRANSFORM.INTEG],
    keyExchange: chosen[TRANSFORM.KE],
    additional: additional.slice(0, additional.findLastIndex((id) => id !== 0) + 1),
    esn: esn === undefined ? undefined : esn.id === SEQUENCE_NUMBERS.ESN,
  };
}

/** What two proposals have in common, by transform type. */
type Chosen = (Algorithm | undefined)[];

/** The first transform of a type. */
function firstOf(type: number, { transforms }: WireProposal): WireTransform | undefined {
  return transforms.find((transform) => transform.type === type);
}

/** The algorithm of one type; undefined where neither side wants one, `none` without agreement. */
function inCommon(
  wanted: readonly Algorithm[],
  offered: WireProposal,
  type: TransformType,
  purpose: Purpose,
  chosen: Chosen,
): Algorithm | 'none' | undefined {
  const { transforms } = offered;
  const isLeftOut = firstOf(type, offered) === undefined;
  if (wanted.length === 0) {
    if (isLeftOut) return undefined;
    // §3.3.2: NONE says the same as leaving the type out; an AEAD may come with either.
    const mayBeNone = type === TRANSFORM.INTEG || type === TRANSFORM.KE || isAdditional(type);
    const hasNone = transforms.some((transform) => transform.type === type && transform.id === 0);
    return mayBeNone && hasNone ? undefined : 'none';
  }
  const isOffered = (one: Algorithm) =>
    transforms.some((transform) => transform.type === type && stands(transform, one));
  if (isAdditional(type)) {
    // RFC 9370 §2.2.1: no method twice; a type that is left out is NONE.
    const taken = (one: Algorithm) =>
      [TRANSFORM.KE, ...ADDKE].some((other) => !isNone(one) && chosen[other]?.id === one.id);
    const isThere = (one: Algorithm) => isOffered(one) || (isLeftOut && isNone(one));
    return wanted.find((one) => isThere(one) && !taken(one)) ?? 'none';
  }
  if (type === TRANSFORM.KE) {
    const guessed = wanted.find(({ id }) => id === purpose.guessed);
    if (guessed !== undefined && isOffered(guessed)) return guessed;
  }
  return wanted.find(isOffered) ?? 'none';
}

/** §2.7: the proposal's number, and exactly one transform of each type that it has. */
function answerTo(
  offered: WireProposal,
  suite: Suite,
  spi: Uint8Array,
  purpose: Purpose,
): WireProposal {
  const transforms: WireTransform[] = [];
  for (const type of TYPES) {
    if (firstOf(type, offered) === undefined) continue;
    const algorithm = chosenOf(suite, type, purpose);
    if (algorithm !== undefined) transforms.push(toTransform(type, algorithm));
  }
  return { number: offered.number, protocolId: offered.protocolId, spi, transforms };
}

const NONE: Algorithm = { id: 0 };

/** What a suite has of one type, NONE included; undefined where the purpose has no such type. */
function chosenOf(suite: Suite, type: TransformType, purpose: Purpose): Algorithm | undefined {
  switch (type) {
    case TRANSFORM.ENCR:
      return suite.encryption;
    case TRANSFORM.PRF:
      return suite.prf;
    case TRANSFORM.INTEG:
      return suite.integrity ?? NONE;
    case TRANSFORM.KE:
      return purpose.keyExchange ? (suite.keyExchange ?? NONE) : undefined;
    case TRANSFORM.SN:
      if (suite.esn === undefined) return undefined;
      return suite.esn ? EXTENDED : NOT_EXTENDED;
    default:
      if (!purpose.keyExchange) return undefined;
      return { id: suite.additional[type - TRANSFORM.ADDKE1] ?? KEY_EXCHANGE.NONE };
  }
}

const suiteTexts = new WeakMap<Suite, string>();

/** Such as `AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519`. */
export function formatSuite(suite: Suite): string {
  let text = suiteTexts.get(suite);
  if (text === undefined) {
    text = suiteText(suite);
    suiteTexts.set(suite, text);
  }
  return text;
}

function suiteText(suite: Suite): string {
  const name = (type: number, algorithm: Algorithm | undefined) =>
    algorithm && algorithmName(type, algorithm);
  return [
    name(TRANSFORM.ENCR, suite.encryption),
    name(TRANSFORM.INTEG, suite.integrity),
    name(TRANSFORM.PRF, suite.prf),
    name(TRANSFORM.KE, suite.keyExchange),
    ...suite.additional.map((id, i) => (id === 0 ? undefined : name(ADDKE[i]!, { id }))),
    suite.esn ? 'ESN' : undefined,
  ]
    .filter((part) => part !== undefined)
    .join('/');
}
