import { assert } from '../base/assert.js';
import { LINE_BYTES } from './layout.js';

/**
 * A number that only grows, in shared memory: 0 … 2^53 − 1, born 0, one writer, many readers. Never torn. Each load
 * and store makes a BigInt, so it is for numbers that move once per batch, not per entry.
 */
export class Cursor {
  /** Shared bytes of a cursor: a whole line, so that writers of neighbours do not meet. */
  static readonly BYTES: number = LINE_BYTES;

  private readonly cell: BigInt64Array;
  /** The writer's last value: the shared one has no other writer. */
  private last: number;

  /** `byteOffset`: a multiple of 8, better of 64. */
  constructor(memory: SharedArrayBuffer, byteOffset: number) {
    this.cell = new BigInt64Array(memory, byteOffset, 1);
    this.last = this.load();
  }

  load(): number {
    return Number(Atomics.load(this.cell, 0));
  }

  /** Everything written before is visible to whoever loads the value. Throws Internal where the value would shrink. */
  store(value: number): void {
    assert(
      Number.isSafeInteger(value) && value >= this.last,
      `a cursor at ${this.last} only grows, not to ${value}`,
    );
    this.last = value;
    Atomics.store(this.cell, 0, BigInt(value));
  }
}
