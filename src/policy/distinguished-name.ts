/**
 * Distinguished names (X.501; RFC 5280 §4.1.2.4), in DER as ID payloads and certificates have them,
 * and as text: `C=CH, O=Example, CN=gw.example.org`, in the order of the DER as strongSwan has it,
 * which is not that of RFC 4514.
 *
 * Left out: attributes of several values in one RDN, when written; string preparation beyond case
 * and blanks (RFC 5280 §7.1), when compared.
 */
import { DER_TAG, formatOid, readDer, readDerOnly, writeDer, writeOid } from '../wire/index.js';

/** One attribute of a name; several of one RDN have the same number. */
interface Attribute {
  readonly rdn: number;
  readonly oid: string;
  readonly tag: number;
  readonly value: Uint8Array;
}

/** A peer may send any; more than this is no name of a gateway. */
const MAX_ATTRIBUTES = 32;

/** The first word of each is what is written. */
const TYPES: readonly (readonly [string, readonly string[]])[] = [
  ['2.5.4.3', ['CN']],
  ['2.5.4.4', ['SN', 'surname']],
  ['2.5.4.5', ['serialNumber']],
  ['2.5.4.6', ['C']],
  ['2.5.4.7', ['L']],
  ['2.5.4.8', ['ST']],
  ['2.5.4.9', ['street']],
  ['2.5.4.10', ['O']],
  ['2.5.4.11', ['OU']],
  ['2.5.4.12', ['title', 'T']],
  ['2.5.4.17', ['postalCode']],
  ['2.5.4.42', ['GN', 'givenName']],
  ['2.5.4.46', ['dnQualifier']],
  ['2.5.4.97', ['organizationIdentifier']],
  ['0.9.2342.19200300.100.1.1', ['UID']],
  ['0.9.2342.19200300.100.1.25', ['DC']],
  ['1.2.840.113549.1.9.1', ['E', 'emailAddress', 'Email']],
];

/** RFC 5280 App. A: those that are IA5String; the others are text of any kind. */
const IA5: readonly string[] = ['0.9.2342.19200300.100.1.25', '1.2.840.113549.1.9.1'];

/**
 * The name in DER.
 * @throws RangeError  that says what is wrong
 */
export function parseName(text: string): Uint8Array {
  const parts = splitAttributes(text);
  if (parts.length === 0) throw new RangeError('a name without attributes');
  const rdns = parts.map((part) => {
    const [, key = '', value = ''] = /^\s*([A-Za-z0-9.]+)\s*=\s*(.*?)\s*$/s.exec(part) ?? [];
    const oid = oidOf(key);
    if (oid === undefined) throw new RangeError(`no attribute of a name: "${part.trim()}"`);
    if (value === '') throw new RangeError(`an attribute without a value: "${part.trim()}"`);
    const bytes = new TextEncoder().encode(value.replace(/\\(.)/gs, '$1'));
    const attribute = writeDer(DER_TAG.SEQUENCE, writeOid(oid), writeDer(tagOf(oid, bytes), bytes));
    return writeDer(DER_TAG.SET, attribute);
  });
  return writeDer(DER_TAG.SEQUENCE, ...rdns);
}

/** At commas, or at slashes where it begins with one; a backslash keeps what is behind it. */
function splitAttributes(text: string): string[] {
  const parts = text.startsWith('/')
    ? text.slice(1).match(/(?:\\.|[^\\/])+/gs)
    : text.match(/(?:\\.|[^\\,])+/gs);
  return parts ?? [];
}

function oidOf(key: string): string | undefined {
  if (/^[0-2](\.\d+)+$/.test(key)) return key;
  const same = (name: string) => name.toLowerCase() === key.toLowerCase();
  return TYPES.find(([, names]) => names.some(same))?.[0];
}

/** As most authorities encode it: PrintableString where that suffices. */
function tagOf(oid: string, value: Uint8Array): number {
  if (IA5.includes(oid)) return DER_TAG.IA5_STRING;
  const printable = /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(new TextDecoder().decode(value));
  return printable ? DER_TAG.PRINTABLE_STRING : DER_TAG.UTF8_STRING;
}

/** The name as text; undefined where the octets are none. What does not print is in hexadecimal. */
export function formatName(der: Uint8Array): string | undefined {
  const attributes = readName(der);
  return attributes
    ?.map(({ oid, tag, value }) => {
      const name = TYPES.find(([known]) => known === oid)?.[1][0] ?? oid;
      const text = textOf(tag, value);
      const shown = text !== undefined && /^[ -~\u00a0-\uffff]*$/.test(text) ? text : undefined;
      return `${name}=${shown?.replace(/[,\\]/g, '\\$&') ?? `#${hex(value)}`}`;
    })
    .join(', ');
}

/** Whether both are names, and the same one (RFC 5280 §7.1). */
export function sameName(a: Uint8Array, b: Uint8Array): boolean {
  const key = nameKey(a);
  return key !== undefined && key === nameKey(b);
}

/** The same for the same name however it is written, and for no other; undefined: it is none. */
export function nameKey(der: Uint8Array): string | undefined {
  const attributes = readName(der)?.map(({ rdn, oid, tag, value }) => {
    const text = textOf(tag, value);
    return [rdn, oid, ...(text === undefined ? [tag, hex(value)] : [folded(text)])];
  });
  return attributes && JSON.stringify(attributes);
}

/** Case does not count, nor how many blanks there are. */
function folded(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toLowerCase();
}

function readName(der: Uint8Array): Attribute[] | undefined {
  const rdns = readDerOnly(DER_TAG.SEQUENCE, der);
  if (rdns === undefined || rdns.length > MAX_ATTRIBUTES) return undefined;
  const attributes: Attribute[] = [];
  for (const [rdn, { tag, content }] of rdns.entries()) {
    const pairs = tag === DER_TAG.SET ? readDer(content) : undefined;
    if (pairs === undefined || attributes.length + pairs.length > MAX_ATTRIBUTES) return undefined;
    for (const pair of pairs) {
      const [oid, value, ...more] = readDer(pair.content) ?? [];
      if (oid?.tag !== DER_TAG.OBJECT_IDENTIFIER || value === undefined) return undefined;
      if (more.length > 0) return undefined;
      attributes.push({ rdn, oid: formatOid(oid.content), tag: value.tag, value: value.content });
    }
  }
  return attributes;
}

/** What a string of the usual types says; undefined for any other value. */
function textOf(tag: number, value: Uint8Array): string | undefined {
  switch (tag) {
    case DER_TAG.UTF8_STRING:
      return new TextDecoder().decode(value);
    case DER_TAG.PRINTABLE_STRING:
    case DER_TAG.IA5_STRING:
    case DER_TAG.T61_STRING:
      return String.fromCharCode(...value);
    case DER_TAG.BMP_STRING: {
      const units = Array.from({ length: value.length >> 1 }, (_, i) => {
        return value[2 * i]! * 256 + value[2 * i + 1]!;
      });
      return String.fromCharCode(...units);
    }
    default:
      return undefined;
  }
}

function hex(octets: Uint8Array): string {
  return [...octets].map((octet) => octet.toString(16).padStart(2, '0')).join('');
}
