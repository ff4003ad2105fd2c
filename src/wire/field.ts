/**
 * The language in which RFC 7296 §3 is written down here.
 *
 * A structure is an object literal of fields in the order of the RFC's figure; each says its
 * width in bits and what it means. `decode.ts`, `encode.ts` and `print.ts` interpret the same
 * literal, and `RecordOf` derives the TypeScript type from it. So a format is declared once:
 *
 *     const notify = payload('Notify', '§3.10', {
 *       protocolId: uint(8, PROTOCOL, 'what the SPI belongs to; 0: no SPI'),
 *       spiSize: sizeOf(8, 'spi'),
 *       notifyType: uint(16, NOTIFY, 'what is notified'),
 *       spi: octets('of the SA that is meant'),
 *       data: octets('by notify type'),
 *     });
 *
 *     // RecordOf<typeof notify>:
 *     // { protocolId: number; notifyType: number; spi: Uint8Array; data: Uint8Array }
 *
 * Lengths, counts, last-substructure marks and RESERVED bits describe the other fields. They are
 * in the table but not in the record: decode checks them, encode computes them, and nobody can
 * set them wrong.
 *
 * Octets and lists reach as far as a `sizeOf` or `countOf` before them says, else to the end of
 * their structure. A structure ends where its `length` says, else where its last field does.
 */
import type { IkeSpi } from './ike-spi.js';
import type { Registry } from './registry/index.js';

/** Registries of a field whose meaning depends on another: transform IDs on transform types. */
export interface RegistryBy {
  readonly by: string;
  readonly of: Readonly<Record<number, Registry>>;
}

/** An unsigned integer of up to 32 bits, network order. */
export interface UintField {
  readonly kind: 'uint';
  readonly bits: number;
  readonly registry: Registry | RegistryBy | undefined;
  readonly meaning: string;
}

/** One bit. */
export interface FlagField {
  readonly kind: 'flag';
  readonly meaning: string;
}

/** A 64-bit IKE SPI. */
export interface IkeSpiField {
  readonly kind: 'ike-spi';
  readonly meaning: string;
}

/** How octets may be shown to people. Default is their number only: they may be a key. */
export type Shown = 'count' | 'hex' | 'text' | 'address' | 'identity';

export interface OctetsOptions {
  readonly min?: number;
  readonly max?: number;
  readonly shown?: Shown;
  /** What is decoded is the datagram's own memory, because it is opened before that changes. */
  readonly view?: boolean;
}

/** Octets: `size` of them, or as many as `sizeOf` said, or all that are left. */
export interface OctetsField {
  readonly kind: 'octets';
  readonly size: number | undefined;
  readonly options: OctetsOptions;
  readonly meaning: string;
}

/** An integer that is there if the structure has octets left; absent otherwise. */
export interface OptionalUintField {
  readonly kind: 'optional-uint';
  readonly bits: number;
  readonly registry: Registry | undefined;
  readonly meaning: string;
}

/** RESERVED octets that something is computed over as received; absent while they are zero. */
export interface KeptReservedField {
  readonly kind: 'kept-reserved';
  readonly size: number;
  readonly meaning: string;
}

/** Equally long octet strings without anything between them: `sizeOf` is one's size. */
export interface ItemsField {
  readonly kind: 'items';
  readonly meaning: string;
}

/** Substructures, one after the other. */
export interface ListField<F extends Form = Form> {
  readonly kind: 'list';
  readonly of: F;
  readonly min: number;
  readonly meaning: string;
}

/** The value of a data attribute: 16 bits (TV) or a length and octets (TLV) (§3.3.5). */
export interface AttributeValueField {
  readonly kind: 'attribute-value';
  readonly meaning: string;
}

/** RESERVED: sent as zero, ignored on receipt. */
export interface ReservedField {
  readonly kind: 'reserved';
  readonly bits: number;
}

/** Octets of the structure, counted from its octet `from` on; it ends there. */
export interface LengthField {
  readonly kind: 'length';
  readonly bits: number;
  readonly from: number;
}

/** Octets of the field named; of one item where that is `items`. */
export interface SizeOfField {
  readonly kind: 'size-of';
  readonly bits: number;
  readonly target: string;
}

/** How many elements the list or items named has. */
export interface CountOfField {
  readonly kind: 'count-of';
  readonly bits: number;
  readonly target: string;
}

/** Attribute Format: set where the attribute value named is a TV (§3.3.5). */
export interface FormatOfField {
  readonly kind: 'format-of';
  readonly target: string;
}

/** Last Substruc: 0 in the last structure of its list, `value` in those before (§3.3.1). */
export interface MoreField {
  readonly kind: 'more';
  readonly value: number;
}

/** Next Payload: the type of what follows in the chain (§3.2). */
export interface NextField {
  readonly kind: 'next';
}

export type Field =
  | UintField
  | FlagField
  | IkeSpiField
  | OctetsField
  | OptionalUintField
  | KeptReservedField
  | ItemsField
  | ListField
  | AttributeValueField
  | ReservedField
  | LengthField
  | SizeOfField
  | CountOfField
  | FormatOfField
  | MoreField
  | NextField;

/** Fields that describe others, and so are no part of the record. */
export type DerivedField =
  | ReservedField
  | LengthField
  | SizeOfField
  | CountOfField
  | FormatOfField
  | MoreField
  | NextField;

export interface Fields {
  readonly [name: string]: Field;
}

/** A structure: its name in the RFC, its section, and its fields in order. */
export interface Struct<F extends Fields = Fields> {
  readonly kind: 'struct';
  readonly name: string;
  readonly section: string;
  readonly fields: F;
  /** The same fields as the interpreters walk them. */
  readonly steps: readonly Step[];
}

/**
 * A field with its name, and with the name that it has in an error. Kind and width are here too,
 * because steps are all of one shape and fields are not: that makes them quick to walk.
 */
export type Step = StepOf<Field>;

type StepOf<F extends Field> = F extends Field
  ? {
      readonly kind: F['kind'];
      readonly name: string;
      readonly label: string;
      /** Of an integer; 0 of what is none. */
      readonly bits: number;
      readonly field: F;
    }
  : never;

/** A structure whose first octet decides its form. */
export interface Choice<S extends Struct = Struct, O extends Struct = Struct> {
  readonly kind: 'choice';
  readonly forms: Readonly<Record<number, S>>;
  readonly other: O;
}

export type Form = Struct | Choice;

// The type of a record, from its table.

type ValueOf<F extends Field> = F extends UintField
  ? number
  : F extends FlagField
    ? boolean
    : F extends IkeSpiField
      ? IkeSpi
      : F extends OctetsField
        ? Uint8Array
        : F extends OptionalUintField
          ? number
          : F extends KeptReservedField
            ? Uint8Array
            : F extends ItemsField
              ? readonly Uint8Array[]
              : F extends ListField<infer Of>
                ? readonly RecordOf<Of>[]
                : F extends AttributeValueField
                  ? number | Uint8Array
                  : never;

type OptionalField = OptionalUintField | KeptReservedField;

type RecordOfFields<F extends Fields> = {
  readonly [K in keyof F as F[K] extends DerivedField | OptionalField ? never : K]: ValueOf<F[K]>;
} & {
  readonly [K in keyof F as F[K] extends OptionalField ? K : never]?: ValueOf<F[K]>;
};

export type Flatten<T> = { [K in keyof T]: T[K] };

/** What a structure looks like decoded. */
export type RecordOf<S extends Form> =
  S extends Struct<infer F>
    ? Flatten<RecordOfFields<F>>
    : S extends Choice<infer A, infer O>
      ? RecordOf<A> | RecordOf<O>
      : never;

// The words of the language.

export function struct<F extends Fields>(name: string, section: string, fields: F): Struct<F> {
  const steps = Object.entries(fields).map(([key, field]) => {
    const bits = 'bits' in field ? field.bits : 0;
    return { kind: field.kind, name: key, label: `${name}: ${key}`, bits, field } as Step;
  });
  for (const kind of ['size-of', 'count-of']) {
    const those = steps.filter(({ field }) => field.kind === kind);
    if (those.length > 1) throw new Error(`${name} has more than one ${kind}`);
  }
  return { kind: 'struct', name, section, fields, steps };
}

export function choice<S extends Struct, O extends Struct>(
  forms: Readonly<Record<number, S>>,
  other: O,
): Choice<S, O> {
  return { kind: 'choice', forms, other };
}

export function uint(bits: number, registry: Registry | RegistryBy, meaning: string): UintField;
export function uint(bits: number, meaning: string): UintField;
export function uint(
  bits: number,
  registryOrMeaning: Registry | RegistryBy | string,
  meaning?: string,
): UintField {
  return typeof registryOrMeaning === 'string'
    ? { kind: 'uint', bits, registry: undefined, meaning: registryOrMeaning }
    : { kind: 'uint', bits, registry: registryOrMeaning, meaning: meaning ?? '' };
}

export function flag(meaning: string): FlagField {
  return { kind: 'flag', meaning };
}

export function ikeSpi(meaning: string): IkeSpiField {
  return { kind: 'ike-spi', meaning };
}

/** As many octets as `sizeOf` said before, or all up to the end of the structure. */
export function octets(meaning: string, options: OctetsOptions = {}): OctetsField {
  return { kind: 'octets', size: undefined, options, meaning };
}

/** Exactly `size` octets. */
export function fixed(size: number, meaning: string, options: OctetsOptions = {}): OctetsField {
  return { kind: 'octets', size, options, meaning };
}

export function optionalUint(bits: number, registry: Registry, meaning: string): OptionalUintField {
  return { kind: 'optional-uint', bits, registry, meaning };
}

export function keptReserved(size: number, meaning: string): KeptReservedField {
  return { kind: 'kept-reserved', size, meaning };
}

export function items(meaning: string): ItemsField {
  return { kind: 'items', meaning };
}

export function list<F extends Form>(of: F, min: number, meaning: string): ListField<F> {
  return { kind: 'list', of, min, meaning };
}

export function attributeValue(meaning: string): AttributeValueField {
  return { kind: 'attribute-value', meaning };
}

export function reserved(bits: number): ReservedField {
  return { kind: 'reserved', bits };
}

export function length(bits: number, from = 0): LengthField {
  return { kind: 'length', bits, from };
}

export function sizeOf(bits: number, target: string): SizeOfField {
  return { kind: 'size-of', bits, target };
}

export function countOf(bits: number, target: string): CountOfField {
  return { kind: 'count-of', bits, target };
}

export function formatOf(target: string): FormatOfField {
  return { kind: 'format-of', target };
}

export function more(value: number): MoreField {
  return { kind: 'more', value };
}

export function next(): NextField {
  return { kind: 'next' };
}
