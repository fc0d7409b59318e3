import { assert } from '../base/assert.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { PADDING_KIND, RECORD_HEADER_BYTES, RECORD_KIND } from './layout.js';
import type { PositionCell } from './position.js';
import { alignRecord, openRing, type RingRegion, recordBytesMax } from './ring-memory.js';

/**
 * The writing side of a ring; one per ring. `claim`, write into `bytes` from `offset`, then `publish` or `abandon`.
 * Attaches at the last published record: what a predecessor had claimed when it died was never there.
 */
export class RingProducer {
  /** The data area. */
  readonly bytes: Buffer;
  /** The same memory; what stands at `offset` is number `offset / 8`. */
  readonly numbers: Float64Array;
  /** The largest length that `claim` takes. */
  readonly recordBytesMax: number;
  /** Where the claimed record's payload starts in `bytes`. */
  offset = 0;
  /** The claimed record's position. Never wraps. */
  position: number;

  private readonly headers: Int32Array;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly published: PositionCell;
  private readonly claimed: PositionCell;
  private readonly released: PositionCell[];
  /** The end of the last published record. */
  private head: number;
  /** What `claimed` says. Invariant: no byte at or after `claimedTo − capacity` was touched since it was published. */
  private claimedTo: number;
  /** What all consumers had released when last asked; at most what they have released now. */
  private releasedSeen: number;
  /** Length of the open claim; −1 when there is none. */
  private claimLength = -1;

  constructor(region: RingRegion) {
    const ring = openRing(region);
    this.bytes = ring.bytes;
    this.numbers = ring.numbers;
    this.headers = ring.headers;
    this.published = ring.published;
    this.claimed = ring.claimed;
    this.released = ring.released;
    this.capacity = region.capacity;
    this.mask = region.capacity - 1;
    this.recordBytesMax = recordBytesMax(region.capacity);
    this.head = this.published.load();
    this.claimedTo = this.claimed.load();
    this.position = this.head;
    this.releasedSeen = this.holdsFrom();
  }

  /**
   * Makes contiguous room for a record of up to `length` bytes, and sets `offset` and `position`. False: the ring is
   * full and stays as it was; ask again once consumers have released. Throws EntryTooLarge above `recordBytesMax`.
   */
  claim(length: number): boolean {
    if (this.claimLength >= 0 || length >>> 0 !== length || length > this.recordBytesMax) {
      this.refuseClaim(length);
    }
    const bytes = RECORD_HEADER_BYTES + alignRecord(length);
    const position = this.startOf(bytes);
    const end = position + bytes;
    if (!this.isFree(end)) return false;
    // Observers must learn that old bytes go before the first of them does. Never moved back: an abandoned claim may
    // have been written to.
    if (end > this.claimedTo) {
      this.claimedTo = end;
      this.claimed.storeBeforeWrites(end);
    }
    this.position = position;
    this.offset = (position & this.mask) + RECORD_HEADER_BYTES;
    this.claimLength = length;
    return true;
  }

  /** Makes the claimed record visible with `length` bytes, at most what was claimed; the rest of the room is given back. */
  publish(length: number): void {
    if (length >>> 0 !== length || length > this.claimLength) this.refusePublish(length);
    const { headers, position } = this;
    if (position !== this.head) {
      const padding = (this.head & this.mask) >> 2;
      headers[padding] = 0;
      headers[padding + 1] = this.head | PADDING_KIND;
    }
    const header = (position & this.mask) >> 2;
    headers[header] = length;
    headers[header + 1] = position | RECORD_KIND;
    this.head = position + RECORD_HEADER_BYTES + alignRecord(length);
    this.claimLength = -1;
    this.published.store(this.head);
  }

  /** Gives the claim back: nothing becomes visible. */
  abandon(): void {
    assert(this.claimLength >= 0, 'a ring claim is abandoned only while it is open');
    this.claimLength = -1;
  }

  /** Whether `claim(length)` would succeed. Changes nothing: what a producer looks at before it sleeps. */
  fits(length: number): boolean {
    const bytes = RECORD_HEADER_BYTES + alignRecord(length);
    return this.isFree(this.startOf(bytes) + bytes);
  }

  /** Bytes that are free now, headers and padding not yet taken off. */
  freeBytes(): number {
    return this.capacity - (this.head - this.holdsFrom());
  }

  /** The oldest position that not all consumers have released. */
  holdsFrom(): number {
    const { head, released } = this;
    let oldest = head;
    for (let i = 0; i < released.length; i++) {
      const position = released[i]!.loadNear(head);
      if (position < oldest) oldest = position;
    }
    return oldest;
  }

  /** Where a record of `bytes`, header included, would start: at the head, or at the next lap's start. */
  private startOf(bytes: number): number {
    const room = this.capacity - (this.head & this.mask);
    return bytes <= room ? this.head : this.head + room;
  }

  private isFree(end: number): boolean {
    if (end - this.releasedSeen <= this.capacity) return true;
    this.releasedSeen = this.holdsFrom();
    return end - this.releasedSeen <= this.capacity;
  }

  private refuseClaim(length: number): never {
    assert(this.claimLength < 0, 'a ring has one open claim at a time');
    throw new RaftlineError(
      ErrorCode.EntryTooLarge,
      `ring record: expected a whole number of bytes, 0 … ${this.recordBytesMax}, received ${length}`,
      { limit: this.recordBytesMax, received: length },
    );
  }

  private refusePublish(length: number): never {
    assert(this.claimLength >= 0, 'a ring record is published only after a claim');
    assert(false, `a ring record of ${length} bytes fits its claim of ${this.claimLength}`);
  }
}
