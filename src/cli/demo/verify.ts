import { createHash, type Hash } from 'node:crypto';
import type { LogIndex } from '../../base/ids.js';
import { grouped } from '../table.js';
import type { Input } from './input.js';

/** Entries at consecutive indexes, as a replica's tail gives them. */
export interface EntryRun {
  readonly count: number;
  readonly firstIndex: LogIndex;
  forEach(visit: (bytes: Buffer, index: LogIndex) => void): void;
}

/** What a replica holds. */
export interface ReplicaFacts {
  entries: number;
  /** SHA-256 of its entries, put together again as the file was. */
  sha256: string;
  /** Log index of the last entry; 0 when there is none. */
  lastIndex: LogIndex;
  /** The first thing that differs from the input, in words; undefined: byte for byte the same. */
  difference: string | undefined;
}

const NEWLINE = Buffer.from('\n');
const SHOWN_BYTES = 24;

/** Compares entries as they come with the input file, block by block. */
export class ReplicaCheck {
  readonly #input: Input;
  readonly #hash: Hash = createHash('sha256');
  #position = 0;
  #entries = 0;
  #lastIndex: LogIndex = 0;
  #difference: string | undefined;

  constructor(input: Input) {
    this.#input = input;
  }

  /** Takes the next run. Goes on hashing and counting after a difference. */
  async take(run: EntryRun): Promise<void> {
    const joined = this.#join(run);
    this.#hash.update(joined);
    if (this.#difference === undefined) await this.#compare(joined, run);
    this.#position += joined.length;
    this.#entries += run.count;
  }

  finish(): ReplicaFacts {
    const { bytes, entries, sha256 } = this.#input.facts;
    const own = this.#hash.digest('hex');
    if (this.#entries !== entries) {
      this.#difference ??= `has ${grouped(this.#entries)} entries, the input has ${grouped(entries)}`;
    }
    if (this.#position !== bytes) {
      this.#difference ??= `has ${grouped(this.#position)} bytes, the input has ${grouped(bytes)}`;
    }
    if (own !== sha256) this.#difference ??= `has SHA-256 ${own}, the input had ${sha256}`;
    return { entries: this.#entries, sha256: own, lastIndex: this.#lastIndex, difference: this.#difference };
  }

  /** The run's bytes as they stood in the file: lines get their newline back, but for a last one that had none. */
  #join(run: EntryRun): Buffer {
    const lines = this.#input.recordBytes === undefined;
    const parts: Buffer[] = [];
    run.forEach((bytes, index) => {
      if (index <= this.#lastIndex) {
        this.#difference ??= `index ${index} comes after index ${this.#lastIndex}`;
      }
      this.#lastIndex = index;
      parts.push(bytes);
      if (lines) parts.push(NEWLINE);
    });
    const joined = Buffer.concat(parts);
    const { bytes, endsWithNewline } = this.#input.facts;
    const bareEnd = lines && !endsWithNewline && this.#position + joined.length === bytes + 1;
    return bareEnd ? joined.subarray(0, -1) : joined;
  }

  async #compare(joined: Buffer, run: EntryRun): Promise<void> {
    const expected = await this.#input.read(this.#position, joined.length);
    if (!expected.equals(joined)) {
      let at = 0;
      while (at < expected.length && expected[at] === joined[at]) at++;
      this.#difference = this.#describe(at, expected, joined, run);
    } else if (this.#input.recordBytes !== undefined) this.#checkRecords(run, this.#input.recordBytes);
  }

  /** The same bytes, cut elsewhere, are not the same entries. */
  #checkRecords(run: EntryRun, recordBytes: number): void {
    let number = this.#entries;
    run.forEach(({ length }) => {
      number++;
      const { entries, bytes } = this.#input.facts;
      const wanted = number === entries ? bytes - (entries - 1) * recordBytes : recordBytes;
      if (length !== wanted) {
        this.#difference ??= `entry ${grouped(number)} has ${length} bytes, the input's record ${wanted}`;
      }
    });
  }

  #describe(at: number, expected: Buffer, joined: Buffer, run: EntryRun): string {
    let number = this.#entries;
    let start = 0;
    let found = 0;
    const separator = this.#input.recordBytes === undefined ? 1 : 0;
    run.forEach(({ length }, index) => {
      if (start <= at) {
        number++;
        found = index;
      }
      start += length + separator;
    });
    const show = (bytes: Buffer): string => JSON.stringify(bytes.toString('latin1', at, at + SHOWN_BYTES));
    const place = `entry ${grouped(number)} (index ${found}), byte ${grouped(this.#position + at)} of the input`;
    if (at >= expected.length) return `${place}: goes on after the input's end with ${show(joined)}`;
    return `${place}: expected ${show(expected)}, received ${show(joined)}`;
  }
}
