/**
 * Writes a record by its table (`field.ts`). Lengths, sizes, counts and last-substructure marks
 * are computed from the record; RESERVED is zero. A record that its table cannot carry is a
 * RangeError: it is our mistake, never a peer's.
 */
import { MAX_LIST, selectForm } from './decode.js';
import type { Field, Form, ListField, OctetsField, Struct } from './field.js';
import { type IkeSpi, ikeSpiBytes } from './ike-spi.js';
import type { Writer } from './writer.js';

type Rec = Readonly<Record<string, unknown>>;

/** What stands around a structure. */
export interface Surroundings {
  /** Type of the payload that comes next. */
  readonly next?: number;
  /** Its list goes on after it. */
  readonly more?: boolean;
  /** Writes what its length covers after its table, as that of the IKE header does. */
  readonly following?: () => void;
}

/** Places of lengths, to be filled when the structure is written. */
interface Place {
  readonly name: string;
  readonly place: number;
  readonly bits: number;
  readonly from: number;
}

export function encodeStruct(writer: Writer, struct: Struct, record: Rec, around: Surroundings) {
  const start = writer.offset;
  const lengths: Place[] = [];
  for (const step of struct.steps) {
    const { label, field } = step;
    if (field.kind === 'length') {
      const from = start + field.from;
      lengths.push({ name: label, place: writer.skip(field.bits), bits: field.bits, from });
    } else if (!encodeDerived(writer, label, field, record, around)) {
      encodeValue(writer, label, field, record[step.name]);
    }
  }
  around.following?.();
  for (const { place, bits, from, name } of lengths) {
    writer.patch(place, bits, writer.offset - from, name);
  }
}

/** A field that follows from others, or from nothing; false: it has a value of its own. */
function encodeDerived(
  writer: Writer,
  label: string,
  field: Field,
  record: Rec,
  around: Surroundings,
): boolean {
  switch (field.kind) {
    case 'reserved':
      writer.uint(field.bits, 0, label);
      return true;
    case 'size-of':
      writer.uint(field.bits, sizeOfValue(record[field.target]), label);
      return true;
    case 'count-of':
      writer.uint(field.bits, (record[field.target] as readonly unknown[]).length, label);
      return true;
    case 'format-of':
      writer.uint(1, typeof record[field.target] === 'number' ? 1 : 0, label);
      return true;
    case 'more':
      writer.uint(8, around.more ? field.value : 0, label);
      return true;
    case 'next':
      writer.uint(8, around.next ?? 0, label);
      return true;
    default:
      return false;
  }
}

function encodeValue(writer: Writer, label: string, field: Field, value: unknown): void {
  switch (field.kind) {
    case 'uint':
      writer.uint(field.bits, value as number, label);
      break;
    case 'flag':
      writer.uint(1, value === true ? 1 : 0, label);
      break;
    case 'ike-spi':
      writer.octets(ikeSpiBytes(value as IkeSpi));
      break;
    case 'octets':
      encodeOctets(writer, label, field, value as Uint8Array);
      break;
    case 'optional-uint':
      if (value !== undefined) writer.uint(field.bits, value as number, label);
      break;
    case 'kept-reserved':
      encodeKept(writer, label, field.size, value as Uint8Array | undefined);
      break;
    case 'items':
      encodeItems(writer, label, value as readonly Uint8Array[]);
      break;
    case 'list':
      encodeList(writer, label, field, value as readonly Rec[]);
      break;
    case 'attribute-value':
      encodeAttributeValue(writer, label, value as number | Uint8Array);
      break;
    default:
      throw new Error(`${field.kind} has no value`);
  }
}

/** Octets of a value, or of one item of several. */
function sizeOfValue(value: unknown): number {
  if (value instanceof Uint8Array) return value.length;
  return (value as readonly Uint8Array[])[0]?.length ?? 0;
}

function encodeOctets(writer: Writer, label: string, field: OctetsField, value: Uint8Array): void {
  const { min = 0, max = Number.POSITIVE_INFINITY } = field.options;
  const { length } = value;
  if (length < (field.size ?? min) || length > (field.size ?? max)) {
    throw new RangeError(`${label}: ${length} octets`);
  }
  writer.octets(value);
}

/** 16 bits alone, or a length of 16 bits and octets. */
function encodeAttributeValue(writer: Writer, label: string, value: number | Uint8Array): void {
  writer.uint(16, typeof value === 'number' ? value : value.length, label);
  if (typeof value !== 'number') writer.octets(value);
}

function encodeKept(writer: Writer, label: string, size: number, value?: Uint8Array): void {
  if (value !== undefined && value.length !== size) {
    throw new RangeError(`${label}: ${value.length} octets instead of ${size}`);
  }
  writer.octets(value ?? new Uint8Array(size));
}

function encodeItems(writer: Writer, label: string, values: readonly Uint8Array[]): void {
  const size = sizeOfValue(values);
  for (const value of values) {
    if (value.length !== size || size === 0) throw new RangeError(`${label}: of unequal size`);
    writer.octets(value);
  }
}

function encodeList(writer: Writer, label: string, field: ListField, records: readonly Rec[]) {
  if (records.length < field.min || records.length > MAX_LIST) {
    throw new RangeError(`${label}: ${records.length} of them`);
  }
  records.forEach((record, i) => {
    const more = i < records.length - 1;
    encodeStruct(writer, formFor(field.of, record), record, { more });
  });
}

/** The form that a record of a choice has; its first field is the one that decides. */
function formFor(form: Form, record: Rec): Struct {
  if (form.kind === 'struct') return form;
  return selectForm(form, record[form.other.steps[0]!.name] as number);
}
