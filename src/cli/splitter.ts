import { ENTRY_BYTES_CEILING } from '../base/limits.js';
import { usageError } from './arguments.js';

const NEWLINE = 10;

/**
 * Cuts a stream of blocks into entries: lines without their '\n' (a last one without newline counts; bytes are kept
 * as they are, '\r' too), or records of a fixed size (the last may be shorter).
 */
export class Splitter {
  readonly #recordBytes: number | undefined;
  /** The beginning of an entry whose end has not been seen. */
  #parts: Buffer[] = [];
  #partBytes = 0;
  #entries = 0;

  /** @param recordBytes size of a record, 1 … 64 MiB; undefined for lines */
  constructor(recordBytes?: number) {
    this.#recordBytes = recordBytes;
  }

  /** The entries that end in `block`, most of them as views into it. What is left over is copied. */
  *take(block: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    for (;;) {
      const end = this.#endOf(block, start);
      if (end < 0) break;
      yield this.#complete(block.subarray(start, end));
      start = this.#recordBytes === undefined ? end + 1 : end;
    }
    if (start < block.length) this.#keep(block.subarray(start));
  }

  /** The last entry, if the input did not end with one's end. */
  *finish(): Generator<Buffer, void, undefined> {
    if (this.#partBytes > 0) yield this.#complete(Buffer.alloc(0));
  }

  /** Where the entry that continues at `start` ends; −1: not in this block. */
  #endOf(block: Buffer, start: number): number {
    if (this.#recordBytes === undefined) return block.indexOf(NEWLINE, start);
    const end = start + this.#recordBytes - this.#partBytes;
    return end <= block.length ? end : -1;
  }

  #complete(tail: Buffer): Buffer {
    this.#entries++;
    if (this.#partBytes === 0) return tail;
    const entry = Buffer.concat([...this.#parts, tail]);
    this.#parts = [];
    this.#partBytes = 0;
    return entry;
  }

  #keep(part: Buffer): void {
    this.#partBytes += part.length;
    if (this.#partBytes > ENTRY_BYTES_CEILING) {
      const limit = ENTRY_BYTES_CEILING;
      throw usageError(
        `line ${this.#entries + 1} is longer than ${limit} bytes, the largest entry there can be`,
      );
    }
    this.#parts.push(Buffer.from(part));
  }
}
