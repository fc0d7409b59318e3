import { assert } from '../base/assert.js';
import { PADDING_KIND, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_KIND } from './layout.js';
import type { PositionCell } from './position.js';
import { alignRecord, openRing, type RingRegion } from './ring-memory.js';

/** Tries in one poll to stand on a border before the producer has run over it again. */
const JUMPS_MAX = 8;

/**
 * A reading side that never gates the producer, and so may be overrun at any time. Copy what `poll` or `at` describe,
 * then ask `holds(position)`: false means that the copy may be torn and must be thrown away.
 *
 * Attaches at the oldest position that the gating consumers hold. After an overrun it jumps there again: the minimum
 * of the released positions is always a record border, and the producer cannot have claimed beyond it.
 */
export class RingObserver {
  /** The data area. */
  readonly bytes: Buffer;
  /** Where the current record's payload starts in `bytes`. */
  offset = 0;
  /** Length of the current record's payload, bytes. */
  length = 0;
  /** The current record's position. */
  position: number;
  /** Where the current record ends. */
  end: number;
  /** How often `poll` has lost records (a whole gap counts once). */
  overruns = 0;

  private readonly headers: Int32Array;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly published: PositionCell;
  private readonly claimed: PositionCell;
  private readonly released: PositionCell[];
  /** A word of its own that nobody reads: storing to it keeps earlier reads before later ones. */
  private readonly fence = new Int32Array(1);
  /** Where the next record (or the padding before it) starts, unless it was overrun. */
  private next: number;
  private publishedSeen: number;

  constructor(region: RingRegion) {
    const ring = openRing(region);
    this.bytes = ring.bytes;
    this.headers = ring.headers;
    this.published = ring.published;
    this.claimed = ring.claimed;
    this.released = ring.released;
    this.capacity = region.capacity;
    this.mask = region.capacity - 1;
    this.next = this.oldestBorder();
    this.publishedSeen = this.next;
    this.position = this.next;
    this.end = this.next;
  }

  /**
   * Takes the next record and sets the fields. False: there is none yet, or the producer kept running over the border
   * that the observer tried to stand on (poll again).
   */
  poll(): boolean {
    for (let jumps = 0; jumps <= JUMPS_MAX; jumps++) {
      if (!this.pending()) return false;
      const start = this.next;
      const padded = this.headers[((start & this.mask) >> 2) + 1] === (start | PADDING_KIND);
      const position = padded ? start + this.capacity - (start & this.mask) : start;
      const described = this.describe(position);
      if (this.holds(start)) {
        assert(described, 'a ring record starts where the one before it ends');
        this.next = this.end;
        return true;
      }
      if (jumps === 0) this.overruns++;
      this.next = this.oldestBorder();
    }
    return false;
  }

  /** Whether `poll` has something to do. Takes nothing: what a sleeper looks at before it sleeps. */
  pending(): boolean {
    if (this.next < this.publishedSeen) return true;
    this.publishedSeen = this.published.load();
    return this.next < this.publishedSeen;
  }

  /** Sets the fields to the record at this position; `poll` goes on where it was. False: none there, or perhaps overwritten. */
  at(position: number): boolean {
    if (position % RECORD_ALIGNMENT !== 0) return false;
    if (position >= this.publishedSeen) {
      this.publishedSeen = this.published.load();
      if (position >= this.publishedSeen) return false;
    }
    return this.holds(position) && this.describe(position) && this.holds(position);
  }

  /** Whether nothing at or after this position was overwritten until now. After a copy: false means throw it away. */
  holds(position: number): boolean {
    Atomics.store(this.fence, 0, 0);
    return this.claimed.load() - position <= this.capacity;
  }

  /** Reads a record's header, which may be torn: the fields count only if `holds` says so afterwards. */
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

  private oldestBorder(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.released.length; i++) {
      const position = this.released[i]!.load();
      if (position < oldest) oldest = position;
    }
    return oldest;
  }
}
