import { copyBytes } from '../base/copy.js';
import { RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex } from '../base/ids.js';
import { type BatchHeader, lastIndexOf } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader } from '../codec/batch.js';
import { type Disk, diskError, logDamaged, type ReadPattern } from './disk.js';
import { RECORD_HEADER_BYTES, RecordKind, SEGMENT_HEADER_BYTES, segmentName } from './format.js';
import type { Location, SharedLogIndex } from './log-index.js';
import { ReadWindow } from './read-window.js';
import { type LocatedRecord, SegmentFile } from './segment-file.js';
import { isDead, type Truncation, truncationsIn } from './truncations.js';

/**
 * Read at a time. Who reads on to the end of a long log reads much at once, past the cache; who looks at the end of the log now and then reads
 * what is there anew each time.
 */
export const READER_WINDOW_BYTES: Record<ReadPattern, number> = { once: 1024 * 1024, anyhow: 256 * 1024 };
const OPEN_FILES_MAX = 4;
/** More than any segment has bytes. */
const SEGMENT_STRIDE = 2 ** 32;

export interface FarRead {
  /** As stored; valid until the reader's next call. */
  batches: Buffer[];
  headers: BatchHeader[];
}

export interface ReaderOptions {
  /** Default `anyhow`. */
  pattern?: ReadPattern;
  /** What is given out is put here as long as it fits. Default: memory of its own. */
  room?: Buffer;
}

/** A place in the log between two records, for one group. */
interface Walk {
  /** The index that the next live batch of the group begins with. */
  index: LogIndex;
  segment: number;
  position: number;
  /** LSN of the record at `position`; undefined right after a jump to an anchor. */
  lsn: number | undefined;
  location: Location;
  /** What makes batches on this stretch dead. */
  truncations: readonly Truncation[];
}

/**
 * Reads batches back from the log, on any thread, while the writer goes on. Everything that the index has published
 * is in the files: what is not intact there is damage. Holds at most four open files with one window of 1 MiB (`once`) or 256 KiB over
 * them, and one buffer of `bytesMax`, or `room` where that is larger, or the one batch that is larger than both. Remembers where each group's last read ended, so that reading on costs no search.
 */
export class LogReader {
  private readonly files = new Map<number, SegmentFile>();
  private readonly walks = new Map<GroupId, Walk>();
  private readonly window: ReadWindow;
  private readonly pattern: ReadPattern;
  private room: Buffer;
  /** Of the current read. */
  private fillsLeft = Number.POSITIVE_INFINITY;
  private filled = false;
  private stopped = false;

  constructor(
    private readonly disk: Disk,
    private readonly directory: string,
    private readonly index: SharedLogIndex,
    { pattern = 'anyhow', room = Buffer.alloc(0) }: ReaderOptions = {},
  ) {
    this.pattern = pattern;
    this.room = room;
    this.window = new ReadWindow(disk, READER_WINDOW_BYTES[pattern]);
  }

  /**
   * Whole batches of `group`, as stored, beginning with the one that contains `from`, none with an entry beyond
   * `last`, up to `bytesMax` bytes but at least one. undefined: none that is written fits, or the log was just being
   * truncated; ask again later. Also undefined where `from` is gone (see `isGone`). Throws LogDamaged{file, offset}, DiskFailed.
   *
   * `fillsMax`: how often the window may be filled on the way; where that is not enough `wantsFill` says so, and the walk goes on from there the next
   * time. Groups whose records lie between each other's are so read together: each in turn without a fill, and one fill for whose walk is the furthest back.
   */
  read(
    group: GroupId,
    from: LogIndex,
    last: LogIndex,
    bytesMax: number,
    fillsMax = Number.POSITIVE_INFINITY,
  ): FarRead | undefined {
    const base = this.index.base(group);
    this.fillsLeft = fillsMax;
    this.filled = false;
    this.stopped = false;
    try {
      return this.readWhole(group, from, last, bytesMax);
    } catch (thrown) {
      this.walks.delete(group);
      // The log has got another start meanwhile: the file may have been deleted under this walk. Nothing is damaged, look again.
      if (this.index.base(group) > base) return this.read(group, from, last, bytesMax, fillsMax);
      throw diskError(thrown, 'reading', this.directory);
    }
  }

  /** Whether the last read ended where it did because it was allowed no further fill. */
  get wantsFill(): boolean {
    return this.stopped;
  }

  /** Where in the log the group's walk stands, to be compared with others'; before all where it has not begun. */
  placeOf(group: GroupId): number {
    const walk = this.walks.get(group);
    return walk === undefined ? -1 : walk.segment * SEGMENT_STRIDE + walk.position;
  }

  /** Whether the entry is no longer in the log: only a snapshot holds it. */
  isGone(group: GroupId, index: LogIndex): boolean {
    return index <= this.index.base(group);
  }

  close(): void {
    for (const file of this.files.values()) file.close();
    this.files.clear();
    this.walks.clear();
  }

  private readWhole(group: GroupId, from: LogIndex, last: LogIndex, bytesMax: number): FarRead | undefined {
    let walk = this.begin(group, from);
    if (walk === undefined) return undefined;
    const end = Math.min(last, walk.location.writtenLast);
    const { truncations } = walk.location;
    // Such a walk begins at its anchor each time: it has to arrive.
    if (walk.location.anchor.crossesTruncation) this.fillsLeft = Number.POSITIVE_INFINITY;
    const read: FarRead = { batches: [], headers: [] };
    let wanted = from;
    let bytes = 0;
    while (wanted <= end) {
      if (walk.index >= (walk.location.next?.firstIndex ?? Number.POSITIVE_INFINITY)) {
        walk = this.begin(group, walk.index);
        if (walk === undefined || walk.location.truncations !== truncations) break;
      }
      const next = this.nextBatch(group, walk);
      if (next === undefined) break;
      const { record, header } = next;
      if (lastIndexOf(header) >= wanted) {
        if (lastIndexOf(header) > end) break;
        if (bytes > 0 && bytes + record.bodyLength > bytesMax) break;
        read.batches.push(this.keep(this.verified(walk, record), bytes, bytesMax));
        read.headers.push(header);
        bytes += record.bodyLength;
        wanted = lastIndexOf(header) + 1;
      }
      walk.index = lastIndexOf(header) + 1;
      this.pass(walk, record);
    }
    if (walk !== undefined) this.walks.set(group, walk);
    return bytes === 0 ? undefined : read;
  }

  /** Where to walk from to find `index`: where the last read ended, if that lies on the way, or the anchor before it. */
  private begin(group: GroupId, index: LogIndex): Walk | undefined {
    const location = this.index.locate(group, index);
    if (location === undefined) return undefined;
    const { anchor } = location;
    const resumed = this.walks.get(group);
    this.walks.delete(group);
    if (
      resumed !== undefined &&
      resumed.location.truncations === location.truncations &&
      !anchor.crossesTruncation &&
      resumed.index <= index &&
      resumed.index > anchor.firstIndex
    ) {
      return { ...resumed, location, truncations: [] };
    }
    const open = (segment: number): SegmentFile | undefined => this.open(segment);
    return {
      index: anchor.firstIndex,
      segment: anchor.segment,
      position: anchor.offset,
      lsn: undefined,
      location,
      truncations: anchor.crossesTruncation ? truncationsIn(group, location, open) : [],
    };
  }

  /** Walks to the group's next live batch, which must begin with `walk.index`. Its body is not verified yet. undefined: there are no fills left to get to it. */
  private nextBatch(group: GroupId, walk: Walk): { record: LocatedRecord; header: BatchHeader } | undefined {
    for (;;) {
      if (!this.within(walk, RECORD_HEADER_BYTES + BATCH_PAYLOAD_OFFSET)) return undefined;
      const record = this.recordAt(walk);
      if (record.group === group && !this.within(walk, record.end - walk.position)) return undefined;
      if (record.group === group && record.kind === RecordKind.Batch) {
        const header = this.headerOf(walk, record);
        if (header?.firstIndex === walk.index && !isDead(walk.truncations, walk.segment, record, header)) {
          return { record, header };
        }
        if (header === undefined || !isDead(walk.truncations, walk.segment, record, header)) {
          const why = `expected a batch that begins with index ${walk.index}, received ${header?.firstIndex ?? 'none'}`;
          throw this.damaged(walk, why);
        }
      }
      this.pass(walk, record);
    }
  }

  /**
   * Whether the next bytes of the walk stand in the window, after a fill if there is one left. What is larger than the window is read past it, at the
   * price of a fill, or with the one that its head has cost.
   */
  private within(walk: Walk, length: number): boolean {
    if (this.files.get(walk.segment)?.holds(walk.position, length) === true) return true;
    const isLarge = length > this.window.viewBytesMax;
    if (isLarge && this.filled) return true;
    this.stopped = this.fillsLeft <= 0;
    if (this.stopped) return false;
    this.fillsLeft--;
    this.filled = true;
    // Now, or it would have been counted for less than the walk needs.
    if (!isLarge) this.mustOpen(walk, walk.segment).view(walk.position, length);
    return true;
  }

  private pass(walk: Walk, record: LocatedRecord): void {
    walk.position = record.end;
    walk.lsn = record.lsn + 1;
  }

  /** The record at the walk's position, in the next segment if this one ends here. */
  private recordAt(walk: Walk): LocatedRecord {
    const file = this.mustOpen(walk, walk.segment);
    const record = twice(file, () => matching(file.record(walk.position), walk.lsn));
    if (record !== undefined) return record;
    if (walk.lsn === undefined || walk.position === SEGMENT_HEADER_BYTES) {
      throw this.damaged(walk, 'expected a record');
    }
    const next = this.mustOpen(walk, walk.segment + 1);
    if (next.header.baseLsn !== walk.lsn)
      throw this.damaged(walk, `expected the record with LSN ${walk.lsn}`);
    walk.segment += 1;
    walk.position = SEGMENT_HEADER_BYTES;
    return this.recordAt(walk);
  }

  /** What the batch says of itself, read without its checksum: enough to pass over it. */
  private headerOf(walk: Walk, record: LocatedRecord): BatchHeader | undefined {
    const file = this.mustOpen(walk, walk.segment);
    return twice(file, () => {
      const head = file.view(record.position + RECORD_HEADER_BYTES, BATCH_PAYLOAD_OFFSET);
      if (head.length < BATCH_PAYLOAD_OFFSET) return undefined;
      const header = headerIn(head);
      const agrees = header?.checksum === record.bodyChecksum && header.byteLength === record.bodyLength;
      return agrees ? header : undefined;
    });
  }

  private verified(walk: Walk, record: LocatedRecord): Buffer {
    const file = this.mustOpen(walk, walk.segment);
    const body = twice(file, () => file.body(record));
    if (body === undefined) throw this.damaged(walk, `the batch with LSN ${record.lsn} is not intact`);
    return body.bytes;
  }

  /** Copies out of the window, which the next record may move. What is too large for the buffer has one of its own; so has what is too large for a window, already. */
  private keep(bytes: Buffer, at: number, bytesMax: number): Buffer {
    if (bytes.length > Math.max(bytesMax, this.room.length)) {
      return bytes.length > this.window.viewBytesMax ? bytes : Buffer.from(bytes);
    }
    if (this.room.length < bytesMax) this.room = Buffer.allocUnsafeSlow(bytesMax);
    copyBytes(bytes, this.room, at);
    return this.room.subarray(at, at + bytes.length);
  }

  private mustOpen(walk: Walk, segment: number): SegmentFile {
    const file = this.open(segment);
    if (file === undefined) throw this.damaged(walk, `expected a record here or in segment ${segment}`);
    return file;
  }

  /** undefined: no such segment. The file that was opened first goes when there are too many. */
  private open(segment: number): SegmentFile | undefined {
    const known = this.files.get(segment);
    if (known !== undefined) return known;
    if (this.disk.stat(`${this.directory}/${segmentName(segment)}`) === undefined) return undefined;
    const file = new SegmentFile(this.disk, this.directory, segment, this.window, this.pattern);
    for (const [number, oldest] of this.files) {
      if (this.files.size < OPEN_FILES_MAX) break;
      oldest.close();
      this.files.delete(number);
    }
    this.files.set(segment, file);
    return file;
  }

  private damaged(walk: Walk, why: string): RaftlineError {
    return logDamaged(`${this.directory}/${segmentName(walk.segment)}`, walk.position, why);
  }
}

/** The window may be older than what has been published since: look again before believing that something is bad. */
function twice<T>(file: SegmentFile, look: () => T | undefined): T | undefined {
  const seen = look();
  if (seen !== undefined) return seen;
  file.refresh();
  return look();
}

function matching(record: LocatedRecord | undefined, lsn: number | undefined): LocatedRecord | undefined {
  return lsn === undefined || record?.lsn === lsn ? record : undefined;
}

function headerIn(head: Buffer): BatchHeader | undefined {
  try {
    return readBatchHeader(head, 0);
  } catch (thrown) {
    if (thrown instanceof RaftlineError) return undefined;
    throw thrown;
  }
}
