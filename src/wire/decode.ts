/**
 * Reads a structure from its table (`field.ts`).
 *
 * Every step consumes octets or ends, no size that a peer claims is believed before that many
 * octets are there, and what a structure's length covers is consumed to the last octet or it is
 * a `WireError`. The order of RFC 7296 §3's fields is the order of reading.
 */
import type { Cursor } from './cursor.js';
import type { Choice, Form, ListField, OctetsField, Step, Struct } from './field.js';
import { ikeSpiAt } from './ike-spi.js';

/** Most substructures in one list: what counts of one octet allow; the rest has none. */
export const MAX_LIST = 255;

export type Decoded = Record<string, unknown>;

/** What the fields of one structure tell of the ones after them, and of the structure itself. */
interface Scope {
  readonly start: number;
  /**
   * Octets of the field that `sizeOf` names, and elements of the list that `countOf` names, once
   * they are told; no table has two of either.
   */
  sizeTarget: string;
  size: number;
  countTarget: string;
  count: number;
  /** Fields that are formats: true for a TV. */
  short: boolean;
  /** Next Payload. */
  next: number;
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
    sizeTarget: '',
    size: 0,
    countTarget: '',
    count: 0,
    short: false,
    next: 0,
    more: undefined,
    bounded: false,
  };
  for (const step of struct.steps) {
    cursor.field = step.name;
    const value = decodeField(cursor, step, scope);
    if (value !== undefined) record[step.name] = value;
  }
  cursor.field = undefined;
  if (scope.bounded && !goesOn) {
    if (cursor.left > 0) cursor.fail(`${cursor.left} octets too many in ${struct.name}`);
    cursor.end = outerEnd;
  }
  return { record, next: scope.next, more: scope.more };
}

/** The value of a field, or undefined for one that only describes others. */
function decodeField(cursor: Cursor, step: Step, scope: Scope): unknown {
  switch (step.kind) {
    case 'uint':
      return cursor.uint(step.bits);
    case 'reserved':
      cursor.uint(step.bits);
      return undefined;
    case 'next':
      scope.next = cursor.uint(8);
      return undefined;
    case 'length':
      boundStruct(cursor, scope, scope.start + step.field.from, step.bits);
      return undefined;
    case 'octets':
      return decodeOctets(cursor, step.name, step.field, scope);
    case 'flag':
      return cursor.uint(1) === 1;
    case 'ike-spi':
      return ikeSpiAt(cursor.data, cursor.skip(8));
    case 'size-of':
      scope.sizeTarget = step.field.target;
      scope.size = cursor.uint(step.bits);
      return undefined;
    case 'count-of':
      scope.countTarget = step.field.target;
      scope.count = cursor.uint(step.bits);
      return undefined;
    case 'list':
      return decodeList(cursor, step.name, step.field, scope);
    case 'items':
      return decodeItems(cursor, step.name, scope);
    case 'more':
      scope.more = decodeMore(cursor, step.field.value);
      return undefined;
    case 'format-of':
      scope.short = cursor.uint(1) === 1;
      return undefined;
    case 'attribute-value':
      return scope.short ? cursor.uint(16) : cursor.octets(cursor.uint(16));
    case 'optional-uint':
      return cursor.left > 0 ? cursor.uint(step.bits) : undefined;
    case 'kept-reserved': {
      const octets = cursor.octets(step.field.size);
      return octets.some((octet) => octet !== 0) ? octets : undefined;
    }
  }
}

/** Last Substruc: whether the list goes on. */
function decodeMore(cursor: Cursor, whereItGoesOn: number): boolean {
  const value = cursor.uint(8);
  if (value !== 0 && value !== whereItGoesOn) {
    cursor.fail(`${value} is neither 0 nor ${whereItGoesOn}`, cursor.offset - 1);
  }
  return value !== 0;
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

function decodeOctets(
  cursor: Cursor,
  name: string,
  { size, options }: OctetsField,
  scope: Scope,
): Uint8Array {
  const octets = size ?? (scope.sizeTarget === name ? scope.size : cursor.left);
  const { min = 0, max = Number.POSITIVE_INFINITY } = options;
  if (octets < min || octets > max) cursor.fail(`${octets} octets, outside ${min} to ${max}`);
  return options.view === true ? cursor.view(octets) : cursor.octets(octets);
}

function decodeItems(cursor: Cursor, name: string, scope: Scope): Uint8Array[] {
  const size = scope.sizeTarget === name ? scope.size : 0;
  const count = scope.countTarget === name ? scope.count : 0;
  // Items without octets could be claimed without end; and a count without them is no syntax.
  if (size === 0 && count > 0) cursor.fail(`${count} items of no octets`);
  if (size * count > cursor.left) {
    cursor.fail(`${count} items of ${size} octets, but ${cursor.left} octets are there`);
  }
  const items: Uint8Array[] = [];
  while (items.length < count) items.push(cursor.octets(size));
  return items;
}

function decodeList(cursor: Cursor, name: string, field: ListField, scope: Scope): Decoded[] {
  const count = scope.countTarget === name ? scope.count : undefined;
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
