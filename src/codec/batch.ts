import { SAFE_MAX, U32_MAX } from '../base/ids.js';
import { BATCH_ENTRIES_CEILING, BATCH_RAW_BYTES_CEILING, FORMAT_VERSION } from '../base/limits.js';
import { BatchFlag, type BatchHeader, BatchKind, Codec } from '../base/messages.js';
import { readU64, refuseBytes, writeU64 } from './bytes.js';
import { crc32 } from './checksum.js';
import { ENTRY_HEAD_BYTES } from './entries.js';

/**
 * What stands in front of every batch's header: offset of the root table, file identifier, the table's vtable (size,
 * table size, where the header and the payload's offset stand), then the table's own two offsets. A FlatBuffer with
 * one struct and one byte vector always comes out so; the golden test holds it against flatc's builder.
 */
const PREFIX = Buffer.from(
  [
    '10000000', // root table at 16
    '524c4231', // "RLB1"
    '0800', // vtable at 8: its own size,
    '4000', // the table's size,
    '0800', // the header at table + 8,
    '0400', // the payload's offset at table + 4
    '08000000', // table at 16: its vtable is 8 bytes before it
    '3c000000', // the payload is 60 bytes after this field
  ].join(''),
  'hex',
);

// Offsets within a batch.
const CHECKSUM = 24;
const BYTE_LENGTH = 28;
const FORMAT_VERSION_AT = 32;
const KIND = 33;
const CODEC = 34;
const FLAGS = 35;
const GROUP = 36;
const TERM = 40;
const FIRST_INDEX = 48;
const PREV_TERM = 56;
const LEADER_TIME = 64;
const COUNT = 72;
const RAW_LENGTH = 76;
const VECTOR_LENGTH = 80;

/** Where a batch's payload begins; a batch is this many bytes and its payload, without padding. */
export const BATCH_PAYLOAD_OFFSET = 84;

/** What a receiver takes at most, both within {@link CEILING_LIMITS}. */
export interface BatchLimits {
  /** Largest payload once decompressed, bytes. */
  rawBytesMax: number;
  /** Most entries in one batch. */
  entriesMax: number;
}

/** The limits of the format itself; for one's own log, which may have been written under other options. */
export const CEILING_LIMITS: BatchLimits = {
  rawBytesMax: BATCH_RAW_BYTES_CEILING,
  entriesMax: BATCH_ENTRIES_CEILING,
};

/**
 * Writes everything in front of the payload at `offset`: prefix, header and vector length, but not the checksum
 * ({@link sealBatch}). `header.byteLength` says how long the whole batch is; `header.checksum` is ignored.
 */
export function writeBatchHead(target: Buffer, offset: number, header: BatchHeader): void {
  target.set(PREFIX, offset);
  target.writeUInt32LE(0, offset + CHECKSUM);
  target.writeUInt32LE(header.byteLength, offset + BYTE_LENGTH);
  target[offset + FORMAT_VERSION_AT] = header.formatVersion;
  target[offset + KIND] = header.kind;
  target[offset + CODEC] = header.codec;
  target[offset + FLAGS] = header.flags;
  target.writeUInt32LE(header.group, offset + GROUP);
  writeU64(target, offset + TERM, header.term);
  writeU64(target, offset + FIRST_INDEX, header.firstIndex);
  writeU64(target, offset + PREV_TERM, header.prevTerm);
  writeU64(target, offset + LEADER_TIME, header.leaderTimeMs);
  target.writeUInt32LE(header.count, offset + COUNT);
  target.writeUInt32LE(header.rawLength, offset + RAW_LENGTH);
  target.writeUInt32LE(header.byteLength - BATCH_PAYLOAD_OFFSET, offset + VECTOR_LENGTH);
}

/** Computes the checksum of a batch whose head and payload are in place, writes it and returns it. */
export function sealBatch(target: Buffer, offset: number, byteLength: number): number {
  const checksum = checksumOf(target, offset, byteLength);
  target.writeUInt32LE(checksum, offset + CHECKSUM);
  return checksum;
}

function checksumOf(bytes: Buffer, offset: number, byteLength: number): number {
  return crc32(bytes.subarray(offset + BYTE_LENGTH, offset + byteLength));
}

/** Reads the header of a batch that was verified, or that this process wrote itself. Nothing is checked. */
export function readBatchHeader(bytes: Buffer, offset: number): BatchHeader {
  return {
    formatVersion: bytes.readUInt8(offset + FORMAT_VERSION_AT),
    group: bytes.readUInt32LE(offset + GROUP),
    kind: bytes.readUInt8(offset + KIND) as BatchKind,
    flags: bytes.readUInt8(offset + FLAGS),
    term: readU64(bytes, offset + TERM, 'batch term'),
    firstIndex: readU64(bytes, offset + FIRST_INDEX, 'batch firstIndex'),
    count: bytes.readUInt32LE(offset + COUNT),
    prevTerm: readU64(bytes, offset + PREV_TERM, 'batch prevTerm'),
    codec: bytes.readUInt8(offset + CODEC) as Codec,
    rawLength: bytes.readUInt32LE(offset + RAW_LENGTH),
    byteLength: bytes.readUInt32LE(offset + BYTE_LENGTH),
    leaderTimeMs: readU64(bytes, offset + LEADER_TIME, 'batch leaderTimeMs'),
    checksum: bytes.readUInt32LE(offset + CHECKSUM),
  };
}

/**
 * Checks the batch at `offset`, of which at most `available` bytes may be read: checksum, then structure, then
 * meaning (S6). The payload's inside is not looked at. Throws `RAFTLINE_BYTES_INVALID` naming the field.
 */
export function verifyBatch(
  bytes: Buffer,
  offset: number,
  available: number,
  limits: BatchLimits,
): BatchHeader {
  const readable = Math.min(available, bytes.length - offset);
  if (!(readable >= BATCH_PAYLOAD_OFFSET)) {
    refuseBytes('batch length', `at least ${BATCH_PAYLOAD_OFFSET} bytes`, readable);
  }
  const byteLength = bytes.readUInt32LE(offset + BYTE_LENGTH);
  if (byteLength < BATCH_PAYLOAD_OFFSET || byteLength > readable) {
    refuseBytes('batch byteLength', `${BATCH_PAYLOAD_OFFSET} to ${readable}`, byteLength);
  }
  const stored = bytes.readUInt32LE(offset + CHECKSUM);
  const computed = checksumOf(bytes, offset, byteLength);
  if (stored !== computed) refuseBytes('batch checksum', computed, stored);
  if (PREFIX.compare(bytes, offset, offset + PREFIX.length) !== 0) {
    const received = bytes.toString('hex', offset, offset + PREFIX.length);
    refuseBytes('batch prefix', PREFIX.toString('hex'), received);
  }
  const vectorLength = bytes.readUInt32LE(offset + VECTOR_LENGTH);
  if (vectorLength !== byteLength - BATCH_PAYLOAD_OFFSET) {
    refuseBytes('batch payload length', byteLength - BATCH_PAYLOAD_OFFSET, vectorLength);
  }
  const header = readBatchHeader(bytes, offset);
  verifyVersions(header);
  verifySizes(header, limits);
  verifyPosition(header);
  return header;
}

function verifyVersions(header: BatchHeader): void {
  const { formatVersion, kind, codec, flags } = header;
  if (formatVersion < 1 || formatVersion > FORMAT_VERSION) {
    refuseBytes('batch formatVersion', `1 to ${FORMAT_VERSION}`, formatVersion);
  }
  if (kind < BatchKind.Data || kind > BatchKind.Session) refuseBytes('batch kind', '1 to 4', kind);
  if (codec > Codec.Deflate) refuseBytes('batch codec', '0 to 2', codec);
  if ((flags & ~BatchFlag.Sessions) !== 0) refuseBytes('batch flags', 'bit 0 only', flags);
}

function verifySizes(header: BatchHeader, limits: BatchLimits): void {
  const { kind, codec, count, rawLength, byteLength } = header;
  const countMax = kind === BatchKind.Data ? limits.entriesMax : 1;
  if (count < 1 || count > countMax) refuseBytes('batch count', `1 to ${countMax}`, count);
  if (rawLength < count * ENTRY_HEAD_BYTES || rawLength > limits.rawBytesMax) {
    refuseBytes('batch rawLength', `${count * ENTRY_HEAD_BYTES} to ${limits.rawBytesMax}`, rawLength);
  }
  const storedLength = byteLength - BATCH_PAYLOAD_OFFSET;
  if (codec === Codec.None && storedLength !== rawLength) {
    refuseBytes('batch rawLength (not compressed)', storedLength, rawLength);
  }
  if (codec !== Codec.None && storedLength >= rawLength) {
    refuseBytes('batch payload length (compressed)', `less than ${rawLength}`, storedLength);
  }
}

function verifyPosition(header: BatchHeader): void {
  const { group, term, firstIndex, count, prevTerm } = header;
  if (group < 1) refuseBytes('batch group', `1 to ${U32_MAX}`, group);
  if (term < 1) refuseBytes('batch term', 'at least 1', term);
  if (firstIndex < 1) refuseBytes('batch firstIndex', 'at least 1', firstIndex);
  if (firstIndex > SAFE_MAX - count + 1) {
    refuseBytes('batch firstIndex and count', 'a last index of at most 2^53 - 1', firstIndex);
  }
  if (prevTerm > term) refuseBytes('batch prevTerm', `at most the term ${term}`, prevTerm);
  if ((prevTerm === 0) !== (firstIndex === 1)) {
    refuseBytes('batch prevTerm', firstIndex === 1 ? 0 : 'at least 1', prevTerm);
  }
}
