import { assert } from '../base/assert.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { PADDING_KIND, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_KIND } from './layout.js';
import type { PositionCell } from './position.js';
import { alignRecord, openRing, type RingRegion } from './ring-memory.js';

/**
 * A reading side that gates the producer: nothing is overwritten before this consumer has released it. One thread.
 * Attaches at what its index has released: a successor is given again what a dead predecessor polled and kept.
 */
export class RingConsumer {
  /** The data area. */
  readonly bytes: Buffer;
  /** The same memory; what stands at `offset` is number `offset / 8`. */
  readonly numbers: Float64Array;
  /** Where the current record's payload starts in `bytes`. */
  offset = 0;
  /** Length of the current record's payload, bytes. */
  length = 0;
  /** The current record's position. */
  position: number;
  /** Where the current record ends: what `releaseTo` takes. */
  end: number;

  private readonly headers: Int32Array;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly published: PositionCell;
  private readonly released: PositionCell;
  /** Where the next record (or the padding before it) starts. Invariant: releasedTo ≤ next ≤ publishedSeen. */
  private next: number;
  private publishedSeen: number;
  private releasedTo: number;

  /** `index`: 0 … consumers − 1, each taken by one consumer. Throws OptionInvalid. */
  constructor(region: RingRegion, index: number) {
    const ring = openRing(region);
    const released = ring.released[index];
    if (released === undefined) {
      const expected = `0 … ${region.consumers - 1}`;
      throw new RaftlineError(
        ErrorCode.OptionInvalid,
        `index of a ring consumer: expected ${expected}, received ${index}`,
        { expected, received: index },
      );
    }
    this.bytes = ring.bytes;
    this.numbers = ring.numbers;
    this.headers = ring.headers;
    this.published = ring.published;
    this.released = released;
    this.capacity = region.capacity;
    this.mask = region.capacity - 1;
    this.releasedTo = released.load();
    this.next = this.releasedTo;
    this.publishedSeen = this.releasedTo;
    this.position = this.releasedTo;
    this.end = this.releasedTo;
  }

  /** Takes the next record, in order, and sets the fields. False: there is none yet. */
  poll(): boolean {
    if (!this.pending()) return false;
    let position = this.next;
    const header = (position & this.mask) >> 2;
    if (this.headers[header + 1] === (position | PADDING_KIND)) {
      position += this.capacity - (position & this.mask);
    }
    assert(this.describe(position), 'a ring record starts where the one before it ends');
    this.next = this.end;
    return true;
  }

  /** Whether `poll` would find a record. Takes nothing: what a sleeper looks at before it sleeps. */
  pending(): boolean {
    if (this.next !== this.publishedSeen) return true;
    this.publishedSeen = this.published.loadNear(this.next);
    return this.next !== this.publishedSeen;
  }

  /**
   * Whether this consumer holds more than half of the ring: asked before a release, whether the producer may be waiting for
   * it. (A record of nearly half the ring's size may have to wait where a little less is held.)
   */
  crowded(): boolean {
    return this.published.loadNear(this.next) - this.releasedTo > this.capacity / 2;
  }

  /** Sets the fields to a published, not yet released record by its position; `poll` goes on where it was. False: no such record. */
  at(position: number): boolean {
    if (position < this.releasedTo || position % RECORD_ALIGNMENT !== 0) return false;
    if (position >= this.publishedSeen) {
      this.publishedSeen = this.published.loadNear(this.next);
      if (position >= this.publishedSeen) return false;
    }
    return this.describe(position);
  }

  /** Where what it has not released begins. */
  get heldFrom(): number {
    return this.releasedTo;
  }

  /** Gives back everything polled. */
  release(): void {
    this.releaseTo(this.next);
  }

  /** Gives back everything before `end`, the `end` of a polled record. Below what was released before: nothing to do. */
  releaseTo(end: number): void {
    if (end <= this.releasedTo) return;
    assert(
      end <= this.next && end % RECORD_ALIGNMENT === 0,
      'a consumer releases whole records that it has polled',
    );
    this.releasedTo = end;
    this.released.store(end);
  }

  private describe(position: number): boolean {
    const header = (position & this.mask) >> 2;
    if (this.headers[header + 1] !== (position | RECORD_KIND)) return false;
    const length = this.headers[header]!;
    this.offset = (position & this.mask) + RECORD_HEADER_BYTES;
    this.length = length;
    this.position = position;
    this.end = position + RECORD_HEADER_BYTES + alignRecord(length);
    return true;
  }
}
