import { copyBytes } from '../base/copy.js';
import { BatchFlag } from '../base/messages.js';
import { packEntry, packedEntryBytes } from '../codec/entries.js';
import { Waiters } from './waiters.js';

/** The memory of all open batches of an engine, full or not, and how much that may be. */
export interface OpenBytes {
  bytes: number;
  /** Beyond `bytes`, for what waits until it may have it. */
  kept: number;
  readonly bytesMax: number;
}

/** Payload of a batch that is still open, in its final packed layout: a proposal is copied once, into here. */
export class OpenBatch {
  #bytesMax: number;
  #entriesMax: number;
  #buffer: Buffer;
  length = 0;
  count = 0;
  flags = 0;
  /** Who waits for what is in it. */
  waiters = new Waiters();
  readonly #held: OpenBytes;

  /** `held` must have room for `bytesMax` more. */
  constructor(bytesMax: number, entriesMax: number, held: OpenBytes = { bytes: 0, kept: 0, bytesMax: 0 }) {
    this.#held = held;
    held.bytes += bytesMax;
    this.#bytesMax = bytesMax;
    this.#entriesMax = entriesMax;
    this.#buffer = Buffer.allocUnsafeSlow(bytesMax);
  }

  /** From now on; what is in it already stays in it. */
  setLimits(bytesMax: number, entriesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#entriesMax = entriesMax;
  }

  /** Whether so many more packed bytes and entries go in; an empty batch takes any. */
  fits(packedBytes: number, entries: number): boolean {
    if (this.count === 0) return true;
    return this.length + packedBytes <= this.#bytesMax && this.count + entries <= this.#entriesMax;
  }

  /**
   * How much more memory it takes to hold so much more, bytes; for the caller to see that there is room in the budget. Only an entry that stands alone,
   * and limits that were raised, take any. What does not fit is judged as if the batch had been sealed.
   */
  growth(packedBytes: number, entries: number): number {
    if (this.length + packedBytes <= this.#buffer.length) return 0;
    const length = this.fits(packedBytes, entries) ? this.length + packedBytes : packedBytes;
    return length <= this.#buffer.length ? 0 : Math.max(this.#bytesMax, length) - this.#buffer.length;
  }

  get full(): boolean {
    return this.length >= this.#bytesMax || this.count >= this.#entriesMax;
  }

  add(bytes: Uint8Array): void {
    const packedBytes = packedEntryBytes(bytes.length, false);
    this.#reserve(packedBytes);
    this.length = packEntry(this.#buffer, this.length, bytes);
    this.count++;
  }

  /** Entries of a remote client, already packed with their sessions. */
  addPacked(packed: Buffer, count: number): void {
    this.#reserve(packed.length);
    copyBytes(packed, this.#buffer, this.length);
    this.length += packed.length;
    this.count += count;
    this.flags |= BatchFlag.Sessions;
  }

  copyTo(target: Buffer, at: number): void {
    copyBytes(this.#buffer.subarray(0, this.length), target, at);
  }

  /** Empties it and returns who waits for what was in it. */
  take(): Waiters {
    const { waiters } = this;
    this.waiters = new Waiters();
    this.length = 0;
    this.count = 0;
    this.flags = 0;
    if (this.#buffer.length > this.#bytesMax) this.#replace(this.#bytesMax);
    return waiters;
  }

  /** More than the buffer holds is needed by an entry that stands alone, and where the limits were raised meanwhile. */
  #reserve(packedBytes: number): void {
    if (this.length + packedBytes <= this.#buffer.length) return;
    this.#replace(Math.max(this.#bytesMax, this.length + packedBytes));
  }

  /** What is in it stays in it. */
  #replace(byteLength: number): void {
    const other = Buffer.allocUnsafeSlow(byteLength);
    this.#buffer.copy(other, 0, 0, this.length);
    this.#held.bytes += byteLength - this.#buffer.length;
    this.#buffer = other;
  }
}
