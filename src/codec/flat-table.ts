import { refuseBytes } from './bytes.js';

const OFFSET_BYTES = 4;
const IDENTIFIER_BYTES = 4;
/** A vtable's own size and its table's size. */
const VTABLE_HEAD_BYTES = 4;
const UTF8_BYTES_PER_CHAR_MAX = 4;

/** The items of a vector inside the buffer: offset of the first, and how many. */
interface VectorAt {
  at: number;
  count: number;
}

const ABSENT: VectorAt = { at: 0, count: 0 };

/**
 * One table of a FlatBuffer from outside, read with every offset checked against the buffer: the library's own
 * TypeScript reader checks none (S6). Fields that the schema got later are simply not asked for. Everything that
 * does not fit is refused with `RAFTLINE_BYTES_INVALID`, naming the table and the field.
 */
export class TableView {
  private readonly vtable: number;
  private readonly vtableSize: number;
  private readonly tableSize: number;

  /** Opens the table at `table` of the FlatBuffer that fills `bytes`; `what` is its name in messages. */
  constructor(
    private readonly bytes: Buffer,
    private readonly table: number,
    private readonly what: string,
  ) {
    const length = bytes.length;
    if (table < 0 || table + OFFSET_BYTES > length) this.refuse('table', 'inside the buffer', table);
    this.vtable = table - bytes.readInt32LE(table);
    if (this.vtable < 0 || this.vtable + VTABLE_HEAD_BYTES > length) {
      this.refuse('vtable', 'inside the buffer', this.vtable);
    }
    this.vtableSize = bytes.readUInt16LE(this.vtable);
    const odd = (this.vtableSize & 1) !== 0;
    if (odd || this.vtableSize < VTABLE_HEAD_BYTES || this.vtable + this.vtableSize > length) {
      this.refuse('vtable size', `an even number that ends before ${length}`, this.vtableSize);
    }
    this.tableSize = bytes.readUInt16LE(this.vtable + 2);
    if (this.tableSize < OFFSET_BYTES || table + this.tableSize > length) {
      this.refuse('table size', `at least ${OFFSET_BYTES} and an end before ${length}`, this.tableSize);
    }
  }

  /** Offset of the field in `slot`, all of whose `size` bytes lie inside the table; −1 when it is not there. */
  field(slot: number, size: number, name: string): number {
    const entry = VTABLE_HEAD_BYTES + 2 * slot;
    if (entry + 2 > this.vtableSize) return -1;
    const offset = this.bytes.readUInt16LE(this.vtable + entry);
    if (offset === 0) return -1;
    if (offset < OFFSET_BYTES || offset + size > this.tableSize) {
      this.refuse(name, `inside the table of ${this.tableSize} bytes`, offset);
    }
    return this.table + offset;
  }

  /** A field of one byte; 0 when it is not there. */
  u8(slot: number, name: string): number {
    const at = this.field(slot, 1, name);
    return at < 0 ? 0 : this.bytes.readUInt8(at);
  }

  /** A vector of at most `countMax` items of `itemBytes` bytes; no items when it is not there. */
  vector(slot: number, itemBytes: number, countMax: number, name: string): VectorAt {
    const start = this.follow(slot, name);
    if (start < 0) return ABSENT;
    const count = this.bytes.readUInt32LE(start);
    if (count > countMax) this.refuse(`${name} count`, `at most ${countMax}`, count);
    const at = start + OFFSET_BYTES;
    if (count * itemBytes > this.bytes.length - at) {
      this.refuse(`${name} count`, `items inside the ${this.bytes.length - at} bytes left`, count);
    }
    return { at, count };
  }

  /** A string of at most `charsMax` UTF-16 units; empty when it is not there. */
  text(slot: number, charsMax: number, name: string): string {
    const { at, count } = this.vector(slot, 1, charsMax * UTF8_BYTES_PER_CHAR_MAX, name);
    if (count === 0) return '';
    if (at + count >= this.bytes.length || this.bytes[at + count] !== 0) {
      this.refuse(name, 'a string that ends with a zero byte', 'none');
    }
    const value = this.bytes.toString('utf8', at, at + count);
    if (value.length > charsMax) this.refuse(`${name} length`, `at most ${charsMax}`, value.length);
    return value;
  }

  /** The table that the field in `slot` points to. */
  child(slot: number, what: string): TableView {
    const table = this.follow(slot, what);
    if (table < 0) this.refuse(what, 'to be there', 'nothing');
    return new TableView(this.bytes, table, what);
  }

  /** Offset that the field in `slot` points to, with room for a length or an offset; −1 when it is not there. */
  private follow(slot: number, name: string): number {
    const at = this.field(slot, OFFSET_BYTES, name);
    if (at < 0) return -1;
    const target = at + this.bytes.readUInt32LE(at);
    if (target + OFFSET_BYTES > this.bytes.length) this.refuse(name, 'inside the buffer', target);
    return target;
  }

  private refuse(name: string, expected: string, received: string | number): never {
    refuseBytes(`${this.what} ${name}`, expected, received);
  }
}

/** Opens the root table of the FlatBuffer that fills `bytes` and carries `identifier`. */
export function rootTable(bytes: Buffer, identifier: string, what: string): TableView {
  if (bytes.length < OFFSET_BYTES + IDENTIFIER_BYTES) {
    refuseBytes(`${what} length`, `at least ${OFFSET_BYTES + IDENTIFIER_BYTES} bytes`, bytes.length);
  }
  const received = bytes.toString('latin1', OFFSET_BYTES, OFFSET_BYTES + IDENTIFIER_BYTES);
  if (received !== identifier) refuseBytes(`${what} identifier`, identifier, JSON.stringify(received));
  return new TableView(bytes, bytes.readUInt32LE(0), what);
}
