/**
 * Every payload of RFC 7296 §3, and the Encrypted Fragment of RFC 7383, as tables. The types
 * are derived from them; `decode.ts`, `encode.ts` and `print.ts` interpret them.
 *
 * Left out: the payloads of GSPM (RFC 6467), group key management (RFC 9838) and puzzles
 * (RFC 8019), which decode as unknown ones and survive.
 */
import {
  attributeValue,
  choice,
  countOf,
  type Fields,
  type Flatten,
  fixed,
  flag,
  formatOf,
  ikeSpi,
  items,
  keptReserved,
  length,
  list,
  more,
  next,
  octets,
  optionalUint,
  type RecordOf,
  reserved,
  type Struct,
  sizeOf,
  struct,
  uint,
} from './field.js';
import {
  AUTH_METHOD,
  CERT_ENCODING,
  CFG_ATTRIBUTE,
  CFG_TYPE,
  EAP_CODE,
  EAP_TYPE,
  EXCHANGE,
  ID_TYPE,
  IP_PROTOCOL,
  KEY_EXCHANGE,
  NOTIFY,
  PAYLOAD,
  PROTOCOL,
  TRANSFORM,
  TRANSFORM_ATTRIBUTE,
  TRANSFORM_IDS,
  TS_TYPE,
} from './registry/index.js';

/** The IKE header; its length is that of the whole message. */
export const header = struct('IKE header', '§3.1', {
  initiatorSpi: ikeSpi("the original initiator's SPI, never zero"),
  responderSpi: ikeSpi("the responder's SPI; zero in the first message"),
  nextPayload: next(),
  majorVersion: uint(4, '2'),
  minorVersion: uint(4, '0; ignored on receipt'),
  exchangeType: uint(8, EXCHANGE, 'the exchange that this message is part of'),
  reserved: reserved(2),
  response: flag('R: this is a response'),
  higherVersion: flag('V: the sender can speak a higher major version'),
  initiator: flag('I: sent by the original initiator of the IKE SA'),
  reserved2: reserved(3),
  messageId: uint(32, 'matches requests and responses, guards against replay (§2.2)'),
  length: length(32),
});

/** The generic payload header, with which every payload starts; its length is the payload's. */
const generic = {
  nextPayload: next(),
  // C concerns only receivers that do not know the payload (§3.2): see `unknownPayload`.
  critical: reserved(1),
  reserved: reserved(7),
  payloadLength: length(16),
};

type WithGeneric<F extends Fields> = Flatten<Omit<typeof generic, keyof F> & F>;

/** A payload's own fields after the generic ones; one of the same name takes its place there. */
function payload<F extends Fields>(
  name: string,
  section: string,
  fields: F,
): Struct<WithGeneric<F>> {
  return struct(name, section, { ...generic, ...fields } as WithGeneric<F>);
}

export const attribute = struct('Transform Attribute', '§3.3.5', {
  format: formatOf('value'),
  type: uint(15, TRANSFORM_ATTRIBUTE, 'such as Key Length'),
  value: attributeValue('16 bits, or octets'),
});

export const transform = struct('Transform', '§3.3.2', {
  lastSubstruc: more(3),
  reserved: reserved(8),
  length: length(16),
  type: uint(8, TRANSFORM, 'what the algorithm is for'),
  reserved2: reserved(8),
  id: uint(16, { by: 'type', of: TRANSFORM_IDS }, 'the algorithm'),
  attributes: list(attribute, 0, 'Key Length, where an algorithm has several'),
});

export const proposal = struct('Proposal', '§3.3.1', {
  lastSubstruc: more(2),
  reserved: reserved(8),
  length: length(16),
  number: uint(8, 'counts from 1; an answer repeats the number that it accepts'),
  protocolId: uint(8, PROTOCOL, 'IKE, AH or ESP'),
  spiSize: sizeOf(8, 'spi'),
  numTransforms: countOf(8, 'transforms'),
  spi: octets("the sender's: none, 8 octets when an IKE SA is rekeyed, 4 for ESP and AH", {
    shown: 'hex',
  }),
  transforms: list(transform, 0, 'one of each type is to be chosen'),
});

const securityAssociation = payload('Security Association', '§3.3', {
  proposals: list(proposal, 1, 'in order of preference'),
});

const keyExchange = payload('Key Exchange', '§3.4', {
  method: uint(16, KEY_EXCHANGE, 'as in the accepted proposal'),
  reserved2: reserved(16),
  data: octets('the public value'),
});

const identification = payload('Identification', '§3.5', {
  idType: uint(8, ID_TYPE, 'form of the identity'),
  reserved2: keptReserved(3, 'AUTH covers these octets as they were received (§2.15)'),
  data: octets('the identity', { shown: 'identity' }),
});

const certificate = payload('Certificate', '§3.6', {
  encoding: uint(8, CERT_ENCODING, 'what the data is'),
  data: octets('a certificate, CRL, OCSP response or key'),
});

const certificateRequest = payload('Certificate Request', '§3.7', {
  encoding: uint(8, CERT_ENCODING, 'what kind is wanted'),
  authorities: octets('SHA-1 of the SubjectPublicKeyInfo of each trusted CA, 20 octets each'),
});

const authentication = payload('Authentication', '§3.8', {
  method: uint(8, AUTH_METHOD, 'how the sender proves its identity'),
  reserved2: reserved(24),
  data: octets('signature or MIC (§2.15)'),
});

const nonce = payload('Nonce', '§3.9', {
  data: octets('random, and at least half the key size of the PRF', { min: 16, max: 256 }),
});

const notify = payload('Notify', '§3.10', {
  protocolId: uint(8, PROTOCOL, 'what the SPI belongs to; 0: no SPI'),
  spiSize: sizeOf(8, 'spi'),
  notifyType: uint(16, NOTIFY, 'what is notified'),
  spi: octets('of the SA that is meant', { shown: 'hex' }),
  data: octets('by notify type'),
});

const deletion = payload('Delete', '§3.11', {
  protocolId: uint(8, PROTOCOL, 'IKE: this SA, and no SPIs follow'),
  spiSize: sizeOf(8, 'spis'),
  numSpis: countOf(16, 'spis'),
  spis: items("the sender's inbound SPIs"),
});

const vendorId = payload('Vendor ID', '§3.12', {
  data: octets('any constant of the vendor', { shown: 'text' }),
});

/** The selector forms: an address range with 4 or 16 octets an address, or what we do not know. */
const addressRange = (name: string, addressOctets: 4 | 16) =>
  struct(name, '§3.13.1', {
    tsType: uint(8, TS_TYPE, 'decides the form'),
    protocol: uint(8, IP_PROTOCOL, 'IP protocol; 0: any'),
    selectorLength: length(16),
    startPort: uint(16, 'first port; ICMP: type and code'),
    endPort: uint(16, 'last port; start 65535 and end 0: OPAQUE'),
    startAddress: fixed(addressOctets, 'first address', { shown: 'address' }),
    endAddress: fixed(addressOctets, 'last address', { shown: 'address' }),
  });

const otherSelector = struct('Traffic Selector', '§3.13.1', {
  tsType: uint(8, TS_TYPE, 'one that we do not know: must not be accepted (§2.9)'),
  protocol: uint(8, 'IP protocol, by TS type'),
  selectorLength: length(16),
  data: octets('by TS type'),
});

export const trafficSelector = choice(
  {
    [TS_TYPE.TS_IPV4_ADDR_RANGE]: addressRange('TS_IPV4_ADDR_RANGE', 4),
    [TS_TYPE.TS_IPV6_ADDR_RANGE]: addressRange('TS_IPV6_ADDR_RANGE', 16),
  },
  otherSelector,
);

const trafficSelectors = payload('Traffic Selector', '§3.13', {
  numSelectors: countOf(8, 'selectors'),
  reserved2: reserved(24),
  selectors: list(trafficSelector, 1, 'alternatives; a packet matches if it matches one'),
});

/**
 * Ends the chain. Its Next Payload is the type of the first payload inside. `encrypted.ts` has
 * what is in the body: IV, ciphertext, padding, ICV.
 */
const encrypted = payload('Encrypted and Authenticated', '§3.14', {
  nextPayload: uint(8, PAYLOAD, 'type of the first payload inside'),
  body: octets('IV, ciphertext and ICV', { view: true }),
});

/** Ends the chain. Fragments after the first have Next Payload 0. */
const encryptedFragment = payload('Encrypted and Authenticated Fragment', 'RFC 7383 §2.5', {
  nextPayload: uint(8, PAYLOAD, 'type of the first payload inside; 0 but in fragment 1'),
  fragmentNumber: uint(16, 'counts from 1'),
  totalFragments: uint(16, 'of this message'),
  body: octets('IV, ciphertext and ICV of this fragment', { view: true }),
});

export const configurationAttribute = struct('Configuration Attribute', '§3.15.1', {
  reserved: reserved(1),
  type: uint(15, CFG_ATTRIBUTE, 'what is asked for or assigned'),
  valueLength: sizeOf(16, 'value'),
  value: octets('by type; empty asks for any'),
});

const configuration = payload('Configuration', '§3.15', {
  cfgType: uint(8, CFG_TYPE, 'request, reply, set or acknowledge'),
  reserved2: reserved(24),
  attributes: list(configurationAttribute, 0, 'in any order'),
});

/** An EAP packet (RFC 3748 §4); its length has to agree with the payload's. */
const eap = payload('Extensible Authentication', '§3.16', {
  code: uint(8, EAP_CODE, 'request, response, success or failure'),
  identifier: uint(8, 'matches responses with requests'),
  eapLength: length(16, 4),
  type: optionalUint(8, EAP_TYPE, 'method; not in success and failure'),
  data: octets('by type'),
});

/** What we have no table for: kept whole, so that it re-encodes as it came (§2.5). */
export const unknownPayload = payload('unknown', '§3.2', {
  critical: flag('C: refuse the whole message if the type is not understood'),
  body: octets('all that follows the generic header'),
});

/** The payloads that we understand, by the RFC's notation for them. */
export const PAYLOADS = {
  SA: securityAssociation,
  KE: keyExchange,
  IDi: identification,
  IDr: identification,
  CERT: certificate,
  CERTREQ: certificateRequest,
  AUTH: authentication,
  Nonce: nonce,
  N: notify,
  D: deletion,
  V: vendorId,
  TSi: trafficSelectors,
  TSr: trafficSelectors,
  SK: encrypted,
  SKF: encryptedFragment,
  CP: configuration,
  EAP: eap,
} as const satisfies { readonly [K in keyof typeof PAYLOAD]?: Struct };

export type PayloadKind = keyof typeof PAYLOADS;

/** A payload of one kind, such as `PayloadOf<'KE'>`. */
export type PayloadOf<K extends PayloadKind> = Flatten<
  { readonly kind: K } & RecordOf<(typeof PAYLOADS)[K]>
>;

/** A payload that has no table here; `type` is its number on the wire. */
export type UnknownPayload = Flatten<
  { readonly kind: 'unknown'; readonly type: number } & RecordOf<typeof unknownPayload>
>;

export type KnownPayload = { [K in PayloadKind]: PayloadOf<K> }[PayloadKind];
export type Payload = KnownPayload | UnknownPayload;

/** The fields of the IKE header. */
export type Header = RecordOf<typeof header>;

export type WireProposal = RecordOf<typeof proposal>;
export type WireTransform = RecordOf<typeof transform>;
export type WireAttribute = RecordOf<typeof attribute>;
export type WireTrafficSelector = RecordOf<typeof trafficSelector>;
export type ConfigurationAttribute = RecordOf<typeof configurationAttribute>;
