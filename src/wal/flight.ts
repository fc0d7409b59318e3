import { assert } from '../base/assert.js';
import type { GroupId, LogIndex } from '../base/ids.js';
import { type BatchHeader, type HardState, lastIndexOf } from '../base/messages.js';
import { crc32 } from '../codec/checksum.js';
import { encodeRecordHeader, paddingOf, RECORD_HEADER_BYTES, RecordKind, recordBytes } from './format.js';
import type { GroupLog, SnapshotMark } from './group-log.js';
import type { SharedLogIndex } from './log-index.js';
import type { OpenSegment } from './segment.js';

/** Body of a hard state: term (8), vote (4), zeros (4). */
export const HARD_STATE_BYTES = 16;
/** Body of a truncation: the first dead index (8). */
export const TRUNCATE_BYTES = 8;

const PADDING_MAX = 8;
const SLOT_BYTES = PADDING_MAX + RECORD_HEADER_BYTES;
const PADDING = Buffer.alloc(PADDING_MAX);

/** A record that waits for its flush, with its body as stored and decoded. */
export type StagedRecord = { group: GroupId; body: Buffer } & (
  | { kind: typeof RecordKind.Batch; batch: BatchHeader }
  | { kind: typeof RecordKind.HardState; hardState: HardState }
  | { kind: typeof RecordKind.Truncate; from: LogIndex }
  | { kind: typeof RecordKind.SnapshotMark; mark: SnapshotMark }
);

/** The records of one flush on their way into one or more segments. */
export class Flight {
  /** Of the last `layOut`. */
  laidOutRecords = 0;
  laidOutBytes = 0;
  /** Records before this one are laid out. */
  private next = 0;
  private published = 0;
  /** Where each laid-out record that is not yet published lies. */
  private offsets: number[] = [];
  private segmentNumber = 0;

  constructor(
    private readonly records: readonly StagedRecord[],
    private readonly groups: ReadonlyMap<GroupId, GroupLog>,
    private readonly index: SharedLogIndex,
  ) {}

  /** Whether every record is laid out. */
  get complete(): boolean {
    return this.next === this.records.length;
  }

  /** Whether a node may forget all of it when power is lost, as if it had never been told: not its term, its vote, or what it deleted. */
  get isForgettable(): boolean {
    return this.records.every(({ kind }) => kind === RecordKind.Batch || kind === RecordKind.Truncate);
  }

  /**
   * The buffers to write at `segment.position`: the next records, as many as fit. One always fits a segment that holds
   * its checkpoint only. Runs them through the state of their groups, so that a checkpoint in between is exact.
   */
  layOut(segment: OpenSegment, segmentBytes: number, firstLsn: number, durableLsn: number): Buffer[] {
    // In front of each header there is room for the zeros that align it behind the body before.
    const slots = Buffer.alloc((this.records.length - this.next) * SLOT_BYTES);
    const buffers: Buffer[] = [];
    let position = segment.position;
    let padding = 0;
    let count = 0;
    for (; this.next < this.records.length; this.next += 1, count += 1) {
      const record = this.records[this.next]!;
      const end = position + recordBytes(record.body.length);
      if (end > segmentBytes && position > segment.firstPosition) break;
      this.apply(record);
      const at = count * SLOT_BYTES + PADDING_MAX;
      encodeRecordHeader(slots, at, {
        kind: record.kind,
        group: record.group,
        bodyLength: record.body.length,
        lsn: firstLsn + count,
        salt: segment.salt,
        durableLsn,
        bodyChecksum: record.kind === RecordKind.Batch ? record.batch.checksum : crc32(record.body),
      });
      buffers.push(slots.subarray(at - padding, at + RECORD_HEADER_BYTES), record.body);
      this.offsets.push(position);
      padding = paddingOf(record.body.length);
      position = end;
    }
    if (padding > 0) buffers.push(PADDING.subarray(0, padding));
    this.segmentNumber = segment.number;
    this.laidOutRecords = count;
    this.laidOutBytes = position - segment.position;
    return buffers;
  }

  /** Tells the index about the records laid out last, which are written now. */
  publish(): void {
    for (const offset of this.offsets) {
      const record = this.records[this.published]!;
      if (record.kind === RecordKind.Batch) {
        const { firstIndex } = record.batch;
        const place = { segment: this.segmentNumber, offset, bytes: record.body.length };
        this.index.append(record.group, firstIndex, lastIndexOf(record.batch), place);
      } else if (record.kind === RecordKind.Truncate) {
        this.index.truncate(record.group, record.from);
      } else if (record.kind === RecordKind.SnapshotMark) {
        this.index.startBehind(record.group, record.mark.index, record.mark.keepsSuffix);
      }
      this.published += 1;
    }
    this.offsets = [];
  }

  private apply(record: StagedRecord): void {
    const log = this.groups.get(record.group);
    assert(log !== undefined, `a staged record belongs to a group of the log, not to ${record.group}`);
    const wrong = applyRecord(log, record);
    assert(wrong === undefined, `staged records of group ${record.group} follow from its log, but ${wrong}`);
  }
}

function applyRecord(log: GroupLog, record: StagedRecord): string | undefined {
  switch (record.kind) {
    case RecordKind.Batch:
      return log.append(record.batch, record.body);
    case RecordKind.HardState:
      return log.setHardState(record.hardState);
    case RecordKind.Truncate:
      return log.truncate(record.from);
    case RecordKind.SnapshotMark:
      return log.startBehind(record.mark);
  }
}
