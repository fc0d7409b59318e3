import { assert, unreachable } from '../base/assert.js';
import { type BatchHeader, Codec } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader, sealBatch, writeBatchHead } from './batch.js';
import { type Compression, compressDeflate, decompressDeflate } from './compression.js';

/** Payloads below this are not worth a compressor's call. */
const COMPRESS_BYTES_MIN = 256;
/** A compressed form must save at least this part of the payload, or it only costs every reader a decompression. */
const SAVING_MIN = 1 / 16;
/** From here on a sample decides whether the whole is tried: native LZ4 is slow on what does not compress. */
const SAMPLED_BYTES_MIN = 128 * 1024;
const SAMPLE_PIECES = 3;
const SAMPLE_PIECE_BYTES = 4 * 1024;

/** Room that {@link encodeBatch} needs for a payload of `rawLength` bytes: it never makes a batch longer than raw. */
export function encodedBytesMax(rawLength: number): number {
  return BATCH_PAYLOAD_OFFSET + rawLength;
}

/**
 * Makes the batch as it is stored and sent, from the raw one at `rawOffset` (head with codec `None`, payload not
 * compressed, no checksum needed), into `target`, which has room for {@link encodedBytesMax} and does not overlap
 * `raw`. Compresses with `codec` where `compression` is given and it saves enough. Returns the byte length written.
 */
export function encodeBatch(
  raw: Buffer,
  rawOffset: number,
  target: Buffer,
  targetOffset: number,
  compression: Compression | undefined,
  codec: Codec = Codec.Lz4,
): number {
  const header = readBatchHeader(raw, rawOffset);
  assert(header.codec === Codec.None, 'a raw batch is not compressed');
  assert(header.byteLength === encodedBytesMax(header.rawLength), 'a raw batch is its head and its payload');
  const payloadAt = rawOffset + BATCH_PAYLOAD_OFFSET;
  const payload = raw.subarray(payloadAt, payloadAt + header.rawLength);
  const targetAt = targetOffset + BATCH_PAYLOAD_OFFSET;
  const room = target.subarray(targetAt, targetAt + header.rawLength);
  assert(payload.length === header.rawLength && room.length === header.rawLength, 'a batch has its room');

  let stored = compression === undefined ? 0 : compressPayload(payload, room, compression, codec);
  if (stored > 0) {
    header.codec = codec;
  } else {
    room.set(payload, 0);
    stored = header.rawLength;
  }
  header.byteLength = BATCH_PAYLOAD_OFFSET + stored;
  writeBatchHead(target, targetOffset, header);
  sealBatch(target, targetOffset, header.byteLength);
  return header.byteLength;
}

/** Returns the bytes written to the front of `room`, or 0 when the payload is better kept as it is. */
function compressPayload(payload: Buffer, room: Buffer, compression: Compression, codec: Codec): number {
  if (codec === Codec.None || payload.length < COMPRESS_BYTES_MIN) return 0;
  if (payload.length >= SAMPLED_BYTES_MIN && !sampleCompresses(payload, room, compression)) return 0;
  const worthwhile = room.subarray(0, storedBytesMax(payload.length));
  return codec === Codec.Lz4
    ? compression.compressLz4(payload, worthwhile)
    : compressDeflate(payload, worthwhile);
}

function storedBytesMax(rawLength: number): number {
  return Math.floor(rawLength * (1 - SAVING_MIN));
}

/** Tries pieces from the payload's begin, middle and end, compressed as one, with `room` to work in. */
function sampleCompresses(payload: Buffer, room: Buffer, compression: Compression): boolean {
  const sampleBytes = SAMPLE_PIECES * SAMPLE_PIECE_BYTES;
  const sample = room.subarray(0, sampleBytes);
  const stride = (payload.length - SAMPLE_PIECE_BYTES) / (SAMPLE_PIECES - 1);
  for (let piece = 0; piece < SAMPLE_PIECES; piece++) {
    const from = Math.floor(piece * stride);
    payload.copy(sample, piece * SAMPLE_PIECE_BYTES, from, from + SAMPLE_PIECE_BYTES);
  }
  const work = room.subarray(sampleBytes, sampleBytes + storedBytesMax(sampleBytes));
  return compression.compressLz4(sample, work) > 0;
}

/**
 * The raw payload of the verified batch at `offset`: a view into the batch where it is not compressed; otherwise
 * decompressed to the front of `target` (at least `header.rawLength` bytes), or into a new buffer. The output is
 * exactly `header.rawLength` bytes or refused with `RAFTLINE_BYTES_INVALID`; an embedded length is checked against
 * it before anything is made (S5).
 */
export function decodePayload(
  batch: Buffer,
  offset: number,
  header: BatchHeader,
  compression: Compression,
  target?: Buffer,
): Buffer {
  const stored = batch.subarray(offset + BATCH_PAYLOAD_OFFSET, offset + header.byteLength);
  if (header.codec === Codec.None) return stored;
  assert(target === undefined || target.length >= header.rawLength, 'a payload has its room');
  const raw = target?.subarray(0, header.rawLength) ?? Buffer.allocUnsafe(header.rawLength);
  switch (header.codec) {
    case Codec.Lz4:
      compression.decompressLz4(stored, raw);
      return raw;
    case Codec.Deflate:
      decompressDeflate(stored, raw);
      return raw;
    default:
      return unreachable(header.codec, 'codec');
  }
}
