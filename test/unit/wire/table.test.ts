/** The tables themselves: fields as wide as the RFC's figures, types as the records are. */
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { Field, Struct } from '../../../src/wire/field.js';
import type { IkeSpi, PayloadOf, UnknownPayload, WireProposal } from '../../../src/wire/index.js';
import * as tables from '../../../src/wire/payload.js';

/** Bits of a field that are there whatever is in the record. */
function bitsOf(field: Field): number {
  switch (field.kind) {
    case 'flag':
    case 'format-of':
      return 1;
    case 'ike-spi':
      return 64;
    case 'more':
    case 'next':
      return 8;
    case 'attribute-value':
      return 16;
    case 'kept-reserved':
      return 8 * field.size;
    case 'octets':
      return 8 * (field.size ?? 0);
    case 'items':
    case 'list':
    case 'optional-uint':
      return 0;
    default:
      return field.bits;
  }
}

const fixedOctets = (table: Struct) =>
  Object.values(table.fields).reduce((sum, field) => sum + bitsOf(field), 0) / 8;

const { header, proposal, transform, attribute, trafficSelector, configurationAttribute } = tables;
const { PAYLOADS, unknownPayload } = tables;

describe('the tables', () => {
  // The figures of RFC 7296 §3 and RFC 7383 §2.5, up to where the variable part begins.
  it.each<[string, Struct, number]>([
    ['header', header, 28],
    ['Proposal', proposal, 8],
    ['Transform', transform, 8],
    ['attribute', attribute, 4],
    ['IPv4 selector', trafficSelector.forms[7]!, 16],
    ['IPv6 selector', trafficSelector.forms[8]!, 40],
    ['configuration attribute', configurationAttribute, 4],
    ['SA', PAYLOADS.SA, 4],
    ['KE', PAYLOADS.KE, 8],
    ['ID', PAYLOADS.IDi, 8],
    ['CERT', PAYLOADS.CERT, 5],
    ['CERTREQ', PAYLOADS.CERTREQ, 5],
    ['AUTH', PAYLOADS.AUTH, 8],
    ['Nonce', PAYLOADS.Nonce, 4],
    ['N', PAYLOADS.N, 8],
    ['D', PAYLOADS.D, 8],
    ['V', PAYLOADS.V, 4],
    ['TS', PAYLOADS.TSi, 8],
    ['SK', PAYLOADS.SK, 4],
    ['SKF', PAYLOADS.SKF, 8],
    ['CP', PAYLOADS.CP, 8],
    ['EAP', PAYLOADS.EAP, 8],
    ['unknown', unknownPayload, 4],
  ])('give %s as many octets as the figure', (_, table, octets) => {
    expect(fixedOctets(table)).toBe(octets);
  });

  it('say for each field what it means', () => {
    const all: readonly Struct[] = [header, proposal, transform, ...Object.values(PAYLOADS)];
    for (const { name, fields } of all) {
      for (const [key, field] of Object.entries(fields)) {
        if ('meaning' in field) expect(field.meaning, `${name} ${key}`).not.toBe('');
      }
    }
  });

  it('make the types of what is decoded', () => {
    expectTypeOf<PayloadOf<'KE'>>().toEqualTypeOf<{
      readonly kind: 'KE';
      readonly method: number;
      readonly data: Uint8Array;
    }>();
    expectTypeOf<PayloadOf<'D'>['spis']>().toEqualTypeOf<readonly Uint8Array[]>();
    expectTypeOf<PayloadOf<'IDi'>['reserved2']>().toEqualTypeOf<Uint8Array | undefined>();
    expectTypeOf<PayloadOf<'SK'>>().toHaveProperty('nextPayload');
    expectTypeOf<PayloadOf<'KE'>>().not.toHaveProperty('nextPayload');
    expectTypeOf<UnknownPayload['critical']>().toEqualTypeOf<boolean>();
    expectTypeOf<WireProposal>().not.toHaveProperty('numTransforms');
    expectTypeOf<WireProposal['transforms'][number]['attributes'][number]['value']>().toEqualTypeOf<
      number | Uint8Array
    >();
    expectTypeOf<tables.Header['initiatorSpi']>().toEqualTypeOf<IkeSpi>();
  });
});
