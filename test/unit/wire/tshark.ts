/** A decoded payload in tshark's field names, to be compared with what tshark says. */
import type { Payload, WireProposal, WireTrafficSelector } from '../../../src/wire/index.js';
import { TRANSFORM, TS_TYPE } from '../../../src/wire/index.js';
import { digitsOf, type TsharkField } from './fixtures.js';

const octet = (value: number) => value.toString(16).padStart(2, '0');
const word = (value: number) => value.toString(16).padStart(4, '0');

const TRANSFORM_FIELD: Readonly<Record<number, string>> = {
  [TRANSFORM.ENCR]: 'isakmp.tf.id.encr',
  [TRANSFORM.PRF]: 'isakmp.tf.id.prf',
  [TRANSFORM.INTEG]: 'isakmp.tf.id.integ',
  [TRANSFORM.KE]: 'isakmp.tf.id.dh',
  [TRANSFORM.SN]: 'isakmp.tf.id.esn',
};

const ID_FIELD: Readonly<Record<number, string>> = {
  1: 'isakmp.id.data.ipv4_addr',
  2: 'isakmp.id.data.fqdn',
  3: 'isakmp.id.data.user_fqdn',
  5: 'isakmp.id.data.ipv6_addr',
  11: 'isakmp.id.data.key_id',
};

/**
 * Fields that tshark derives, or that our tables compute: lengths and counts are compared by
 * encoding the payload again.
 */
const NOT_COMPARED = new Set([
  'isakmp.nextpayload',
  'isakmp.criticalpayload',
  'isakmp.reserved',
  'isakmp.reserved7',
  'isakmp.payloadlength',
  'isakmp.spisize',
  'isakmp.spinum',
  'isakmp.prop.transforms',
  'isakmp.ike2.attr.format',
  'isakmp.ike2.attr.value',
  'isakmp.ts.number',
  'isakmp.ts.selector_length',
  'isakmp.cfg.attr.length',
  'isakmp.cfg.attr.format',
  'isakmp.cfg.attr.internal_ip4_address',
  'isakmp.cfg.attr.internal_ip4_dns',
  'isakmp.notify.data.signature_hash_algorithms',
  'isakmp.notify.data.accepted_dh_group',
  'isakmp.vid_string',
  'eap.len',
]);

export function compared(fields: readonly TsharkField[]): TsharkField[] {
  return fields
    .filter(([name]) => !NOT_COMPARED.has(name))
    .map(([name, digits]) =>
      // The attribute type is shown with the AF bit before it.
      name === 'isakmp.ike2.attr.type'
        ? [name, word(Number(`0x${digits}`) & 0x7fff)]
        : [name, digits],
    );
}

export function asTshark(payload: Payload): TsharkField[] {
  const fields = fieldsOf(payload);
  return fields.filter(([, digits]) => digits !== '');
}

function fieldsOf(payload: Payload): TsharkField[] {
  switch (payload.kind) {
    case 'SA':
      return payload.proposals.flatMap(proposalFields);
    case 'KE':
      return [
        ['isakmp.key_exchange.dh_group', word(payload.method)],
        ['isakmp.key_exchange.data', digitsOf(payload.data)],
      ];
    case 'IDi':
    case 'IDr':
      return [
        ['isakmp.id.type', octet(payload.idType)],
        [ID_FIELD[payload.idType] ?? 'unknown ID type', digitsOf(payload.data)],
      ];
    case 'CERT': // tshark dissects the certificate and does not give its octets
      return [['isakmp.cert.encoding', octet(payload.encoding)]];
    case 'CERTREQ':
      return [
        ['isakmp.certreq.type', octet(payload.encoding)],
        ...(digitsOf(payload.authorities).match(/.{40}/g) ?? []).map(
          (digits): TsharkField => ['isakmp.ike.certreq.authority', digits],
        ),
      ];
    case 'AUTH':
      return [
        ['isakmp.auth.method', octet(payload.method)],
        ['isakmp.auth.data', digitsOf(payload.data)],
      ];
    case 'Nonce':
      return [['isakmp.nonce', digitsOf(payload.data)]];
    case 'N':
      return [
        ['isakmp.notify.protoid', octet(payload.protocolId)],
        ['isakmp.notify.msgtype', word(payload.notifyType)],
        ['isakmp.spi', digitsOf(payload.spi)],
        ['isakmp.notify.data', digitsOf(payload.data)],
      ];
    case 'D':
      return [
        ['isakmp.delete.protoid', octet(payload.protocolId)],
        ...payload.spis.map((spi): TsharkField => ['isakmp.delete.spi', digitsOf(spi)]),
      ];
    case 'V':
      return [['isakmp.vid_bytes', digitsOf(payload.data)]];
    case 'TSi':
    case 'TSr':
      return payload.selectors.flatMap(selectorFields);
    case 'SK':
      return [];
    case 'SKF':
      return [
        ['isakmp.frag.number', word(payload.fragmentNumber)],
        ['isakmp.frag.total', word(payload.totalFragments)],
      ];
    case 'CP':
      return [
        ['isakmp.cfg.type', octet(payload.cfgType)],
        ...payload.attributes.flatMap(({ type, value }): TsharkField[] => [
          ['isakmp.cfg.attr.type', word(type)],
          ['isakmp.cfg.attr.value', digitsOf(value)],
        ]),
      ];
    case 'EAP':
      return [
        ['eap.code', octet(payload.code)],
        ['eap.id', octet(payload.identifier)],
        ['eap.type', payload.type === undefined ? '' : octet(payload.type)],
      ];
    case 'unknown':
      return [['unknown', digitsOf(payload.body)]];
  }
}

function proposalFields(proposal: WireProposal): TsharkField[] {
  return [
    ['isakmp.prop.number', octet(proposal.number)],
    ['isakmp.prop.protoid', octet(proposal.protocolId)],
    ['isakmp.spi', digitsOf(proposal.spi)],
    ...proposal.transforms.flatMap(({ type, id, attributes }): TsharkField[] => [
      ['isakmp.tf.type', octet(type)],
      [TRANSFORM_FIELD[type] ?? 'unknown transform type', word(id)],
      ...attributes.flatMap(({ type, value }): TsharkField[] => [
        ['isakmp.ike2.attr.type', word(type)],
        ['isakmp.ike2.attr.key_length', typeof value === 'number' ? word(value) : digitsOf(value)],
      ]),
    ]),
  ];
}

function selectorFields(selector: WireTrafficSelector): TsharkField[] {
  if (!('startAddress' in selector)) return [['unknown selector', digitsOf(selector.data)]];
  const family = selector.tsType === TS_TYPE.TS_IPV4_ADDR_RANGE ? 'ipv4' : 'ipv6';
  return [
    ['isakmp.ts.type', octet(selector.tsType)],
    ['isakmp.ts.protoid', octet(selector.protocol)],
    ['isakmp.ts.start_port', word(selector.startPort)],
    ['isakmp.ts.end_port', word(selector.endPort)],
    [`isakmp.ts.start_${family}`, digitsOf(selector.startAddress)],
    [`isakmp.ts.end_${family}`, digitsOf(selector.endAddress)],
  ];
}
