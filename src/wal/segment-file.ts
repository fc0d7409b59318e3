import { RaftlineError } from '../base/errors.js';
import { BATCH_RAW_BYTES_CEILING } from '../base/limits.js';
import type { BatchHeader } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, CEILING_LIMITS, verifyBatch } from '../codec/batch.js';
import { crc32 } from '../codec/checksum.js';
import { type Disk, logDamaged, type ReadPattern } from './disk.js';
import {
  decodeRecordHeader,
  decodeSegmentHeader,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  RecordKind,
  recordBytes,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from './format.js';
import type { ReadWindow } from './read-window.js';

/** No body is longer than a largest batch; a checkpoint is bounded by groups and members far below it. */
const BODY_BYTES_CEILING = BATCH_PAYLOAD_OFFSET + BATCH_RAW_BYTES_CEILING;

/** A record whose header is intact, at `position` of its segment. */
export interface LocatedRecord extends RecordHeader {
  position: number;
  /** Where the next record begins. */
  end: number;
}

/** An intact body; `batch` is there for records of kind Batch only. */
export interface RecordBody {
  bytes: Buffer;
  batch?: BatchHeader;
}

/**
 * One segment open for reading, through a window that several may share. Views are valid until the next call to any of them. Other
 * threads may be writing behind the point that has been published, so what the window holds may be old: `refresh`
 * before believing that something is not there.
 */
export class SegmentFile {
  readonly path: string;
  readonly size: number;
  readonly header: SegmentHeader;
  private readonly fd: number;

  /** Throws LogDamaged when the segment's own header is not what it must be: it was synced before it got its name. */
  constructor(
    private readonly disk: Disk,
    directory: string,
    number: number,
    private readonly window: ReadWindow,
    pattern: ReadPattern = 'anyhow',
  ) {
    this.path = `${directory}/${segmentName(number)}`;
    this.fd = disk.openForReading(this.path, pattern);
    this.size = disk.size(this.fd);
    const header = decodeSegmentHeader(this.view(0, SEGMENT_HEADER_BYTES));
    if (header === undefined || header.number !== number) {
      this.close();
      throw logDamaged(this.path, 0, `expected the header of segment ${number}, received other bytes`);
    }
    this.header = header;
  }

  /** `length` bytes at `position`; fewer where the file ends. */
  view(position: number, length: number): Buffer {
    return this.window.view(this.fd, position, length);
  }

  /** Whether these bytes can be had without reading. */
  holds(position: number, length: number): boolean {
    return this.window.holds(this.fd, position, length);
  }

  /** Forgets what was read. */
  refresh(): void {
    this.window.forget();
  }

  /** The record at `position` if its header is intact and of this segment's life. */
  record(position: number): LocatedRecord | undefined {
    const header = decodeRecordHeader(this.view(position, RECORD_HEADER_BYTES), 0, this.header.salt);
    if (header === undefined || header.bodyLength > BODY_BYTES_CEILING) return undefined;
    return { ...header, position, end: position + recordBytes(header.bodyLength) };
  }

  /** The record's body if it is whole and its checksum holds; for a batch its structure as well. */
  body(record: LocatedRecord): RecordBody | undefined {
    const bytes = this.view(record.position + RECORD_HEADER_BYTES, record.bodyLength);
    if (bytes.length < record.bodyLength) return undefined;
    if (record.kind !== RecordKind.Batch) return crc32(bytes) === record.bodyChecksum ? { bytes } : undefined;
    const batch = intactBatch(bytes);
    if (batch?.checksum !== record.bodyChecksum || batch.byteLength !== record.bodyLength) return undefined;
    return batch.group === record.group ? { bytes, batch } : undefined;
  }

  close(): void {
    // The next file may get the same handle.
    this.window.forget();
    this.disk.close(this.fd);
  }
}

function intactBatch(bytes: Buffer): BatchHeader | undefined {
  try {
    return verifyBatch(bytes, 0, bytes.length, CEILING_LIMITS);
  } catch (thrown) {
    if (thrown instanceof RaftlineError) return undefined;
    throw thrown;
  }
}
