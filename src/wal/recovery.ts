import type { GroupId, LogIndex } from '../base/ids.js';
import { lastIndexOf } from '../base/messages.js';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.js';
import { type Disk, diskError, logDamaged } from './disk.js';
import { HARD_STATE_BYTES, TRUNCATE_BYTES } from './flight.js';
import {
  decodeRecordHeader,
  RECORD_HEADER_BYTES,
  RecordKind,
  readStoredU64,
  SEGMENT_HEADER_BYTES,
  segmentName,
  segmentNumber,
} from './format.js';
import { GroupLog, type SnapshotMark } from './group-log.js';
import type { SharedLogIndex } from './log-index.js';
import { ReadWindow } from './read-window.js';
import { type OpenSegment, writeZeros } from './segment.js';
import { type LocatedRecord, type RecordBody, SegmentFile } from './segment-file.js';
import { decodeSnapshotMark } from './snapshot-mark.js';

const WINDOW_BYTES = 1024 * 1024;
const TAIL_STEP_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(TAIL_STEP_BYTES);

/** What the log on disk adds up to. `segment` is the newest, open for writing behind its last record. */
export interface RecoveredLog {
  groups: Map<GroupId, GroupLog>;
  oldestSegment: number;
  nextLsn: number;
  segment: OpenSegment;
  /** The largest payload of a batch in it, dead or not, bytes. */
  batchRawBytesMax: number;
}

/** The numbers of the segments in a directory, growing. */
export function listSegments(disk: Disk, directory: string): number[] {
  const numbers = disk.list(directory).map(segmentNumber);
  return numbers.filter((number) => number !== undefined).sort((a, b) => a - b);
}

/**
 * Reads the log from its oldest needed segment to its end and fills `index`. undefined: there is no log yet. A torn
 * tail is cut off and the cut synced; everything that is returned is synced. Throws LogDamaged{file, offset} and has
 * changed nothing where bytes that were synced are no longer intact.
 */
export function recoverLog(disk: Disk, directory: string, index: SharedLogIndex): RecoveredLog | undefined {
  const numbers = listSegments(disk, directory);
  const newest = numbers.at(-1);
  if (newest === undefined) return undefined;
  const window = new ReadWindow(disk, WINDOW_BYTES);
  const oldest = oldestNeeded(disk, directory, newest, window);
  const scan = new LogScan(oldest, index);
  for (let number = oldest; number <= newest; number += 1) {
    if (!numbers.includes(number)) {
      throw logDamaged(`${directory}/${segmentName(number)}`, 0, 'expected a segment, received no such file');
    }
    const file = new SegmentFile(disk, directory, number, window);
    try {
      scan.segment(file);
      if (number === newest) return finish(disk, directory, file, scan);
    } finally {
      file.close();
    }
  }
  return undefined;
}

/**
 * What a process that was cut short may leave: files that never got their names, and segments that are not needed any more.
 */
export function removeLeftovers(disk: Disk, directory: string, oldestSegment: number): void {
  for (const name of disk.list(directory)) {
    const gone = (segmentNumber(name) ?? oldestSegment) < oldestSegment;
    if (gone || /^(\d{10}\.segment|spare)\.tmp$/.test(name)) disk.unlink(`${directory}/${name}`);
  }
}

function oldestNeeded(disk: Disk, directory: string, newest: number, window: ReadWindow): number {
  const file = new SegmentFile(disk, directory, newest, window);
  try {
    const record = file.record(SEGMENT_HEADER_BYTES);
    const body = record?.kind === RecordKind.Checkpoint ? file.body(record) : undefined;
    const oldest = body === undefined ? undefined : decodeCheckpoint(body.bytes)?.oldestSegment;
    if (oldest === undefined || !(oldest >= 1 && oldest <= newest)) {
      throw logDamaged(file.path, SEGMENT_HEADER_BYTES, 'expected the checkpoint that opens every segment');
    }
    return oldest;
  } finally {
    file.close();
  }
}

/** Runs the records of segment after segment through the state of their groups. */
class LogScan {
  groups = new Map<GroupId, GroupLog>();
  nextLsn = 0;
  batchRawBytesMax = 0;
  /** Behind the last intact record of the segment that was read last. */
  end = 0;
  /** Behind the checkpoint of that segment. */
  firstPosition = 0;
  /** Records of that segment, in their order; of the first `proven` a later one says that they were synced. */
  private records: { lsn: number; position: number }[] = [];
  private proven = 0;
  /** Up to which index entries of a group lie in segments that are gone. In the end none of them is part of the log. */
  private readonly missing = new Map<GroupId, LogIndex>();
  private previous = '';

  constructor(
    readonly oldestSegment: number,
    private readonly index: SharedLogIndex,
  ) {}

  segment(file: SegmentFile): void {
    const { number, baseLsn } = file.header;
    const first = number === this.oldestSegment;
    if (first) this.nextLsn = baseLsn;
    // A later segment is begun only when the one before is synced to its end: nothing before it can be a torn tail.
    if (baseLsn !== this.nextLsn) {
      const why = `expected the record with LSN ${this.nextLsn}: the next segment begins with ${baseLsn}`;
      throw logDamaged(this.previous, this.end, why);
    }
    this.end = SEGMENT_HEADER_BYTES;
    this.records = [];
    this.proven = 0;
    for (;;) {
      const record = file.record(this.end);
      const body = record?.lsn === this.nextLsn ? file.body(record) : undefined;
      if (record === undefined || body === undefined) break;
      const wrong = this.apply(file, record, body, first);
      if (wrong !== undefined) throw logDamaged(file.path, record.position, wrong);
      this.end = record.end;
      while (this.records[this.proven] !== undefined && this.records[this.proven]!.lsn <= record.durableLsn)
        this.proven += 1;
      this.records.push({ lsn: record.lsn, position: record.position });
      if (this.nextLsn === baseLsn) this.firstPosition = record.end;
      this.nextLsn += 1;
    }
    if (this.nextLsn === baseLsn) throw logDamaged(file.path, this.end, 'expected an intact checkpoint');
    this.previous = file.path;
  }

  /** From where on the segment that was read last may be in memory only. */
  get unprovenFrom(): number {
    return this.records[this.proven]?.position ?? this.end;
  }

  /** What is wrong with the log as a whole, once all of it was read. */
  unfinished(): string | undefined {
    for (const [group, missing] of this.missing) {
      const { base } = this.log(group);
      if (base.index < missing)
        return `entries of group ${group} up to ${missing}, behind its base ${base.index}, lie in segments that are gone`;
    }
    return undefined;
  }

  private apply(
    file: SegmentFile,
    record: LocatedRecord,
    body: RecordBody,
    first: boolean,
  ): string | undefined {
    const opening = record.position === SEGMENT_HEADER_BYTES;
    if (opening !== (record.kind === RecordKind.Checkpoint))
      return 'a checkpoint opens a segment and only that';
    if (opening) return this.checkpoint(body.bytes, first);
    const log = this.log(record.group);
    if (record.kind === RecordKind.Batch && body.batch !== undefined) {
      const { batch } = body;
      this.batchRawBytesMax = Math.max(this.batchRawBytesMax, batch.rawLength);
      const wrong = log.append(batch, body.bytes);
      if (wrong === undefined) {
        const place = { segment: file.header.number, offset: record.position, bytes: record.bodyLength };
        this.index.append(record.group, batch.firstIndex, lastIndexOf(batch), place);
      }
      return wrong;
    }
    if (record.kind === RecordKind.HardState && body.bytes.length === HARD_STATE_BYTES) {
      return log.setHardState({ term: readStoredU64(body.bytes, 0), vote: body.bytes.readUInt32LE(8) });
    }
    if (record.kind === RecordKind.Truncate && body.bytes.length === TRUNCATE_BYTES) {
      const from = readStoredU64(body.bytes, 0);
      const wrong = log.truncate(from);
      if (wrong === undefined) this.index.truncate(record.group, from);
      if ((this.missing.get(record.group) ?? 0) >= from) this.missing.set(record.group, from - 1);
      return wrong;
    }
    if (record.kind === RecordKind.SnapshotMark) {
      const mark = decodeSnapshotMark(body.bytes);
      return mark === undefined
        ? 'a snapshot mark that cannot be read'
        : this.startBehind(log, record.group, mark);
    }
    return `a record of kind ${record.kind} with ${record.bodyLength} bytes, which this version does not know`;
  }

  private startBehind(log: GroupLog, group: GroupId, mark: SnapshotMark): string | undefined {
    const wrong = log.startBehind(mark);
    if (wrong !== undefined) return wrong;
    this.index.startBehind(group, mark.index, mark.keepsSuffix);
    if (!mark.keepsSuffix) this.missing.delete(group);
    return undefined;
  }

  private log(group: GroupId): GroupLog {
    let log = this.groups.get(group);
    if (log === undefined) {
      log = new GroupLog();
      this.groups.set(group, log);
    }
    return log;
  }

  /** Believed in the oldest segment; in every other it must say what the records before it said. */
  private checkpoint(body: Buffer, first: boolean): string | undefined {
    const stored = decodeCheckpoint(body);
    if (stored === undefined) return 'a checkpoint that cannot be read';
    if (first) {
      this.groups = stored.groups;
      for (const [group, log] of this.groups) {
        if (log.lastIndex > log.base.index) this.missing.set(group, log.lastIndex);
        if (log.base.index > 0) this.index.startBehind(group, log.base.index, false);
      }
      return undefined;
    }
    for (const group of stored.groups.keys()) this.log(group);
    const { oldestSegment } = stored;
    const same = encodeCheckpoint({ oldestSegment, groups: this.groups }).equals(body);
    return same ? undefined : 'a checkpoint that contradicts the records before it';
  }
}

/**
 * Cuts a torn tail, writes anew what may be in memory only, and syncs. The sync alone would not do: had a sync of the process before
 * failed, the system would take these pages for clean and never write them (H75; Rebello et al., ATC '20).
 */
function finish(disk: Disk, directory: string, file: SegmentFile, scan: LogScan): RecoveredLog {
  const { end, nextLsn, groups, oldestSegment, batchRawBytesMax } = scan;
  const unfinished = scan.unfinished();
  if (unfinished !== undefined) throw logDamaged(file.path, end, unfinished);
  const garbageEnd = inspectTail(file, end, nextLsn);
  const { number, salt } = file.header;
  const fd = disk.openForWriting(file.path);
  try {
    if (garbageEnd > end) cut(disk, fd, end, garbageEnd, file.size);
    writeAnew(disk, fd, file, scan.unprovenFrom, end);
    disk.sync(fd);
    disk.syncDirectory(directory);
  } catch (thrown) {
    disk.close(fd);
    throw diskError(thrown, 'recovery', file.path);
  }
  const segment = { number, path: file.path, fd, salt, firstPosition: scan.firstPosition, position: end };
  return { groups, oldestSegment, nextLsn, segment, batchRawBytesMax };
}

/** In place, the same bytes: needs no new space (H80), and power may go in the middle of it. */
function writeAnew(disk: Disk, fd: number, file: SegmentFile, from: number, to: number): void {
  file.refresh();
  for (let at = from; at < to; at += WINDOW_BYTES) {
    disk.write(fd, [file.view(at, Math.min(WINDOW_BYTES, to - at))], at);
  }
}

/** Neither way needs new space (H80): prepared room is kept, and what was appended to the file's end goes. */
function cut(disk: Disk, fd: number, from: number, to: number, size: number): void {
  if (to + RECORD_HEADER_BYTES >= size) disk.truncate(fd, from);
  else writeZeros(disk, fd, from, to);
}

/**
 * Looks at what follows the last intact record. All of it may be what one unsynced write left, in any state: unless
 * a later header of this segment's life says that the record with `lsn` was synced. A header counts without its body:
 * it states what was true when it was written. Returns the end of the last byte that is not zero, or `from`.
 */
function inspectTail(file: SegmentFile, from: number, lsn: number): number {
  let garbageEnd = from;
  for (let at = from; at < file.size; at += TAIL_STEP_BYTES) {
    const bytes = file.view(at, TAIL_STEP_BYTES + RECORD_HEADER_BYTES - 8);
    const step = bytes.subarray(0, TAIL_STEP_BYTES);
    if (step.equals(ZEROS.subarray(0, step.length))) continue;
    for (let offset = 0; offset + RECORD_HEADER_BYTES <= bytes.length; offset += 8) {
      const later = decodeRecordHeader(bytes, offset, file.header.salt);
      if (later !== undefined && later.durableLsn >= lsn) {
        const why = `the record with LSN ${lsn} was synced, as LSN ${later.lsn} says, but is not intact`;
        throw logDamaged(file.path, from, why);
      }
    }
    let last = step.length;
    while (step[last - 1] === 0) last -= 1;
    garbageEnd = at + last;
  }
  return garbageEnd;
}
