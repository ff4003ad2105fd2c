/** Messages that nobody would send, for property tests. */
import fc from 'fast-check';
import {
  EXCHANGE,
  type IkeSpi,
  type KnownPayload,
  type MessageToSend,
  PAYLOAD,
  type Payload,
  type WireAttribute,
  type WireProposal,
  type WireTrafficSelector,
  type WireTransform,
} from '../../../src/wire/index.js';

const octet = fc.nat(255);
const word = fc.nat(65535);
const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
const ikeSpi = bytes(8, 8).map((spi) => Buffer.from(spi).toString('hex') as IkeSpi);

const attribute: fc.Arbitrary<WireAttribute> = fc.record({
  type: fc.nat(0x7fff),
  value: fc.oneof(word, bytes(0, 20)),
});

const transform: fc.Arbitrary<WireTransform> = fc.record({
  type: octet,
  id: word,
  attributes: fc.array(attribute, { maxLength: 3 }),
});

const proposal: fc.Arbitrary<WireProposal> = fc.record({
  number: octet,
  protocolId: octet,
  spi: bytes(0, 9),
  transforms: fc.array(transform, { maxLength: 6 }),
});

const range = (tsType: number, size: number) =>
  fc.record({
    tsType: fc.constant(tsType),
    protocol: octet,
    startPort: word,
    endPort: word,
    startAddress: bytes(size, size),
    endAddress: bytes(size, size),
  });

const selector: fc.Arbitrary<WireTrafficSelector> = fc.oneof(
  range(7, 4),
  range(8, 16),
  fc.record({
    tsType: octet.filter((type) => type !== 7 && type !== 8),
    protocol: octet,
    data: bytes(0, 12),
  }),
);

const of = <K extends string, T>(kind: K, fields: { [F in keyof T]: fc.Arbitrary<T[F]> }) =>
  fc.record({ kind: fc.constant(kind), ...fields }) as unknown as fc.Arbitrary<KnownPayload>;

const identity = {
  idType: octet,
  data: bytes(0, 40),
};

export const clearPayload: fc.Arbitrary<Payload> = fc.oneof(
  of('SA', { proposals: fc.array(proposal, { minLength: 1, maxLength: 4 }) }),
  of('KE', { method: word, data: bytes(0, 300) }),
  of('IDi', identity),
  of('IDr', {
    ...identity,
    reserved2: bytes(3, 3).filter((kept) => kept.some((value) => value !== 0)),
  }),
  of('CERT', { encoding: octet, data: bytes(0, 100) }),
  of('CERTREQ', { encoding: octet, authorities: bytes(0, 60) }),
  of('AUTH', { method: octet, data: bytes(0, 100) }),
  of('Nonce', { data: bytes(16, 256) }),
  of('N', { protocolId: octet, notifyType: word, spi: bytes(0, 8), data: bytes(0, 64) }),
  of('D', {
    protocolId: octet,
    spis: fc
      .tuple(fc.integer({ min: 1, max: 8 }), fc.nat(5))
      .chain(([size, count]) =>
        fc.array(bytes(size, size), { minLength: count, maxLength: count }),
      ),
  }),
  of('V', { data: bytes(0, 40) }),
  of('TSi', { selectors: fc.array(selector, { minLength: 1, maxLength: 5 }) }),
  of('TSr', { selectors: fc.array(selector, { minLength: 1, maxLength: 5 }) }),
  of('CP', {
    cfgType: octet,
    attributes: fc.array(fc.record({ type: fc.nat(0x7fff), value: bytes(0, 20) }), {
      maxLength: 5,
    }),
  }),
  of('EAP', { code: octet, identifier: octet, type: octet, data: bytes(0, 60) }),
  of('EAP', { code: octet, identifier: octet, data: fc.constant(new Uint8Array(0)) }),
  fc.record({
    kind: fc.constant('unknown' as const),
    type: fc.integer({ min: 1, max: 255 }).filter((type) => type < PAYLOAD.SA || type > PAYLOAD.PS),
    critical: fc.boolean(),
    body: bytes(0, 60),
  }),
);

const encryptedPayload: fc.Arbitrary<Payload> = fc.oneof(
  of('SK', { nextPayload: octet, body: bytes(0, 200) }),
  of('SKF', { nextPayload: octet, fragmentNumber: word, totalFragments: word, body: bytes(0, 99) }),
);

export const payloads: fc.Arbitrary<readonly Payload[]> = fc
  .tuple(fc.array(clearPayload, { maxLength: 8 }), fc.option(encryptedPayload))
  .map(([clear, last]) => (last === null ? clear : [...clear, last]));

export const message: fc.Arbitrary<MessageToSend> = fc.record({
  header: fc.record({
    initiatorSpi: ikeSpi,
    responderSpi: ikeSpi,
    majorVersion: fc.constant(2),
    minorVersion: fc.nat(15),
    exchangeType: fc.oneof(octet, fc.constantFrom(...Object.values(EXCHANGE))),
    response: fc.boolean(),
    higherVersion: fc.boolean(),
    initiator: fc.boolean(),
    messageId: fc.nat(0xffffffff),
  }),
  payloads,
});
