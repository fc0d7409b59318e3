import { SAFE_MAX } from '../base/ids.js';
import { writeU64 } from '../codec/bytes.js';
import { crc32 } from '../codec/checksum.js';

/**
 * The bytes of segment and record headers (docs/formats-log.md). All numbers are little-endian; 64-bit ones hold
 * at most 2^53 − 1. Records begin at multiples of eight.
 */
const LOG_FORMAT_VERSION = 1;

const SEGMENT_MAGIC = 0x47534c52;
export const SEGMENT_HEADER_BYTES = 48;
const SEGMENT_CHECKSUM_AT = 44;

const RECORD_MAGIC = 0x43524c52;
export const RECORD_HEADER_BYTES = 48;
const RECORD_CHECKSUM_AT = 44;

/** What a record holds. The numbers are on disk: never change one. `Moved` is reserved. */
export const RecordKind = {
  Batch: 1,
  HardState: 2,
  Truncate: 3,
  Checkpoint: 4,
  Moved: 5,
  SnapshotMark: 6,
} as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export interface SegmentHeader {
  number: number;
  /** Random per life of the segment: a record with another salt is a leftover of a past life (H79). */
  salt: number;
  /** LSN of the segment's first record, its checkpoint. */
  baseLsn: number;
}

export interface RecordHeader {
  kind: number;
  /** 0 for records that concern all groups. */
  group: number;
  bodyLength: number;
  /** Record sequence number: one more than the record before, across segments. The first is 1. */
  lsn: number;
  salt: number;
  /** The highest LSN that was known to be synced when this record was written. */
  durableLsn: number;
  /** CRC-32 of the body; for a batch the batch's own checksum, so that its bytes are summed only once. */
  bodyChecksum: number;
}

const TWO_32 = 0x1_0000_0000;

/** A number beyond 2^53 − 1 reads as NaN, which compares false with everything. */
export function readStoredU64(buffer: Buffer, offset: number): number {
  const value = buffer.readUInt32LE(offset + 4) * TWO_32 + buffer.readUInt32LE(offset);
  return value <= SAFE_MAX ? value : Number.NaN;
}

/** How many zero bytes follow a body so that the next record is aligned. */
export function paddingOf(bodyLength: number): number {
  return (8 - (bodyLength & 7)) & 7;
}

/** The place that a record takes in its segment, bytes. */
export function recordBytes(bodyLength: number): number {
  return RECORD_HEADER_BYTES + bodyLength + paddingOf(bodyLength);
}

export function segmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.segment`;
}

/** The number of a segment file, undefined for any other name. */
export function segmentNumber(name: string): number | undefined {
  const found = /^(\d{10})\.segment$/.exec(name);
  return found === null ? undefined : Number(found[1]);
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.writeUInt32LE(SEGMENT_MAGIC, 0);
  bytes.writeUInt32LE(LOG_FORMAT_VERSION, 4);
  writeU64(bytes, 8, header.number);
  writeU64(bytes, 16, header.salt);
  writeU64(bytes, 24, header.baseLsn);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, SEGMENT_CHECKSUM_AT)), SEGMENT_CHECKSUM_AT);
  return bytes;
}

/** undefined: not an intact segment header of a version that is known. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.readUInt32LE(0) !== SEGMENT_MAGIC) return undefined;
  if (bytes.readUInt32LE(4) !== LOG_FORMAT_VERSION) return undefined;
  if (crc32(bytes.subarray(0, SEGMENT_CHECKSUM_AT)) !== bytes.readUInt32LE(SEGMENT_CHECKSUM_AT))
    return undefined;
  return {
    number: readStoredU64(bytes, 8),
    salt: readStoredU64(bytes, 16),
    baseLsn: readStoredU64(bytes, 24),
  };
}

/** Writes the 48 bytes of a record header at `offset`. */
export function encodeRecordHeader(bytes: Buffer, offset: number, header: RecordHeader): void {
  bytes.writeUInt32LE(RECORD_MAGIC, offset);
  bytes.writeUInt8(LOG_FORMAT_VERSION, offset + 4);
  bytes.writeUInt8(header.kind, offset + 5);
  bytes.writeUInt16LE(0, offset + 6);
  bytes.writeUInt32LE(header.group, offset + 8);
  bytes.writeUInt32LE(header.bodyLength, offset + 12);
  writeU64(bytes, offset + 16, header.lsn);
  writeU64(bytes, offset + 24, header.salt);
  writeU64(bytes, offset + 32, header.durableLsn);
  bytes.writeUInt32LE(header.bodyChecksum, offset + 40);
  const checksum = crc32(bytes.subarray(offset, offset + RECORD_CHECKSUM_AT));
  bytes.writeUInt32LE(checksum, offset + RECORD_CHECKSUM_AT);
}

/** The record header at `offset` if it is whole, intact, of a known version and of the segment life `salt`. */
export function decodeRecordHeader(bytes: Buffer, offset: number, salt: number): RecordHeader | undefined {
  if (bytes.length - offset < RECORD_HEADER_BYTES || bytes.readUInt32LE(offset) !== RECORD_MAGIC)
    return undefined;
  if (bytes.readUInt8(offset + 4) !== LOG_FORMAT_VERSION) return undefined;
  const checksum = crc32(bytes.subarray(offset, offset + RECORD_CHECKSUM_AT));
  if (
    checksum !== bytes.readUInt32LE(offset + RECORD_CHECKSUM_AT) ||
    readStoredU64(bytes, offset + 24) !== salt
  )
    return undefined;
  return {
    kind: bytes.readUInt8(offset + 5),
    group: bytes.readUInt32LE(offset + 8),
    bodyLength: bytes.readUInt32LE(offset + 12),
    lsn: readStoredU64(bytes, offset + 16),
    salt,
    durableLsn: readStoredU64(bytes, offset + 32),
    bodyChecksum: bytes.readUInt32LE(offset + 40),
  };
}
