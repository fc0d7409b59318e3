import type { LogIndex } from '../base/ids.js';

/**
 * How much a leader has proposed in its term and not seen committed (H38). What it took over from earlier terms was
 * capped by their leaders. The cap itself is asked before `propose`, by the engine.
 */
export class Uncommitted {
  #entries = 0;
  #bytes = 0;
  readonly #batches: { lastIndex: LogIndex; entries: number; bytes: number }[] = [];

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(lastIndex: LogIndex, entries: number, bytes: number): void {
    this.#entries += entries;
    this.#bytes += bytes;
    this.#batches.push({ lastIndex, entries, bytes });
  }

  commit(index: LogIndex): void {
    let done = 0;
    for (const batch of this.#batches) {
      if (batch.lastIndex > index) break;
      this.#entries -= batch.entries;
      this.#bytes -= batch.bytes;
      done += 1;
    }
    this.#batches.splice(0, done);
  }

  clear(): void {
    this.#entries = 0;
    this.#bytes = 0;
    this.#batches.length = 0;
  }
}
