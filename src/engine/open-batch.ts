import { copyBytes } from '../base/copy.js';
import { BatchFlag } from '../base/messages.js';
import { packEntry, packedEntryBytes } from '../codec/entries.js';
import { Waiters } from './waiters.js';

/** What all open batches of an engine hold, and how much that may be. */
export interface OpenBytes {
  bytes: number;
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

  constructor(bytesMax: number, entriesMax: number, held: OpenBytes = { bytes: 0, bytesMax: 0 }) {
    this.#held = held;
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

  get full(): boolean {
    return this.length >= this.#bytesMax || this.count >= this.#entriesMax;
  }

  add(bytes: Uint8Array): void {
    const packedBytes = packedEntryBytes(bytes.length, false);
    this.#reserve(packedBytes);
    this.#held.bytes += packedBytes;
    this.length = packEntry(this.#buffer, this.length, bytes);
    this.count++;
  }

  /** Entries of a remote client, already packed with their sessions. */
  addPacked(packed: Buffer, count: number): void {
    this.#reserve(packed.length);
    copyBytes(packed, this.#buffer, this.length);
    this.#held.bytes += packed.length;
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
    this.#held.bytes -= this.length;
    this.length = 0;
    this.count = 0;
    this.flags = 0;
    if (this.#buffer.length !== this.#bytesMax) this.#buffer = Buffer.allocUnsafeSlow(this.#bytesMax);
    return waiters;
  }

  /** More than the buffer holds is needed by an entry that stands alone, and where the limits were raised meanwhile. */
  #reserve(packedBytes: number): void {
    if (this.length + packedBytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytesMax, this.length + packedBytes));
    this.#buffer.copy(grown, 0, 0, this.length);
    this.#buffer = grown;
  }
}
