import { alignedMemory } from '../base/web-assembly.js';
import { crc32 } from '../codec/checksum.js';
import { type Checkpoint, encodeCheckpoint } from './checkpoint.js';
import { BLOCK_BYTES, createDurably, type Disk, diskError, type WritePattern } from './disk.js';
import {
  encodeRecordHeader,
  encodeSegmentHeader,
  RECORD_HEADER_BYTES,
  RecordKind,
  recordBytes,
  SEGMENT_HEADER_BYTES,
  segmentName,
} from './format.js';

/** The prepared file that the next rotation takes. */
const SPARE = 'spare';
const ZEROS_BYTES = 256 * 1024;
/** Made when first needed. A disk may take them from where they stand. */
let zeros: Buffer | undefined;

/** What an acknowledgement of a write promises: that it survives a loss of power, or the end of this process only. */
export type Durability = 'sync' | 'os';

/** What a log's segments have in common. */
export interface SegmentOptions {
  /** `Wal.open` makes it where it is missing, with mode 0700. */
  directory: string;
  /** Size of a segment, bytes: 4 KiB to 1 GiB. A record that is larger has a segment of its own. */
  segmentBytes: number;
  /**
   * When a flush is `durable`: `sync` (the default), once it is synced; `os`, once the system has taken it (so its cache is to take it), if it holds
   * nothing but batches and truncations. What else it may hold (term, vote, snapshot marks) is synced either way.
   */
  durability?: Durability;
}

/** A segment open for writing. */
export interface OpenSegment {
  number: number;
  path: string;
  fd: number;
  salt: number;
  /** Behind its checkpoint. */
  firstPosition: number;
  /** Where the next record goes. */
  position: number;
}

/** Writes zeros over [from, to). */
export function writeZeros(disk: Disk, fd: number, from: number, to: number): void {
  zeros ??= Buffer.from(alignedMemory(ZEROS_BYTES), 0, ZEROS_BYTES);
  for (let at = from; at < to; at += ZEROS_BYTES) {
    disk.write(fd, [zeros.subarray(0, Math.min(ZEROS_BYTES, to - at))], at);
  }
}

/**
 * Makes the spare: a file of `segmentBytes` zeros, synced, that appears under its name only when complete. A good one
 * that is there already stays. Safe on another thread than the writer's, one call at a time. Throws DiskFull or
 * DiskFailed and leaves nothing behind; the log goes on without a spare, only slower.
 */
export function prepareSegment(disk: Disk, options: SegmentOptions): void {
  const { directory, segmentBytes } = options;
  if (hasSpare(disk, options)) return;
  const fill = (fd: number): void => writeZeros(disk, fd, 0, segmentBytes);
  try {
    createDurably(disk, directory, SPARE, fill, patternOf(options));
  } catch (thrown) {
    throw diskError(thrown, 'preparing', `${directory}/${SPARE}`);
  }
}

/** Whether there is a spare of the right size. */
export function hasSpare(disk: Disk, { directory, segmentBytes }: SegmentOptions): boolean {
  const found = disk.stat(`${directory}/${SPARE}`);
  return found?.kind === 'file' && found.size === segmentBytes;
}

/**
 * Creates segment `number` with its header and checkpoint, in the spare if there is a good one. It gets its name only
 * once it is synced, so a segment with a bad beginning is damage and never a crash (H82).
 */
export function createSegment(
  disk: Disk,
  options: SegmentOptions,
  number: number,
  baseLsn: number,
  checkpoint: Checkpoint,
): OpenSegment {
  const { directory } = options;
  const path = `${directory}/${segmentName(number)}`;
  const temporary = `${path}.tmp`;
  if (disk.stat(temporary) !== undefined) disk.unlink(temporary);
  const fd = takeSpare(disk, options, temporary) ?? disk.create(temporary);
  try {
    const salt = disk.randomNumber();
    const head = encodeSegmentHeader({ number, salt, baseLsn });
    const opening = encodeCheckpointRecord(checkpoint, salt, baseLsn);
    disk.write(fd, [head, opening], 0);
    disk.sync(fd);
    disk.rename(temporary, path);
    disk.syncDirectory(directory);
    const position = SEGMENT_HEADER_BYTES + opening.length;
    return { number, path, fd, salt, firstPosition: position, position };
  } catch (thrown) {
    disk.close(fd);
    if (disk.stat(temporary) !== undefined) disk.unlink(temporary);
    throw thrown;
  }
}

function encodeCheckpointRecord(checkpoint: Checkpoint, salt: number, lsn: number): Buffer {
  const body = encodeCheckpoint(checkpoint);
  const record = Buffer.alloc(recordBytes(body.length));
  encodeRecordHeader(record, 0, {
    kind: RecordKind.Checkpoint,
    group: 0,
    bodyLength: body.length,
    lsn,
    salt,
    durableLsn: lsn - 1,
    bodyChecksum: crc32(body),
  });
  body.copy(record, RECORD_HEADER_BYTES);
  return record;
}

/** The spare under its new name, open; undefined if there is none. One of another size is thrown away. */
function takeSpare(disk: Disk, options: SegmentOptions, name: string): number | undefined {
  const spare = `${options.directory}/${SPARE}`;
  if (!hasSpare(disk, options)) {
    if (disk.stat(spare) !== undefined) disk.unlink(spare);
    return undefined;
  }
  disk.rename(spare, name);
  return disk.openForWriting(name, patternOf(options));
}

/** Prepared segments of whole blocks may be written past the system's cache. */
function patternOf({ segmentBytes, durability }: SegmentOptions): WritePattern {
  return durability !== 'os' && segmentBytes % BLOCK_BYTES === 0 ? 'once' : 'anyhow';
}
