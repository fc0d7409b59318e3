import type { Field, FieldValues, FixedField } from './fields.js';
import { rootTable } from './flat-table.js';

/**
 * A message as FlatBuffers writes it with no field left out. Others of its type differ from it by the values of their fields alone, which stand
 * at the same places: each is a copy, into which its values are put. A builder takes ten times as long.
 */
export interface Form {
  /** Head, envelope and padding. */
  readonly bytes: Buffer;
  readonly fields: readonly FixedField[];
  /** Where each field's value stands in `bytes`. */
  readonly places: readonly number[];
}

/** The bytes of each field's kind. */
const SIZES = { u32: 4, u64: 8, flag: 1, choice: 1 } as const;

/** Whether messages of these fields are all of one length. */
export function areFixed(fields: readonly Field[]): fields is readonly FixedField[] {
  return fields.every(({ kind }) => kind !== 'text' && kind !== 'list');
}

/** Values of which a builder leaves out none. */
export function presentValues(fields: readonly FixedField[]): FieldValues {
  const values = fields.map((field) => {
    if (field.kind === 'choice') return [field.name, field.choices[0]!];
    return [field.name, field.kind === 'flag' ? true : Math.max(1, field.min)];
  });
  return Object.fromEntries(values);
}

/** `bytes`: a message with `presentValues`, whose FlatBuffer stands from `start` to `end` and has the message's table in its root's `slot`. */
export function makeForm(
  bytes: Buffer,
  { start, end, slot, identifier }: { start: number; end: number; slot: number; identifier: string },
  fields: readonly FixedField[],
): Form {
  const table = rootTable(bytes.subarray(start, end), identifier, 'form').child(slot, 'form');
  const places = fields.map(({ name, kind }, at) => start + table.field(at, SIZES[kind], name));
  return { bytes, fields, places };
}
