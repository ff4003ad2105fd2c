/**
 * Why two sets of proposals have nothing in common, in words: both side by side, and the first
 * difference of the pair that comes closest.
 */
import {
  INTEG,
  KEY_EXCHANGE,
  nameOf,
  PROTOCOL,
  TRANSFORM,
  type WireProposal,
} from '../wire/index.js';
import { ADDKE, type Algorithm, algorithmName, sameAlgorithm } from './algorithm.js';
import { formatProposal, type Proposal } from './proposal.js';
import { algorithmsOf, fromTransform, type Purpose } from './suite.js';

const PARTS = [
  [TRANSFORM.ENCR, 'encryption'],
  [TRANSFORM.INTEG, 'integrity'],
  [TRANSFORM.PRF, 'PRF'],
  [TRANSFORM.KE, 'key exchange'],
  [TRANSFORM.SN, 'sequence numbers'],
  ...ADDKE.map((type, i) => [type, `additional key exchange ${i + 1}`] as const),
] as const;

/** At most so many proposals of each side are shown. */
const MAX_SHOWN = 8;

/** Several lines for a person. */
export function explainNoProposal(
  ours: readonly Proposal[],
  offered: readonly WireProposal[],
  purpose: Purpose,
): string {
  const lines = [
    ...ours.slice(0, MAX_SHOWN).map((proposal) => `ours:   ${formatProposal(proposal)}`),
    ...offered.slice(0, MAX_SHOWN).map((proposal) => `peer's: ${formatWireProposal(proposal)}`),
  ];
  return [...lines, `first difference: ${firstDifference(ours, offered, purpose)}`].join('\n');
}

/** The difference of the pair of proposals that agrees furthest. */
function firstDifference(
  ours: readonly Proposal[],
  offered: readonly WireProposal[],
  purpose: Purpose,
): string {
  let best = { agreed: -1, difference: 'one side has no proposal' };
  for (const own of ours) {
    for (const other of offered.slice(0, MAX_SHOWN)) {
      const candidate = difference(own, other, purpose);
      if (candidate.agreed > best.agreed) best = candidate;
    }
  }
  return best.difference;
}

function difference(own: Proposal, other: WireProposal, purpose: Purpose) {
  const protocol = nameOf(PROTOCOL, other.protocolId);
  if (protocol !== own.protocol.toUpperCase()) {
    return { agreed: 0, difference: `the peer proposes ${protocol}` };
  }
  const known: readonly number[] = PARTS.map(([type]) => type);
  const strange = other.transforms.find(({ type }) => !known.includes(type));
  for (const [agreed, [type, name]] of PARTS.entries()) {
    const isKeyExchange = type === TRANSFORM.KE || type >= TRANSFORM.ADDKE1;
    if (isKeyExchange && !purpose.keyExchange) continue;
    const wanted = algorithmsOf(own, type, purpose);
    const offered = offeredOf(other, type);
    const leftOut = offered.length === 0 && wanted.length > 0 && type >= TRANSFORM.ADDKE1;
    const theirs = leftOut ? [{ id: KEY_EXCHANGE.NONE }] : offered;
    const agree =
      wanted.length === 0
        ? theirs.length === 0
        : wanted.some((one) => theirs.some((algorithm) => sameAlgorithm(one, algorithm)));
    if (agree) continue;
    const show = (algorithms: readonly Algorithm[]) =>
      algorithms.map((algorithm) => algorithmName(type, algorithm)).join(' or ') || 'none';
    return {
      agreed: agreed + 1,
      difference: `${name}: ours ${show(wanted)}, the peer's ${show(theirs)}`,
    };
  }
  const reason =
    strange === undefined
      ? 'the size of the SPI'
      : `the peer asks for ${nameOf(TRANSFORM, strange.type)}, which we do not have`;
  return { agreed: PARTS.length + 1, difference: reason };
}

function offeredOf(proposal: WireProposal, type: number): Algorithm[] {
  return proposal.transforms
    .filter((transform) => transform.type === type)
    .filter(({ id }) => type !== TRANSFORM.INTEG || id !== INTEG.NONE)
    .flatMap((transform) => fromTransform(transform) ?? []);
}

function formatWireProposal(proposal: WireProposal): string {
  const byType = new Map<number, string[]>();
  for (const transform of proposal.transforms) {
    const algorithm = fromTransform(transform) ?? { id: transform.id };
    const names = byType.get(transform.type) ?? [];
    byType.set(transform.type, [...names, algorithmName(transform.type, algorithm)]);
  }
  const order = [...PARTS.map(([type]) => type as number), ...byType.keys()];
  return [...new Set(order)]
    .flatMap((type) => {
      const names = byType.get(type);
      return names === undefined ? [] : [names.join(' or ')];
    })
    .join(' / ');
}
