import { assert, unreachable } from '../base/assert.js';
import { copyBytes } from '../base/copy.js';
import { type BatchHeader, Codec } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader, sealBatch, writeBatchHead } from './batch.js';
import { type Compression, decompressDeflate } from './compression.js';
import type { Compressor } from './compressor.js';

/** Room that {@link encodeBatch} needs for a payload of `rawLength` bytes: it never makes a batch longer than raw. */
export function encodedBytesMax(rawLength: number): number {
  return BATCH_PAYLOAD_OFFSET + rawLength;
}

/**
 * Makes the batch as it is stored and sent, from the raw one at `rawOffset` (payload not compressed, no checksum needed; the head's codec is
 * the one that may be used), into `target`, which has room for {@link encodedBytesMax} and does not overlap `raw`. Compresses where
 * `compressor` is given and finds it worth its while. Returns the byte length written. In a cluster this is called once for a batch: by the encoder of
 * the leader that sealed it.
 */
export function encodeBatch(
  raw: Buffer,
  rawOffset: number,
  target: Buffer,
  targetOffset: number,
  compressor: Compressor | undefined,
): number {
  const header = readBatchHeader(raw, rawOffset);
  assert(header.byteLength === encodedBytesMax(header.rawLength), 'a raw batch is its head and its payload');
  const payloadAt = rawOffset + BATCH_PAYLOAD_OFFSET;
  const payload = raw.subarray(payloadAt, payloadAt + header.rawLength);
  const targetAt = targetOffset + BATCH_PAYLOAD_OFFSET;
  const room = target.subarray(targetAt, targetAt + header.rawLength);
  assert(payload.length === header.rawLength && room.length === header.rawLength, 'a batch has its room');

  let stored = compressor?.compress(payload, room, header.codec) ?? 0;
  if (stored === 0) {
    copyBytes(payload, room, 0);
    stored = header.rawLength;
    header.codec = Codec.None;
  }
  header.byteLength = BATCH_PAYLOAD_OFFSET + stored;
  writeBatchHead(target, targetOffset, header);
  sealBatch(target, targetOffset, header.byteLength);
  return header.byteLength;
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
