/**
 * Reads a structure from its table (`field.ts`).
 *
 * Every step consumes octets or ends, no size that a peer claims is believed before that many
 * octets are there, and what a structure's length covers is consumed to the last octet or it is
 * a `WireError`. The order of RFC 7296 §3's fields is the order of reading.
 */
import type { Cursor } from './cursor.js';
import type { Choice, Field, Form, ListField, OctetsField, Struct } from './field.js';
import { ikeSpiAt } from './ike-spi.js';

/** Most substructures in one list: what counts of one octet allow; the rest has none. */
export const MAX_LIST = 255;

export type Decoded = Record<string, unknown>;

interface Told {
  readonly target: string;
  readonly value: number;
}

/** What the fields of one structure tell of the ones after them, and of the structure itself. */
interface Scope {
  readonly start: number;
  /** The field whose octets were told, and the list whose elements; no table has two. */
  size: Told | undefined;
  count: Told | undefined;
  /** Fields that are formats: true for a TV. */
  short: boolean;
  /** What Last Substruc said; undefined where the structure has none. */
  more: boolean | undefined;
  bounded: boolean;
}

/** A record, with what its derived fields said about its neighbours. */
export interface DecodedStruct {
  readonly record: Decoded;
  readonly next: number;
  readonly more: boolean | undefined;
}

/**
 * Reads one structure at the cursor, up to its own length or its last field.
 * @param record  what its fields are added to
 * @param goesOn  its length covers more than its table, as that of the IKE header does; the cursor
 *                then ends there
 */
export function decodeStruct(
  cursor: Cursor,
  struct: Struct,
  record: Decoded = {},
  goesOn = false,
): DecodedStruct {
  const outerEnd = cursor.end;
  const scope: Scope = {
    start: cursor.offset,
    size: undefined,
    count: undefined,
    short: false,
    more: undefined,
    bounded: false,
  };
  let next = 0;
  for (const { name, field } of struct.steps) {
    cursor.field = name;
    if (field.kind === 'next') next = cursor.uint(8);
    else {
      const value = decodeField(cursor, name, field, scope);
      if (value !== undefined) record[name] = value;
    }
  }
  cursor.field = undefined;
  if (scope.bounded && !goesOn) {
    if (cursor.left > 0) cursor.fail(`${cursor.left} octets too many in ${struct.name}`);
    cursor.end = outerEnd;
  }
  return { record, next, more: scope.more };
}

/** The value of a field, or undefined for one that only describes others. */
function decodeField(cursor: Cursor, name: string, field: Field, scope: Scope): unknown {
  switch (field.kind) {
    case 'uint':
      return cursor.uint(field.bits);
    case 'flag':
      return cursor.uint(1) === 1;
    case 'ike-spi':
      return ikeSpiAt(cursor.data, cursor.skip(8));
    case 'octets':
      return decodeOctets(cursor, field, field.size ?? toldOf(scope.size, name) ?? cursor.left);
    case 'optional-uint':
      return cursor.left > 0 ? cursor.uint(field.bits) : undefined;
    case 'kept-reserved': {
      const octets = cursor.octets(field.size);
      return octets.some((octet) => octet !== 0) ? octets : undefined;
    }
    case 'items':
      return decodeItems(cursor, toldOf(scope.size, name) ?? 0, toldOf(scope.count, name) ?? 0);
    case 'list':
      return decodeList(cursor, name, field, toldOf(scope.count, name));
    case 'attribute-value':
      return scope.short ? cursor.uint(16) : cursor.octets(cursor.uint(16));
    case 'reserved':
      cursor.uint(field.bits);
      return undefined;
    case 'length':
      boundStruct(cursor, scope, scope.start + field.from, field.bits);
      return undefined;
    case 'size-of':
      scope.size = { target: field.target, value: cursor.uint(field.bits) };
      return undefined;
    case 'count-of':
      scope.count = { target: field.target, value: cursor.uint(field.bits) };
      return undefined;
    case 'format-of':
      scope.short = cursor.uint(1) === 1;
      return undefined;
    case 'more': {
      const value = cursor.uint(8);
      if (value !== 0 && value !== field.value) {
        cursor.fail(`${value} is neither 0 nor ${field.value}`, cursor.offset - 1);
      }
      scope.more = value !== 0;
      return undefined;
    }
    case 'next':
      throw new Error('read by decodeStruct');
  }
}

function toldOf(told: Told | undefined, name: string): number | undefined {
  return told?.target === name ? told.value : undefined;
}

/** Reads a length and ends the structure where it says, within the one around it. */
function boundStruct(cursor: Cursor, scope: Scope, from: number, bits: number): void {
  const at = cursor.offset;
  const length = cursor.uint(bits);
  const end = from + length;
  const there = cursor.end - from;
  if (end < cursor.offset) cursor.fail(`length ${length} is shorter than what it counts`, at);
  // A second length, such as that of EAP, has to agree with the first.
  if (end > cursor.end || (scope.bounded && end !== cursor.end)) {
    cursor.fail(`length ${length}, but ${there} octets are there`, at);
  }
  scope.bounded = true;
  cursor.end = end;
}

function decodeOctets(cursor: Cursor, field: OctetsField, size: number): Uint8Array {
  const { min = 0, max = Number.POSITIVE_INFINITY } = field.options;
  if (size < min || size > max) cursor.fail(`${size} octets, outside ${min} to ${max}`);
  return cursor.octets(size);
}

function decodeItems(cursor: Cursor, size: number, count: number): Uint8Array[] {
  // Items without octets could be claimed without end; and a count without them is no syntax.
  if (size === 0 && count > 0) cursor.fail(`${count} items of no octets`);
  if (size * count > cursor.left) {
    cursor.fail(`${count} items of ${size} octets, but ${cursor.left} octets are there`);
  }
  return Array.from({ length: count }, () => cursor.octets(size));
}

function decodeList(
  cursor: Cursor,
  name: string,
  field: ListField,
  count: number | undefined,
): Decoded[] {
  const elements: Decoded[] = [];
  cursor.path.push(name);
  cursor.field = undefined;
  while (count === undefined ? cursor.left > 0 : elements.length < count) {
    if (elements.length === MAX_LIST) cursor.fail(`more than ${MAX_LIST} of them`);
    const from = cursor.offset;
    const { record, more } = decodeStruct(cursor, formOf(cursor, field.of));
    elements.push(record);
    // Last Substruc is redundant (§3.3.1); where it disagrees, one of both is wrong.
    const last = count === undefined ? cursor.left === 0 : elements.length === count;
    if (more === last) cursor.fail(`Last Substruc says ${last ? 'more' : 'last'}`, from);
  }
  if (elements.length < field.min) cursor.fail(`${elements.length} of at least ${field.min}`);
  cursor.path.pop();
  return elements;
}

/** The structure to read: of a choice, the form that the octet ahead selects. */
function formOf(cursor: Cursor, form: Form): Struct {
  if (form.kind === 'struct') return form;
  if (cursor.left < 1) cursor.fail('nothing is left');
  return selectForm(form, cursor.data[cursor.offset]!);
}

export function selectForm(choice: Choice, selector: number): Struct {
  return choice.forms[selector] ?? choice.other;
}
