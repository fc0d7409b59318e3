import { describe, expect, it } from 'vitest';
import { rootTable, type TableView } from '../../src/codec/flat-table.js';
import { expectRefused } from './samples.js';

/**
 * A table by hand: a number, a text and a child without fields.
 *  0 root 20 · 4 "TEST" · 8 vtable: size 10, table 16, fields at 12, 4, 8 · 18 alignment
 * 20 table: vtable 12 back, text at 36, child at 44, number 7 · 36 text of two, "hi" and its zero
 * 44 child: vtable 48 · 48 vtable: size 4, table 4
 */
const BYTES = Buffer.from(
  '14000000' +
    '54455354' +
    '0a00' +
    '1000' +
    '0c00' +
    '0400' +
    '0800' +
    '0000' +
    '0c000000' +
    '0c000000' +
    '10000000' +
    '07000000' +
    '02000000' +
    '68690000' +
    'fcffffff' +
    '04000400',
  'hex',
);

function open(spoil?: (bytes: Buffer) => unknown, length = BYTES.length): TableView {
  const bytes = Buffer.from(BYTES);
  spoil?.(bytes);
  return rootTable(bytes.subarray(0, length), 'TEST', 'table');
}

describe('S6 a table from outside', () => {
  it('is read where everything is in its place; what is not there is a default', () => {
    const table = open();
    expect(table.field(0, 4, 'number')).toBe(32);
    expect(table.u8(0, 'number')).toBe(7);
    expect(table.text(1, 2, 'text')).toBe('hi');
    expect(table.child(2, 'child').u8(0, 'nothing')).toBe(0);
    expect(table.field(3, 4, 'later field')).toBe(-1);
    expect(table.text(3, 9, 'later text')).toBe('');
    expect(table.vector(3, 4, 9, 'later list').count).toBe(0);
    expectRefused(() => table.child(3, 'later child'), /later child: expected to be there/);
  });

  it('is refused when the table or its vtable lies outside', () => {
    expectRefused(() => open(undefined, 7), /table length/);
    expectRefused(() => open((bytes) => bytes.writeUInt32LE(49, 0)), /table table: expected inside/);
    expectRefused(() => open((bytes) => bytes.writeUInt32LE(0xffff_ffff, 0)), /table table: expected inside/);
    expectRefused(
      () => open((bytes) => bytes.writeInt32LE(21, 20)),
      /vtable: expected inside the buffer, received -1/,
    );
    expectRefused(
      () => open((bytes) => bytes.writeInt32LE(-29, 20)),
      /vtable: expected inside the buffer, received 49/,
    );
  });

  it('is refused when the vtable or the table does not end inside', () => {
    for (const size of [0, 2, 3, 9, 11, 46, 0xfffe]) {
      expectRefused(() => open((bytes) => bytes.writeUInt16LE(size, 8)), /vtable size/);
    }
    for (const size of [0, 3, 33, 0xffff]) {
      expectRefused(() => open((bytes) => bytes.writeUInt16LE(size, 10)), /table size/);
    }
  });

  it('is refused when a field is not wholly inside the table, or on its vtable offset', () => {
    for (const offset of [1, 3, 13, 15, 16, 0xffff]) {
      const table = open((bytes) => bytes.writeUInt16LE(offset, 12));
      expectRefused(() => table.field(0, 4, 'number'), /number: expected inside the table of 16 bytes/);
    }
  });

  it('is refused when what a field points to is not wholly inside', () => {
    for (const distance of [27, 0x7fff_ffff, 0xffff_ffff]) {
      const table = open((bytes) => bytes.writeUInt32LE(distance, 24));
      expectRefused(() => table.text(1, 9, 'text'), /text: expected inside the buffer/);
    }
    const longer = open((bytes) => bytes.writeUInt32LE(13, 36));
    expectRefused(
      () => longer.text(1, 99, 'text'),
      /text count: expected items inside the 12 bytes left, received 13/,
    );
    expectRefused(() => longer.vector(1, 4, 12, 'list'), /list count: expected at most 12, received 13/);
    const four = open((bytes) => bytes.writeUInt32LE(4, 36));
    expect(four.vector(1, 3, 4, 'list')).toEqual({ at: 40, count: 4 });
    expectRefused(
      () => four.vector(1, 4, 4, 'list'),
      /list count: expected items inside the 12 bytes left, received 4/,
    );
    expectRefused(
      () => open((bytes) => bytes.writeUInt32LE(200, 28)).child(2, 'child'),
      /child: expected inside/,
    );
  });

  it('is refused when a text is too long or does not end with a zero', () => {
    expectRefused(() => open().text(1, 1, 'text'), /text length: expected at most 1, received 2/);
    expectRefused(() => open().text(1, 0, 'text'), /text count: expected at most 0, received 2/);
    expectRefused(() => open((bytes) => bytes.writeUInt8(1, 42)).text(1, 9, 'text'), /ends with a zero byte/);
    const toTheEnd = open((bytes) => bytes.writeUInt32LE(12, 36));
    expectRefused(() => toTheEnd.text(1, 99, 'text'), /ends with a zero byte/);
  });
});
