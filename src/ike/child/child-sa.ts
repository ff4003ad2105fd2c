/** A Child SA (RFC 7296 §1.2, §2.17): how it is made of what was agreed, and how status shows it. */
import { cipherKey, integrityKeyLength } from '../../crypto/key-length.js';
import { deriveChildKeys } from '../../crypto/keymat.js';
import type { Secret } from '../../crypto/secret.js';
import { PROTOCOL_ID } from '../../policy/algorithm.js';
import type { ChildPolicy } from '../../policy/connection.js';
import type { SelectorPair } from '../../policy/narrow.js';
import { formatSuite, type Purpose, type Suite } from '../../policy/suite.js';
import { type ChildSa, type EspSpi, SadFullError } from '../../sad/sad.js';
import { formatSelector, type PayloadOf } from '../../wire/index.js';
import type { Core } from '../core.js';
import type { ChildSaView, Milliseconds } from '../event.js';
import { fourOctets, numberOf } from '../messages/payloads.js';
import { isTranslated } from '../path/nat.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { ChildState, Role } from '../sa/state.js';
import type { GroupPart } from './resources.js';

/** A Child SA that is installed. */
export interface InstalledChild {
  readonly policy: ChildPolicy;
  readonly sa: Omit<ChildSa, 'inboundKey' | 'outboundKey'>;
  readonly suite: Suite;
  readonly installedAt: Milliseconds;
  /** Our role in the exchange that made it, and the lower of its two nonces (§2.8.1). */
  readonly role: Role;
  readonly lowestNonce: string;
  /** Changed by `Children.move` only. */
  readonly state: ChildState;
  /** Other outbound SAs of the policy go before its own until `confirmed` (§2.8). */
  readonly standby: boolean;
  /**
   * Whoever takes a request of ours knows it: we have asked for it, or it came with IKE_AUTH. What
   * the peer has asked for it knows when it has our answer, of which a `confirmed` one is sure.
   */
  readonly known: boolean;
  /** Its part among those with the same selectors; undefined: it is of no group (RFC 9611). */
  readonly group: GroupPart | undefined;
  /** The peer has shown that it has it, and is ready to receive. */
  readonly confirmed: boolean;
  /** What the peer has made of it while our rekeying was under way. */
  readonly rival: InstalledChild | undefined;
  /** The same made by us shortly before, which goes when this one is confirmed. */
  readonly twin: InstalledChild | undefined;
  /** How often the peer has put its rekeying off. */
  readonly postponed: number;
  /** How often its rekeying has come to nothing otherwise. */
  readonly failed: number;
}

/** What is known of a Child SA beside its keys and parameters when it is installed. */
export type ChildOrigin = Pick<
  InstalledChild,
  'policy' | 'suite' | 'role' | 'lowestNonce' | 'standby' | 'known' | 'group'
>;

/** What two peers have agreed upon for a Child SA. */
export interface ChildAgreement {
  readonly policy: ChildPolicy;
  /** Our role in the exchange that makes the Child SA. */
  readonly role: Role;
  readonly suite: Suite;
  readonly inboundSpi: EspSpi;
  readonly outboundSpi: EspSpi;
  readonly selectors: SelectorPair;
  /** The peer takes TFC padding off (§1.3.1). */
  readonly takesPadding: boolean;
}

/** What its keys are made of beside SK_d (§2.17). */
export interface ChildSeed {
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
  /** Of its own key exchanges, the first one before all; none in IKE_AUTH. */
  readonly secrets: readonly Secret[];
}

/** The selectors of a Child SA, seen from our side as its initiator. */
export function pairOf({ sa: { localSelectors, remoteSelectors } }: InstalledChild): SelectorPair {
  return { tsi: localSelectors, tsr: remoteSelectors };
}

/** An inbound SPI, to be installed or given back; undefined: the SAD is full. */
export function reserveSpi({ environment }: Core): EspSpi | undefined {
  try {
    return environment.allocateSpi();
  } catch (error) {
    if (!(error instanceof SadFullError)) throw error;
    return undefined;
  }
}

/** The pair of SAs between the ends of the IKE SA, with keys that whoever installs it wipes. */
export function makeChildSa(ikeSa: IkeSa, agreement: ChildAgreement, seed: ChildSeed): ChildSa {
  const { role, suite, policy, selectors } = agreement;
  const { prf } = ikeSa.negotiated!;
  const { skD } = ikeSa.protection!.keys;
  const { ni, nr, secrets } = seed;
  const keys = deriveChildKeys(prf, skD, ni, nr, keymatLength(suite), secrets);
  const initiator = role === 'initiator';
  return {
    policy: `${ikeSa.connection!.name}/${policy.name}`,
    protocol: childProtocol(policy),
    mode: policy.mode,
    local: ikeSa.local,
    remote: ikeSa.remote,
    udpEncapsulation: isTranslated(ikeSa.nat),
    inboundSpi: agreement.inboundSpi,
    outboundSpi: agreement.outboundSpi,
    encryption: suite.encryption?.id ?? 0,
    keyBits: suite.encryption?.keyBits ?? 0,
    integrity: suite.integrity?.id ?? 0,
    inboundKey: initiator ? keys.responder : keys.initiator,
    outboundKey: initiator ? keys.initiator : keys.responder,
    esn: suite.esn ?? false,
    replayWindow: policy.replayWindow,
    localSelectors: initiator ? selectors.tsi : selectors.tsr,
    remoteSelectors: initiator ? selectors.tsr : selectors.tsi,
    ...(policy.fragmentation && { fragmentation: policy.fragmentation }),
    ...(policy.mode === 'tunnel' && policy.outer && { outer: policy.outer }),
    ...tfcOf(agreement),
  };
}

/** §1.3.1: no padding for a peer that does not take it; dummies everybody has to (RFC 4303 §2.6). */
function tfcOf({ policy, takesPadding }: ChildAgreement): Pick<ChildSa, 'tfc'> {
  const { tfc, mode } = policy;
  if (tfc === undefined || mode === 'transport' || childProtocol(policy) === 'ah') return {};
  return { tfc: takesPadding ? tfc : { ...tfc, padTo: 0 } };
}

/** The proposals of a policy are of one protocol. */
export function childProtocol({ proposals }: ChildPolicy): 'esp' | 'ah' {
  return proposals[0]?.protocol === 'ah' ? 'ah' : 'esp';
}

/** What a Child SA is negotiated for; without a key exchange of its own in IKE_AUTH (§1.2). */
export function childPurpose(policy: ChildPolicy, keyExchange: boolean, guessed?: number): Purpose {
  const purpose = { protocol: childProtocol(policy), keyExchange };
  return guessed === undefined ? purpose : { guessed, ...purpose };
}

/** Octets of keying material of each SA of the pair (§2.17). */
export function keymatLength({ encryption, integrity }: Suite): number {
  const { keyLength = 0, saltLength = 0 } =
    (encryption && cipherKey(encryption.id, encryption.keyBits)) ?? {};
  return keyLength + saltLength + ((integrity && integrityKeyLength(integrity.id)) ?? 0);
}

export function viewChild(child: InstalledChild): ChildSaView {
  const { policy, sa, suite, state, installedAt, group } = child;
  return {
    name: policy.name,
    state,
    inboundSpi: sa.inboundSpi,
    outboundSpi: sa.outboundSpi,
    proposal: formatSuite(suite),
    protocol: sa.protocol,
    mode: sa.mode,
    udpEncapsulation: sa.udpEncapsulation,
    esn: sa.esn,
    localSelectors: sa.localSelectors.map(formatSelector),
    remoteSelectors: sa.remoteSelectors.map(formatSelector),
    installedAt,
    ...viewGroup(group),
  };
}

function viewGroup(group: GroupPart | undefined): Pick<ChildSaView, 'resource' | 'peerResource'> {
  if (group === undefined) return {};
  const peerResource = Buffer.from(group.peer).toString('hex');
  return { resource: group.resource ?? 'all', ...(peerResource !== '' && { peerResource }) };
}

export function espSpiBytes(spi: EspSpi): Uint8Array<ArrayBuffer> {
  return fourOctets(spi);
}

/** Four octets as an SPI; undefined for what no ESP SPI is: 0 to 255 (RFC 4303 §2.1). */
export function espSpiOf(octets: Uint8Array): EspSpi | undefined {
  const spi = numberOf(octets);
  return spi !== undefined && spi > 255 ? (spi as EspSpi) : undefined;
}

export function espSpiText(spi: EspSpi): string {
  return spi.toString(16).padStart(8, '0');
}

/** How Notify and Delete payloads name a Child SA: by what its sender receives on (§3.10, §3.11). */
export type ChildName = Pick<ChildSa, 'protocol' | 'inboundSpi'>;

/** Delete payloads for Child SAs: one for each protocol (§3.11). */
export function deletePayloads(names: readonly ChildName[]): PayloadOf<'D'>[] {
  return (['esp', 'ah'] as const).flatMap((protocol) => {
    const own = names.filter((name) => name.protocol === protocol);
    const spis = own.map(({ inboundSpi }) => espSpiBytes(inboundSpi));
    return own.length === 0 ? [] : [{ kind: 'D', protocolId: PROTOCOL_ID[protocol], spis }];
  });
}
