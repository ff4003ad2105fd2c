/**
 * Writes a record by its table (`field.ts`). Lengths, sizes, counts and last-substructure marks
 * are computed from the record; RESERVED is zero. A record that its table cannot carry is a
 * RangeError: it is our mistake, never a peer's.
 */
import { MAX_LIST, selectForm } from './decode.js';
import type { DerivedField, Form, ListField, OctetsField, Step, Struct } from './field.js';
import { type IkeSpi, ikeSpiHalf } from './ike-spi.js';
import type { Writer } from './writer.js';

type Rec = Readonly<Record<string, unknown>>;

/** What stands around a structure. */
export interface Surroundings {
  /** Type of the payload that comes next. */
  readonly next?: number;
  /** Its list goes on after it. */
  readonly more?: boolean;
  /** Writes what its length covers after its table, as that of the IKE header does. */
  readonly following?: (() => void) | undefined;
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
  let lengths: Place[] | undefined;
  for (const step of struct.steps) {
    if (step.kind === 'length') {
      const { label, bits, field } = step;
      lengths ??= [];
      lengths.push({ name: label, place: writer.skip(bits), bits, from: start + field.from });
    } else encodeField(writer, step, record, around);
  }
  around.following?.();
  if (lengths === undefined) return;
  for (const { place, bits, from, name } of lengths) {
    writer.patch(place, bits, writer.offset - from, name);
  }
}

/** A field's value, or what follows from that of another. */
function encodeField(
  writer: Writer,
  step: Exclude<Step, { kind: 'length' }>,
  record: Rec,
  around: Surroundings,
): void {
  const { label } = step;
  switch (step.kind) {
    case 'reserved':
      writer.uint(step.bits, 0, label);
      break;
    case 'next':
      writer.uint(8, around.next ?? 0, label);
      break;
    case 'more':
      writer.uint(8, around.more ? step.field.value : 0, label);
      break;
    case 'size-of':
      writer.uint(step.bits, sizeOfValue(record[step.field.target]), label);
      break;
    case 'count-of':
      writer.uint(step.bits, (record[step.field.target] as readonly unknown[]).length, label);
      break;
    case 'format-of':
      writer.uint(1, typeof record[step.field.target] === 'number' ? 1 : 0, label);
      break;
    default:
      encodeValue(writer, step, record[step.name]);
  }
}

type ValueStep = Exclude<Step, { field: DerivedField }>;

function encodeValue(writer: Writer, step: ValueStep, value: unknown): void {
  const { label } = step;
  switch (step.kind) {
    case 'uint':
      writer.uint(step.bits, value as number, label);
      break;
    case 'octets':
      encodeOctets(writer, label, step.field, value as Uint8Array);
      break;
    case 'flag':
      writer.uint(1, value === true ? 1 : 0, label);
      break;
    case 'ike-spi':
      writer.uint(32, ikeSpiHalf(value as IkeSpi, 0), label);
      writer.uint(32, ikeSpiHalf(value as IkeSpi, 1), label);
      break;
    case 'list':
      encodeList(writer, label, step.field, value as readonly Rec[]);
      break;
    case 'items':
      encodeItems(writer, label, value as readonly Uint8Array[]);
      break;
    case 'attribute-value':
      encodeAttributeValue(writer, label, value as number | Uint8Array);
      break;
    case 'optional-uint':
      if (value !== undefined) writer.uint(step.bits, value as number, label);
      break;
    case 'kept-reserved':
      encodeKept(writer, label, step.field.size, value as Uint8Array | undefined);
      break;
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
