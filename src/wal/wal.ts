import { assert } from '../base/assert.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import type { ConfigurationAt, HardState } from '../base/messages.js';
import { readBatchHeader } from '../codec/batch.js';
import { writeU64 } from '../codec/bytes.js';
import { type Disk, type DiskOp, diskError } from './disk.js';
import { Flight, HARD_STATE_BYTES, type StagedRecord, TRUNCATE_BYTES } from './flight.js';
import { RecordKind, recordBytes, segmentName } from './format.js';
import { GroupLog, type SnapshotMark, type TermRun } from './group-log.js';
import type { SharedLogIndex } from './log-index.js';
import { type RecoveredLog, recoverLog, removeLeftovers } from './recovery.js';
import { createSegment, hasSpare, type OpenSegment, type SegmentOptions } from './segment.js';
import { encodeSnapshotMark } from './snapshot-mark.js';

export interface WalOptions extends SegmentOptions {
  groups: readonly GroupId[];
  /** Is filled by `open` and kept up by `poll`; its one writer is this log. */
  index: SharedLogIndex;
}

/** What a group's records added up to when the log was opened; all of it is synced. */
export interface RecoveredGroup {
  hardState: HardState;
  /** The entry before the first one in the log; zeros where the log begins at index 1. */
  base: { index: LogIndex; term: Term };
  termRuns: TermRun[];
  lastIndex: LogIndex;
  lastTerm: Term;
  /** The configuration in force at the base and those in the log, by growing index. */
  configurations: ConfigurationAt[];
}

export interface OpenedWal {
  wal: Wal;
  recovered: Map<GroupId, RecoveredGroup>;
  /** The largest payload of a batch in the log, dead or not, bytes. */
  batchRawBytesMax: number;
}

const SEGMENT_BYTES_MIN = 4096;
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * The write-ahead log of one engine, shared by its groups. Records are staged, then written and synced together; one
 * flush at a time is under way. After a write, sync or rotation that failed or fell short every call throws that
 * first error, for good (H75): what the system still holds of the file's pages is not known any more.
 */
export class Wal {
  /** Flushes that were begun. */
  flushes = 0;
  /** Syncs of segment files, those of rotations included. */
  syncs = 0;
  bytesWritten = 0;

  private staged: StagedRecord[] = [];
  private bytesStaged = 0;
  private flight: Flight | undefined;
  private op: DiskOp = { done: true };
  /** What `op` is: `rest`: written, and the sync is still to be submitted. */
  private phase: 'writing' | 'sealing' | 'rest' | 'syncing' = 'writing';
  private failure: RaftlineError | undefined;
  private spareSeen = false;

  private constructor(
    private readonly disk: Disk,
    private readonly options: WalOptions,
    private readonly groups: Map<GroupId, GroupLog>,
    private oldestSegment: number,
    private segment: OpenSegment,
    /** LSN of the next record to be laid out. */
    private nextLsn: number,
    /** Every record up to this LSN is synced. */
    private durableLsn: number,
  ) {}

  /**
   * Recovers the log, or begins one. Takes no lock. The map has an entry for each of `options.groups` and for every
   * other group in the log. Throws LogDamaged{file, offset} with all files left as they were, DiskFull, DiskFailed,
   * DirectoryInvalid, OptionInvalid.
   */
  static open(disk: Disk, options: WalOptions): OpenedWal {
    checkSegmentBytes(options.segmentBytes);
    try {
      disk.makeDirectory(options.directory);
      const log = recoverLog(disk, options.directory, options.index) ?? beginLog(disk, options);
      removeLeftovers(disk, options.directory, log.oldestSegment);
      for (const group of options.groups) if (!log.groups.has(group)) log.groups.set(group, new GroupLog());
      const { groups, oldestSegment, segment, nextLsn, batchRawBytesMax } = log;
      const wal = new Wal(disk, options, groups, oldestSegment, segment, nextLsn, nextLsn - 1);
      const recovered = new Map([...groups].map(([group, state]) => [group, recoveredGroup(state)]));
      return { wal, recovered, batchRawBytesMax };
    } catch (thrown) {
      throw diskError(thrown, 'opening', options.directory);
    }
  }

  get stagedRecords(): number {
    return this.staged.length;
  }

  /** The place that the staged records will take in the log, bytes. */
  get stagedBytes(): number {
    return this.bytesStaged;
  }

  /** Something is written, and reported as durable, that is not synced. */
  get hasUnsynced(): boolean {
    return this.flight === undefined && this.durableLsn < this.nextLsn - 1;
  }

  /** `batch`: exactly the bytes as stored; must not change until the flush that takes it is `written`. */
  stageBatch(group: GroupId, batch: Buffer): void {
    const header = readBatchHeader(batch, 0);
    assert(
      header.group === group && header.byteLength === batch.length,
      'a staged batch is one of its group, whole',
    );
    this.stage({ kind: RecordKind.Batch, group, body: batch, batch: header });
  }

  stageHardState(group: GroupId, hardState: HardState): void {
    const body = Buffer.alloc(HARD_STATE_BYTES);
    writeU64(body, 0, hardState.term);
    body.writeUInt32LE(hardState.vote, 8);
    this.stage({ kind: RecordKind.HardState, group, body, hardState });
  }

  /** Entries from `from` on are dead: they stand behind a batch border, and above the log's base. */
  stageTruncate(group: GroupId, from: LogIndex): void {
    const body = Buffer.alloc(TRUNCATE_BYTES);
    writeU64(body, 0, from);
    this.stage({ kind: RecordKind.Truncate, group, body, from });
  }

  /**
   * The log of `group` begins behind the mark: a snapshot, durable by now, holds what came before. What nobody needs any more is
   * deleted with the next segment.
   */
  stageSnapshotMark(group: GroupId, mark: SnapshotMark): void {
    this.stage({ kind: RecordKind.SnapshotMark, group, body: encodeSnapshotMark(mark), mark });
  }

  /**
   * Begins to write all staged records with one writev and, from `poll`, one sync; a full segment in between costs one
   * more of each. False when a flush is under way or nothing is staged.
   */
  flush(): boolean {
    return this.guarded('writing', () => {
      if (this.flight !== undefined || this.staged.length === 0) return false;
      this.flight = new Flight(this.staged, this.groups, this.options.index);
      this.staged = [];
      this.bytesStaged = 0;
      this.flushes += 1;
      this.write(this.flight);
      return true;
    });
  }

  /**
   * Moves the flush under way on; the disk may need many polls. `written`, once per flush: its buffers may be released
   * and its batches are in the index. `durable`, once per flush: all of it is synced. `idle`: no flush is under way.
   */
  poll(): 'idle' | 'busy' | 'written' | 'durable' {
    return this.guarded('writing', () => this.advance());
  }

  /**
   * With durability `os`: syncs what was only written, while the caller waits. False: there is nothing, or a flush is under way. What was
   * not synced when power is lost may be gone; the records before it, in their order, are not.
   */
  syncWritten(): boolean {
    return this.guarded('syncing', () => {
      if (!this.hasUnsynced) return false;
      this.disk.sync(this.segment.fd);
      this.syncs += 1;
      this.durableLsn = this.nextLsn - 1;
      return true;
    });
  }

  /** Whether a file prepared by {@link prepareSegment} would be welcome. */
  wantsSpare(): boolean {
    return this.guarded('looking', () => {
      if (!this.spareSeen) this.spareSeen = hasSpare(this.disk, this.options);
      return !this.spareSeen;
    });
  }

  /** Gives the files back; what is not durable by then may or may not be found again. */
  close(): void {
    this.failure ??= new RaftlineError(ErrorCode.Closed, 'the log is closed');
    if (this.segment.fd >= 0) this.disk.close(this.segment.fd);
    this.segment.fd = -1;
  }

  private advance(): 'idle' | 'busy' | 'written' | 'durable' {
    const { flight } = this;
    if (flight === undefined) return 'idle';
    if (!this.op.done) return 'busy';
    if (this.op.error !== undefined) throw this.op.error;
    switch (this.phase) {
      case 'writing':
        flight.publish();
        this.phase = flight.complete ? 'rest' : 'sealing';
        if (this.phase === 'rest') return 'written';
        this.submitSync();
        return 'busy';
      case 'sealing':
        this.durableLsn = this.nextLsn - 1;
        this.write(flight);
        return 'busy';
      case 'rest':
        if (this.options.durability === 'os' && flight.isForgettable) {
          this.flight = undefined;
          return 'durable';
        }
        this.phase = 'syncing';
        this.submitSync();
        return this.op.done ? this.advance() : 'busy';
      case 'syncing':
        this.durableLsn = this.nextLsn - 1;
        this.flight = undefined;
        return 'durable';
    }
  }

  /** Submits what fits into the segment; into a new one when nothing does. A segment is synced to its end before the next one begins. */
  private write(flight: Flight): void {
    const { segmentBytes } = this.options;
    let buffers = flight.layOut(this.segment, segmentBytes, this.nextLsn, this.durableLsn);
    if (buffers.length === 0) {
      if (this.durableLsn < this.nextLsn - 1) {
        this.phase = 'sealing';
        this.submitSync();
        return;
      }
      this.rotate();
      buffers = flight.layOut(this.segment, segmentBytes, this.nextLsn, this.durableLsn);
    }
    this.nextLsn += flight.laidOutRecords;
    this.bytesWritten += flight.laidOutBytes;
    this.phase = 'writing';
    this.op = this.disk.submitWritev(this.segment.fd, buffers, this.segment.position);
    this.segment.position += flight.laidOutBytes;
  }

  private rotate(): void {
    const oldest = this.oldestNeeded();
    const checkpoint = { oldestSegment: oldest, groups: this.groups };
    const number = this.segment.number + 1;
    const next = createSegment(this.disk, this.options, number, this.nextLsn, checkpoint);
    this.disk.close(this.segment.fd);
    this.segment = next;
    this.syncs += 1;
    this.durableLsn = this.nextLsn;
    this.nextLsn += 1;
    this.spareSeen = false;
    // Only now, when a synced checkpoint says that nobody needs them (H49). A crash in between leaves some, which the next start removes.
    for (; this.oldestSegment < oldest; this.oldestSegment += 1) {
      this.disk.unlink(`${this.options.directory}/${segmentName(this.oldestSegment)}`);
    }
  }

  /**
   * The oldest segment that holds something of a group's log as it is now. All that is in the index is written and, when a
   * segment ends, synced. Groups of earlier engines, which the index was not made for, keep every segment.
   */
  private oldestNeeded(): number {
    let oldest = this.segment.number + 1;
    for (const [group, log] of this.groups) {
      const { index } = this.options;
      if (!index.knows(group) && log.lastIndex > log.base.index) return this.oldestSegment;
      oldest = Math.min(oldest, index.firstSegment(group) ?? oldest);
    }
    return oldest;
  }

  private submitSync(): void {
    this.syncs += 1;
    this.op = this.disk.submitSync(this.segment.fd);
  }

  private stage(record: StagedRecord): void {
    if (this.failure !== undefined) throw this.failure;
    this.staged.push(record);
    this.bytesStaged += recordBytes(record.body.length);
  }

  /** The first error stays: a sync that is tried again may succeed without the pages that the first one lost. */
  private guarded<T>(what: string, action: () => T): T {
    if (this.failure !== undefined) throw this.failure;
    try {
      return action();
    } catch (thrown) {
      this.failure = diskError(thrown, what, this.segment.path);
      throw this.failure;
    }
  }
}

function beginLog(disk: Disk, options: WalOptions): RecoveredLog {
  const groups = new Map(options.groups.map((group) => [group, new GroupLog()]));
  removeLeftovers(disk, options.directory, 1);
  const segment = createSegment(disk, options, 1, 1, { oldestSegment: 1, groups });
  return { groups, oldestSegment: 1, nextLsn: 2, segment, batchRawBytesMax: 0 };
}

function recoveredGroup(log: GroupLog): RecoveredGroup {
  return {
    hardState: { ...log.hardState },
    base: { ...log.base },
    termRuns: log.termRuns.map((run) => ({ ...run })),
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    configurations: log.configurations.map(({ index, term, configuration }) => ({
      index,
      term,
      configuration,
    })),
  };
}

function checkSegmentBytes(segmentBytes: number): void {
  if (
    segmentBytes >= SEGMENT_BYTES_MIN &&
    segmentBytes <= SEGMENT_BYTES_MAX &&
    Number.isInteger(segmentBytes)
  )
    return;
  const expected = `a whole number from ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}`;
  throw new RaftlineError(
    ErrorCode.OptionInvalid,
    `segmentBytes: expected ${expected}, received ${segmentBytes}`,
    { path: 'segmentBytes', expected, received: segmentBytes },
  );
}
