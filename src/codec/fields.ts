import type { Builder, Offset } from 'flatbuffers';
import { assert } from '../base/assert.js';
import { SAFE_MAX } from '../base/ids.js';
import { readU64, refuseBytes, writeU32, writeU64 } from './bytes.js';
import type { TableView } from './flat-table.js';

/**
 * A field of an envelope's table: its kind and what values mean something. Its slot is its place in the layout.
 * `choice`: one byte, 1 for the first name (so that an absent one is refused). `list`: numbers of 32 or 64 bits.
 */
export type Field<Name extends PropertyKey = string> =
  | { name: Name; kind: 'u32' | 'u64'; min: number; max: number }
  | { name: Name; kind: 'flag' }
  | { name: Name; kind: 'choice'; choices: readonly string[] }
  | { name: Name; kind: 'text'; charsMax: number; clipped: boolean }
  | { name: Name; kind: 'list'; itemBytes: 4 | 8; countMax: number };

type FieldValue = number | boolean | string | readonly number[];
export type FieldValues = Record<string, FieldValue>;

type NumberField = Extract<Field, { kind: 'u32' | 'u64' }>;
type ChoiceField = Extract<Field, { kind: 'choice' }>;
/** A field whose value has one size, whatever it is. */
export type FixedField = Exclude<Field, TextField | ListField>;
type TextField = Extract<Field, { kind: 'text' }>;
type ListField = Extract<Field, { kind: 'list' }>;

/** Writes `values` as a table; the builder must not be inside another one. Values out of range are a bug of ours. */
export function writeTable(builder: Builder, fields: readonly Field[], values: FieldValues): Offset {
  const outOfLine = fields.map((field) => {
    if (field.kind === 'text') return writeText(builder, field, values[field.name] as string);
    if (field.kind === 'list') return writeList(builder, field, values[field.name] as readonly number[]);
    return 0;
  });
  builder.startObject(fields.length);
  fields.forEach((field, slot) => {
    const value = values[field.name];
    switch (field.kind) {
      case 'u32':
        builder.addFieldInt32(slot, checkOwnNumber(field, value), 0);
        break;
      case 'u64':
        addU64(builder, slot, checkOwnNumber(field, value));
        break;
      case 'flag':
        builder.addFieldInt8(slot, value === true ? 1 : 0, 0);
        break;
      case 'choice':
        builder.addFieldInt8(slot, choiceNumber(field, value), 0);
        break;
      default:
        builder.addFieldOffset(slot, outOfLine[slot]!, 0);
    }
  });
  return builder.endObject();
}

/** Writes values over others, of fields that stand at `places` in `bytes`. */
export function putFields(
  bytes: Buffer,
  fields: readonly FixedField[],
  places: readonly number[],
  values: FieldValues,
): void {
  for (let slot = 0; slot < fields.length; slot++) {
    const field = fields[slot]!;
    const at = places[slot]!;
    const value = values[field.name];
    switch (field.kind) {
      case 'u32':
        writeU32(bytes, at, checkOwnNumber(field, value));
        break;
      case 'u64':
        writeU64(bytes, at, checkOwnNumber(field, value));
        break;
      case 'flag':
        bytes[at] = value === true ? 1 : 0;
        break;
      case 'choice':
        bytes[at] = choiceNumber(field, value);
        break;
    }
  }
}

function choiceNumber({ name, choices }: ChoiceField, value: FieldValue | undefined): number {
  const choice = choices.indexOf(value as string);
  if (choice < 0) assert(false, `${name} is one of ${choices.join(', ')}`);
  return choice + 1;
}

function checkOwnNumber(field: NumberField, value: FieldValue | undefined): number {
  const fits =
    Number.isSafeInteger(value) && (value as number) >= field.min && (value as number) <= field.max;
  if (!fits) assert(false, `${field.name} is a whole number of ${field.min} to ${field.max}, not ${value}`);
  return value as number;
}

/** What `addFieldInt64` does, without making a BigInt. The builder writes from the end to the front. */
function addU64(builder: Builder, slot: number, value: number): void {
  if (value === 0) return;
  builder.prep(8, 0);
  builder.writeInt32(Math.floor(value / 0x1_0000_0000));
  builder.writeInt32(value % 0x1_0000_0000);
  builder.slot(slot);
}

function writeText(builder: Builder, field: TextField, value: string): Offset {
  const fits = value.length <= field.charsMax;
  assert(fits || field.clipped, `${field.name} has at most ${field.charsMax} characters`);
  if (value === '') return 0;
  return builder.createString(fits ? value : value.slice(0, field.charsMax));
}

function writeList(builder: Builder, field: ListField, values: readonly number[]): Offset {
  assert(values.length <= field.countMax, `${field.name} has at most ${field.countMax} items`);
  const { itemBytes } = field;
  const fits = itemBytes === 4 ? isU32 : isU64;
  assert(values.every(fits), `${field.name} holds numbers of ${8 * itemBytes} bits`);
  builder.startVector(itemBytes, values.length, itemBytes);
  for (let at = values.length - 1; at >= 0; at--) {
    const value = values[at]!;
    if (itemBytes === 8) builder.writeInt32(Math.floor(value / 0x1_0000_0000));
    builder.writeInt32(value % 0x1_0000_0000);
  }
  return builder.endVector();
}

/** As much of a number of 64 bits as is exact here. */
function isU64(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Whether `value` is a whole number that four bytes hold. */
export function isU32(value: number): boolean {
  return value >>> 0 === value;
}

/** Reads `fields` out of a table from outside, checking structure and range of each. */
export function readFields(
  bytes: Buffer,
  table: TableView,
  fields: readonly Field[],
  into: FieldValues,
): FieldValues {
  for (let slot = 0; slot < fields.length; slot++) {
    into[fields[slot]!.name] = readField(bytes, table, fields[slot]!, slot);
  }
  return into;
}

function readField(bytes: Buffer, table: TableView, field: Field, slot: number): FieldValue {
  switch (field.kind) {
    case 'u32': {
      const at = table.field(slot, 4, field.name);
      return checkNumber(field, at < 0 ? 0 : bytes.readUInt32LE(at));
    }
    case 'u64': {
      const at = table.field(slot, 8, field.name);
      return checkNumber(field, at < 0 ? 0 : readU64(bytes, at, field.name));
    }
    case 'flag': {
      const value = table.u8(slot, field.name);
      if (value > 1) refuseBytes(field.name, '0 or 1', value);
      return value === 1;
    }
    case 'choice': {
      const value = table.u8(slot, field.name);
      return field.choices[value - 1] ?? refuseBytes(field.name, `1 to ${field.choices.length}`, value);
    }
    case 'text':
      return table.text(slot, field.charsMax, field.name);
    case 'list':
      return field.itemBytes === 4
        ? readU32List(bytes, table, slot, field.countMax, field.name)
        : readU64List(bytes, table, slot, field);
  }
}

function readU64List(bytes: Buffer, table: TableView, slot: number, field: ListField): number[] {
  const { at, count } = table.vector(slot, 8, field.countMax, field.name);
  return Array.from({ length: count }, (_, item) => readU64(bytes, at + 8 * item, field.name));
}

/** A vector of numbers of 32 bits. */
export function readU32List(
  bytes: Buffer,
  table: TableView,
  slot: number,
  countMax: number,
  name: string,
): number[] {
  const { at, count } = table.vector(slot, 4, countMax, name);
  const list = new Array<number>(count);
  for (let item = 0; item < count; item++) list[item] = bytes.readUInt32LE(at + 4 * item);
  return list;
}

function checkNumber(field: NumberField, value: number): number {
  if (value < field.min || value > field.max) {
    const most = field.max === SAFE_MAX ? '2^53 - 1' : field.max;
    refuseBytes(field.name, `${field.min} to ${most}`, value);
  }
  return value;
}
