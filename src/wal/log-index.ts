import { assert } from '../base/assert.js';
import type { GroupId, LogIndex } from '../base/ids.js';

/** Where a record lies. `bytes`: how much of the group's log it is. */
export interface RecordPlace {
  segment: number;
  offset: number;
  bytes: number;
}

/** A place from which a walk finds index `firstIndex`. */
export interface Anchor {
  firstIndex: LogIndex;
  segment: number;
  offset: number;
  /** Between here and the next anchor lies a truncation that lost its own anchor: some batches there are dead. */
  crossesTruncation: boolean;
}

/** What a reader needs to find an index; taken in one piece. */
export interface Location {
  anchor: Anchor;
  /** A walk from `anchor` must continue here as soon as it has reached `next.firstIndex`. */
  next: Anchor | undefined;
  writtenLast: LogIndex;
  /** Grows with every truncation: positions remembered under another number may be dead. */
  truncations: number;
}

// One group: a head of eight words, then its anchors of four words each.
const HEAD_WORDS = 8;
const SEQUENCE = 0;
const COUNT = 1;
/** Two words, read and written as one: it must be there for readers at any time. */
const LAST = 2;
const TRUNCATIONS = 4;
/** Two words, as `LAST`. */
const BASE = 6;
const ANCHOR_WORDS = 4;
// The second word of an anchor: the upper half of its index (21 bits), and two marks.
const HIGH_MASK = 0x1f_ffff;
const AFTER_TRUNCATION = 1 << 29;
const CROSSES_TRUNCATION = 1 << 30;

const SPACING_BYTES = 64 * 1024;
const READ_TRIES_MAX = 1000;
const TWO_32 = 0x1_0000_0000;

interface WriterState {
  spacing: number;
  bytesSinceAnchor: number;
  afterTruncation: boolean;
  /** Of the last anchor. */
  segment: number;
}

/**
 * Where the batches of every group are: sparse anchors in shared memory, written by the wal-writer's thread and read
 * by any. One writer; readers take a look in one piece by a sequence lock (odd: being changed). At most
 * `anchorsPerGroup` per group, one where a segment begins to hold the group and one every 64 KiB of its log: when they run
 * out every second one goes and the spacing doubles. Nothing is in here before it is written to its file.
 */
export class SharedLogIndex {
  private readonly words: Int32Array;
  private readonly pairs: BigInt64Array;
  private readonly slots = new Map<GroupId, number>();
  private readonly writers = new Map<GroupId, WriterState>();

  /** Bytes of shared memory for `groups` groups with up to `anchors` (≥ 4) anchors each. */
  static bytesFor(groups: number, anchors: number): number {
    return groups * (HEAD_WORDS + anchors * ANCHOR_WORDS) * 4;
  }

  /** `groups` must be in the same order on every thread; `byteOffset` a multiple of eight; the memory zeros at first. */
  constructor(
    memory: SharedArrayBuffer,
    byteOffset: number,
    groups: readonly GroupId[],
    private readonly anchorsPerGroup: number,
  ) {
    assert(anchorsPerGroup >= 4, 'a log index has at least four anchors for each group');
    const stride = HEAD_WORDS + anchorsPerGroup * ANCHOR_WORDS;
    this.words = new Int32Array(memory, byteOffset, groups.length * stride);
    this.pairs = new BigInt64Array(memory, byteOffset, (groups.length * stride) / 2);
    for (const [i, group] of groups.entries()) {
      this.slots.set(group, i * stride);
      this.writers.set(group, {
        spacing: SPACING_BYTES,
        bytesSinceAnchor: 0,
        afterTruncation: false,
        segment: 0,
      });
    }
  }

  /** Writer only: a batch has been written. Groups that the index was not made for are passed over. */
  append(group: GroupId, firstIndex: LogIndex, lastIndex: LogIndex, place: RecordPlace): void {
    const head = this.slots.get(group);
    const writer = this.writers.get(group);
    if (head === undefined || writer === undefined) return;
    this.open(head);
    // Also where a segment begins: what is compacted goes by segments, and what is before the first anchor is needed by nobody.
    const due =
      writer.bytesSinceAnchor >= writer.spacing || writer.afterTruncation || writer.segment !== place.segment;
    if (due || this.load(head + COUNT) === 0) {
      if (this.load(head + COUNT) === this.anchorsPerGroup) this.thin(head, writer);
      const count = this.load(head + COUNT);
      this.storeAnchor(head, count, firstIndex, place, writer.afterTruncation);
      this.store(head + COUNT, count + 1);
      writer.bytesSinceAnchor = 0;
      writer.afterTruncation = false;
      writer.segment = place.segment;
    }
    writer.bytesSinceAnchor += place.bytes;
    this.storeLast(head, lastIndex);
    this.close(head);
  }

  /** Writer only: everything from `from` on is dead. */
  truncate(group: GroupId, from: LogIndex): void {
    const head = this.slots.get(group);
    const writer = this.writers.get(group);
    if (head === undefined || writer === undefined) return;
    this.open(head);
    let count = this.load(head + COUNT);
    while (count > 0 && this.firstIndexAt(head, count - 1) >= from) count -= 1;
    this.store(head + COUNT, count);
    this.store(head + TRUNCATIONS, (this.load(head + TRUNCATIONS) + 1) | 0);
    this.storeLast(head, from - 1);
    writer.afterTruncation = true;
    this.close(head);
  }

  /**
   * Writer only: the log of `group` begins behind `base`; with `keepsSuffix` what follows stays. Readers are told before any
   * segment goes, and the segments from `firstSegment` on stay.
   */
  startBehind(group: GroupId, base: LogIndex, keepsSuffix: boolean): void {
    const head = this.slots.get(group);
    if (head === undefined) return;
    this.open(head);
    const count = this.load(head + COUNT);
    const last = this.lastAt(head);
    if (keepsSuffix && last > base) {
      this.dropAnchors(head, Math.max(0, this.search(head, count, base + 1)));
    } else {
      this.store(head + COUNT, 0);
      this.storePair(head + LAST, base);
      // A position remembered behind the base is none any more.
      if (!keepsSuffix) this.store(head + TRUNCATIONS, (this.load(head + TRUNCATIONS) + 1) | 0);
    }
    this.storePair(head + BASE, base);
    this.close(head);
  }

  /** Where the log begins: this index and all below are gone; 0 for a whole log. */
  base(group: GroupId): LogIndex {
    const head = this.slots.get(group);
    return head === undefined ? 0 : this.pairAt(head + BASE);
  }

  /** The oldest segment from which anything of `group` is read; undefined: none is. Writer only. */
  firstSegment(group: GroupId): number | undefined {
    const head = this.slots.get(group);
    if (head === undefined || this.load(head + COUNT) === 0) return undefined;
    return this.anchorAt(head, 0).segment;
  }

  /** Whether the index was made for `group`. */
  knows(group: GroupId): boolean {
    return this.slots.has(group);
  }

  /** The highest index of `group` that is written and not truncated; 0 when there is none. */
  writtenLast(group: GroupId): LogIndex {
    const head = this.slots.get(group);
    if (head === undefined) return 0;
    return this.lastAt(head);
  }

  /** undefined: not written, gone (see `base`), or the writer kept changing the table while we looked; ask again later. */
  locate(group: GroupId, index: LogIndex): Location | undefined {
    const head = this.slots.get(group);
    if (head === undefined) return undefined;
    return this.consistently(head, () => {
      const writtenLast = this.lastAt(head);
      const count = Math.min(this.load(head + COUNT), this.anchorsPerGroup);
      const at = this.search(head, count, index);
      if (index > writtenLast || at < 0 || index <= this.pairAt(head + BASE)) return undefined;
      return {
        anchor: this.anchorAt(head, at),
        next: at + 1 < count ? this.anchorAt(head, at + 1) : undefined,
        writtenLast,
        truncations: this.load(head + TRUNCATIONS),
      };
    });
  }

  /** The last anchor whose first index is at most `index`; −1 when there is none. */
  private search(head: number, count: number, index: LogIndex): number {
    let low = -1;
    let high = count;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.firstIndexAt(head, middle) <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  private consistently<T>(head: number, look: () => T): T | undefined {
    for (let tries = 0; tries < READ_TRIES_MAX; tries += 1) {
      const before = this.load(head + SEQUENCE);
      if ((before & 1) !== 0) continue;
      const seen = look();
      if (this.load(head + SEQUENCE) === before) return seen;
    }
    return undefined;
  }

  private dropAnchors(head: number, gone: number): void {
    const kept = this.load(head + COUNT) - gone;
    const first = head + HEAD_WORDS;
    for (let word = 0; gone > 0 && word < kept * ANCHOR_WORDS; word += 1) {
      this.store(first + word, this.load(first + word + gone * ANCHOR_WORDS));
    }
    this.store(head + COUNT, kept);
  }

  /** Drops every second anchor but never the last: behind it the log still grows. */
  private thin(head: number, writer: WriterState): void {
    const count = this.load(head + COUNT);
    let kept = 0;
    for (let i = 0; i < count; i += 1) {
      const from = head + HEAD_WORDS + i * ANCHOR_WORDS;
      if (i % 2 === 0 || i === count - 1) {
        const to = head + HEAD_WORDS + kept * ANCHOR_WORDS;
        for (let word = 0; word < ANCHOR_WORDS; word += 1) this.store(to + word, this.load(from + word));
        kept += 1;
      } else if ((this.load(from + 1) & (AFTER_TRUNCATION | CROSSES_TRUNCATION)) !== 0) {
        const previous = head + HEAD_WORDS + (kept - 1) * ANCHOR_WORDS + 1;
        this.store(previous, this.load(previous) | CROSSES_TRUNCATION);
      }
    }
    this.store(head + COUNT, kept);
    writer.spacing *= 2;
  }

  private storeAnchor(
    head: number,
    at: number,
    firstIndex: LogIndex,
    place: RecordPlace,
    marked: boolean,
  ): void {
    const word = head + HEAD_WORDS + at * ANCHOR_WORDS;
    this.store(word, firstIndex % TWO_32);
    this.store(word + 1, Math.floor(firstIndex / TWO_32) | (marked ? AFTER_TRUNCATION : 0));
    this.store(word + 2, place.segment);
    this.store(word + 3, place.offset);
  }

  private anchorAt(head: number, at: number): Anchor {
    const word = head + HEAD_WORDS + at * ANCHOR_WORDS;
    return {
      firstIndex: this.firstIndexAt(head, at),
      segment: this.load(word + 2) >>> 0,
      offset: this.load(word + 3) >>> 0,
      crossesTruncation: (this.load(word + 1) & CROSSES_TRUNCATION) !== 0,
    };
  }

  private firstIndexAt(head: number, at: number): LogIndex {
    const word = head + HEAD_WORDS + at * ANCHOR_WORDS;
    return (this.load(word + 1) & HIGH_MASK) * TWO_32 + (this.load(word) >>> 0);
  }

  private storeLast(head: number, last: LogIndex): void {
    this.storePair(head + LAST, last);
  }

  private lastAt(head: number): LogIndex {
    return this.pairAt(head + LAST);
  }

  private storePair(word: number, value: LogIndex): void {
    Atomics.store(this.pairs, word / 2, BigInt(value));
  }

  private pairAt(word: number): LogIndex {
    return Number(Atomics.load(this.pairs, word / 2));
  }

  private open(head: number): void {
    this.store(head + SEQUENCE, (this.load(head + SEQUENCE) + 1) | 0);
  }

  private close(head: number): void {
    this.store(head + SEQUENCE, (this.load(head + SEQUENCE) + 1) | 0);
  }

  private load(word: number): number {
    return Atomics.load(this.words, word);
  }

  private store(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }
}
