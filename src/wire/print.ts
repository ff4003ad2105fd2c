/**
 * Messages for people, from the tables of `payload.ts`: one line in the RFC's notation, or every
 * field on a line of its own. Octets that could be a key, a signature or a certificate are only
 * counted; what a peer chose is escaped and cut, so that it cannot forge or flood a log.
 */
import { formatAddress } from './address.js';
import { selectForm } from './decode.js';
import type { Field, Form, OctetsField, RegistryBy, Struct } from './field.js';
import { type Message, tableOf } from './message.js';
import {
  type ConfigurationAttribute,
  configurationAttribute,
  header as headerTable,
  type Payload,
  proposal,
  trafficSelector,
  type WireProposal,
  type WireTrafficSelector,
  type WireTransform,
} from './payload.js';
import {
  CFG_ATTRIBUTE,
  EXCHANGE,
  ID_TYPE,
  nameOf,
  PAYLOAD,
  PROTOCOL,
  type Registry,
  TRANSFORM,
  TRANSFORM_ATTRIBUTE,
  TRANSFORM_IDS,
} from './registry/index.js';
import { formatSelector, fromWireSelector } from './traffic-selector.js';

/** The fields of a payload that one line shows, in this order. */
const BRIEF: { readonly [K in Payload['kind']]: readonly (keyof PayloadOfKind<K> & string)[] } = {
  SA: ['proposals'],
  KE: ['method'],
  IDi: ['idType', 'data'],
  IDr: ['idType', 'data'],
  CERT: ['encoding', 'data'],
  CERTREQ: ['encoding', 'authorities'],
  AUTH: ['method'],
  Nonce: ['data'],
  N: ['notifyType', 'protocolId', 'spi'],
  D: ['protocolId', 'spis'],
  V: ['data'],
  TSi: ['selectors'],
  TSr: ['selectors'],
  SK: ['body'],
  SKF: ['fragmentNumber', 'totalFragments', 'body'],
  CP: ['cfgType', 'attributes'],
  EAP: ['code', 'type', 'identifier'],
  unknown: ['critical', 'body'],
};

type PayloadOfKind<K extends Payload['kind']> = Extract<Payload, { readonly kind: K }>;
type Rec = Readonly<Record<string, unknown>>;

/** Most octets of text that a peer chose that are shown. */
const MAX_TEXT = 96;

/**
 * One line: `IKE_SA_INIT request 0: SA(IKE: AES_GCM_16_128/...), KE(CURVE25519), Ni(32)`.
 * @param inner  what was inside the encrypted payload, where that is known
 */
export function printMessage(message: Message, inner?: readonly Payload[]): string {
  const { response } = message.header;
  const payloads = message.payloads.map((payload) =>
    inner !== undefined && (payload.kind === 'SK' || payload.kind === 'SKF')
      ? `${payload.kind}{${printPayloads(inner, response)}}`
      : printPayload(payload, response),
  );
  return `${titleOf(message)}: ${payloads.join(', ') || 'empty'}`;
}

export function printPayloads(payloads: readonly Payload[], response: boolean): string {
  return payloads.map((payload) => printPayload(payload, response)).join(', ');
}

/** A payload as the RFC notes it, with what matters in parentheses: `N(COOKIE)`. */
export function printPayload(payload: Payload, response: boolean): string {
  const table = tableOf(payload.kind);
  const parts = BRIEF[payload.kind].map((name) =>
    printField(table.fields[name]!, payload as unknown as Rec, name),
  );
  const details = parts.filter((part) => part !== '').join(', ');
  return `${symbolOf(payload, response)}${details === '' ? '' : `(${details})`}`;
}

/** Every field on its own line. */
export function describeMessage(message: Message, inner: readonly Payload[] = []): string {
  const { header, payloads } = message;
  return [
    titleOf(message),
    ...describeStruct(headerTable, header as unknown as Rec, '  '),
    ...[...payloads, ...inner].flatMap((payload) => describePayload(payload, header.response)),
  ].join('\n');
}

/** `IKE: AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048`. */
export function printProposal({ protocolId, transforms }: WireProposal): string {
  const order = [TRANSFORM.ENCR, TRANSFORM.INTEG, TRANSFORM.PRF] as readonly number[];
  const rank = (type: number) => (order.includes(type) ? order.indexOf(type) : type + order.length);
  const sorted = [...transforms].sort((a, b) => rank(a.type) - rank(b.type));
  return `${nameOf(PROTOCOL, protocolId)}: ${sorted.map(printTransform).join('/')}`;
}

/** `AES_GCM_16_128`; an additional key exchange has its transform type before it. */
export function printTransform({ type, id, attributes }: WireTransform): string {
  const registry = TRANSFORM_IDS[type];
  const known = registry !== undefined && type < TRANSFORM.ADDKE1;
  const name = registry === undefined ? String(id) : nameOf(registry, id);
  const suffix = attributes.map(({ type: attribute, value }) =>
    attribute === TRANSFORM_ATTRIBUTE.KEY_LENGTH && typeof value === 'number'
      ? `_${value}`
      : `[${nameOf(TRANSFORM_ATTRIBUTE, attribute)}]`,
  );
  return `${known ? '' : `${nameOf(TRANSFORM, type)}_`}${name}${suffix.join('')}`;
}

export function printTrafficSelector(selector: WireTrafficSelector): string {
  const known = fromWireSelector(selector);
  return known === undefined ? `TS type ${selector.tsType}` : formatSelector(known);
}

function titleOf({ header }: Message): string {
  const direction = header.response ? 'response' : 'request';
  return `${nameOf(EXCHANGE, header.exchangeType)} ${direction} ${header.messageId}`;
}

/** The notation of RFC 7296 §1.2: Ni and Nr are one payload type. */
function symbolOf(payload: Payload, response: boolean): string {
  if (payload.kind === 'Nonce') return response ? 'Nr' : 'Ni';
  if (payload.kind !== 'unknown') return payload.kind;
  return `payload ${nameOf(PAYLOAD, payload.type)}`;
}

function describePayload(payload: Payload, response: boolean): string[] {
  const table = tableOf(payload.kind);
  const record = payload as unknown as Rec;
  const title = `  ${symbolOf(payload, response)}: ${table.name} (${table.section})`;
  return [title, ...describeStruct(table, record, '    ')];
}

function describeStruct(table: Struct, record: Rec, indent: string): string[] {
  return table.steps.flatMap(({ name, field }) => {
    if (record[name] === undefined) return [];
    if (field.kind !== 'list') return [`${indent}${name}: ${describeField(field, record, name)}`];
    return (record[name] as readonly Rec[]).flatMap((element) => {
      const form = formFor(field.of, element);
      return [`${indent}${form.name}`, ...describeStruct(form, element, `${indent}  `)];
    });
  });
}

/** A field's value in full: numbers beside their names, and what is empty too. */
function describeField(field: Field, record: Rec, name: string): string {
  const value = record[name];
  const text = printField(field, record, name);
  if (typeof value === 'number') return text === String(value) ? text : `${text} (${value})`.trim();
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (!(value instanceof Uint8Array) || value.length === 0) return text || 'none';
  return text === String(value.length) ? `${text} octets` : text;
}

/** A field's value as text; empty where there is nothing to say. */
function printField(field: Field, record: Rec, name: string): string {
  const value = record[name];
  switch (field.kind) {
    case 'uint':
      return printUint(field.registry, record, value as number);
    case 'optional-uint':
      return value === undefined ? '' : printUint(field.registry, record, value as number);
    case 'flag':
      return value === true ? name : '';
    case 'ike-spi':
      return value as string;
    case 'octets':
      return printOctets(field, record, value as Uint8Array);
    case 'kept-reserved':
      return value === undefined ? '' : hex(value as Uint8Array);
    case 'items':
      return (value as readonly Uint8Array[]).map(hex).join(' ');
    case 'list':
      return (value as readonly Rec[]).map((element) => printElement(field.of, element)).join(', ');
    case 'attribute-value':
      return typeof value === 'number' ? String(value) : count(value as Uint8Array);
    default:
      return '';
  }
}

/** An element of a list that has a notation; transforms and their attributes are in a proposal's. */
function printElement(form: Form, element: Rec): string {
  switch (form) {
    case proposal:
      return printProposal(element as unknown as WireProposal);
    case trafficSelector:
      return printTrafficSelector(element as unknown as WireTrafficSelector);
    case configurationAttribute:
      return nameOf(CFG_ATTRIBUTE, (element as unknown as ConfigurationAttribute).type);
    default:
      return '';
  }
}

function formFor(form: Form, record: Rec): Struct {
  if (form.kind === 'struct') return form;
  return selectForm(form, record[form.other.steps[0]!.name] as number);
}

function printUint(
  registry: Registry | RegistryBy | undefined,
  record: Rec,
  value: number,
): string {
  if (registry === undefined) return String(value);
  if (!isRegistryBy(registry))
    return value === 0 && !hasZero(registry) ? '' : nameOf(registry, value);
  const chosen = registry.of[record[registry.by] as number];
  return chosen === undefined ? String(value) : nameOf(chosen, value);
}

/** Zero without a name stands for "none", as in a Notify's Protocol ID. */
function hasZero(registry: Registry): boolean {
  return nameOf(registry, 0) !== '0';
}

function isRegistryBy(registry: Registry | RegistryBy): registry is RegistryBy {
  return typeof (registry as RegistryBy).by === 'string';
}

function printOctets(field: OctetsField, record: Rec, value: Uint8Array): string {
  switch (field.options.shown) {
    case 'hex':
      return hex(value);
    case 'text':
      return printText(value);
    case 'address':
      return formatAddress(value);
    case 'identity':
      return printIdentity((record as { idType: number }).idType, value);
    default:
      return count(value);
  }
}

/** An identity as people write it; a DN is only counted, its ASN.1 is not ours to read. */
export function printIdentity(idType: number, data: Uint8Array): string {
  switch (idType) {
    case ID_TYPE.ID_IPV4_ADDR:
    case ID_TYPE.ID_IPV6_ADDR: {
      const wanted = idType === ID_TYPE.ID_IPV4_ADDR ? 4 : 16;
      return data.length === wanted ? formatAddress(data) : hex(data);
    }
    case ID_TYPE.ID_FQDN:
    case ID_TYPE.ID_RFC822_ADDR:
    case ID_TYPE.ID_KEY_ID:
      return printText(data);
    default:
      return count(data);
  }
}

/** ASCII text, or hexadecimal digits where any octet is none; cut at `MAX_TEXT`. */
function printText(data: Uint8Array): string {
  if (!data.every((octet) => octet >= 0x20 && octet < 0x7f)) return hex(data);
  const text = String.fromCharCode(...data.subarray(0, MAX_TEXT));
  return data.length > MAX_TEXT ? `${text}...` : text;
}

function hex(data: Uint8Array): string {
  const shown = data.subarray(0, MAX_TEXT / 2);
  let digits = '';
  for (const octet of shown) digits += octet.toString(16).padStart(2, '0');
  return data.length > shown.length ? `${digits}...` : digits;
}

function count(data: Uint8Array): string {
  return data.length === 0 ? '' : String(data.length);
}
