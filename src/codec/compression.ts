import { createRequire } from 'node:module';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { copyBytes } from '../base/copy.js';
import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import { refuseBytes } from './bytes.js';
import { compressLz4Block, decompressLz4Block } from './lz4.js';
import { noDecompress, type TryDecompress } from './lz4-wasm.js';

/** Bytes in front of an LZ4 block: the raw length, little-endian. */
const LZ4_LENGTH_BYTES = 4;

/** Who does LZ4 on a node. */
export interface Lz4Implementations {
  compressor: 'lz4-napi' | 'pure';
  /** `webassembly` leaves what it cannot reach, and what it does not take, to the other. */
  decompressor: 'webassembly' | 'pure';
}

/**
 * One way of doing LZ4. Compressed bytes are always four bytes of raw length, then an LZ4 block; two
 * implementations read each other's, but do not make the same bytes.
 */
export interface Compression {
  readonly native: boolean;
  readonly implementations: Lz4Implementations;
  /** Returns the bytes written, or 0 when they do not fit `target`. */
  compressLz4(source: Buffer, target: Buffer): number;
  /**
   * Fills `target` exactly. The length in `source` is checked against it first (it decides what is allocated);
   * anything else is refused with `RAFTLINE_BYTES_INVALID`.
   */
  decompressLz4(source: Buffer, target: Buffer): void;
}

/** What is used of lz4-napi: not its decompression, which costs more in collected memory than it saves (decision 0012). */
interface NativeLz4 {
  compressSync(data: Buffer): Buffer;
}

/**
 * `auto`: the native lz4-napi where it is installed and loads, else pure TypeScript. `native` throws
 * `RAFTLINE_OPTION_INVALID` where it does not load. Decompression is ours either way: `fast` is tried first.
 */
export function loadCompression(
  prefer: 'auto' | 'native' | 'pure' = 'auto',
  fast: TryDecompress = noDecompress,
): Compression {
  if (prefer === 'pure') return compressionOf('pure', compressPure, fast);
  try {
    const native = compressNative(createRequire(import.meta.url)('lz4-napi') as NativeLz4);
    return compressionOf('lz4-napi', native, fast);
  } catch (cause) {
    if (prefer === 'auto') return compressionOf('pure', compressPure, fast);
    const reason = toRaftlineError(cause).message;
    const message = `compression: expected the native module lz4-napi to load, received: ${reason}`;
    throw new RaftlineError(ErrorCode.OptionInvalid, message, { expected: 'lz4-napi' }, cause);
  }
}

function compressionOf(
  compressor: Lz4Implementations['compressor'],
  compressLz4: Compression['compressLz4'],
  fast: TryDecompress,
): Compression {
  const decompressor = fast === noDecompress ? 'pure' : 'webassembly';
  const implementations = { compressor, decompressor } as const;
  const native = compressor === 'lz4-napi';
  return { native, implementations, compressLz4, decompressLz4: decompressorOf(fast) };
}

function compressPure(source: Buffer, target: Buffer): number {
  if (target.length < LZ4_LENGTH_BYTES) return 0;
  const written = compressLz4Block(source, target.subarray(LZ4_LENGTH_BYTES));
  if (written === 0) return 0;
  target.writeUInt32LE(source.length, 0);
  return LZ4_LENGTH_BYTES + written;
}

function compressNative(lz4: NativeLz4): Compression['compressLz4'] {
  return (source, target) => {
    const compressed = lz4.compressSync(source);
    if (compressed.length > target.length) return 0;
    copyBytes(compressed, target, 0);
    return compressed.length;
  };
}

function decompressorOf(fast: TryDecompress): Compression['decompressLz4'] {
  return (source, target) => {
    checkLength(source, target);
    const block = source.subarray(LZ4_LENGTH_BYTES);
    if (!fast(block, target)) decompressLz4Block(block, target);
  };
}

function checkLength(source: Buffer, target: Buffer): void {
  if (source.length < LZ4_LENGTH_BYTES) refuseBytes('LZ4 length', `${LZ4_LENGTH_BYTES} bytes`, source.length);
  const length = source.readUInt32LE(0);
  if (length !== target.length) refuseBytes('LZ4 raw length', target.length, length);
}

/** Compresses with deflate (no zlib head); returns the bytes written, or 0 when they do not fit `target`. */
export function compressDeflate(source: Buffer, target: Buffer): number {
  const compressed = deflateRawSync(source, { level: 1 });
  if (compressed.length > target.length) return 0;
  copyBytes(compressed, target, 0);
  return compressed.length;
}

/** Fills `target` exactly from a deflate stream; never more than that is made. Refuses with `RAFTLINE_BYTES_INVALID`. */
export function decompressDeflate(source: Buffer, target: Buffer): void {
  const raw = inflate(source, target.length);
  if (raw.length !== target.length) refuseBytes('deflate output', `${target.length} bytes`, raw.length);
  copyBytes(raw, target, 0);
}

function inflate(source: Buffer, rawLength: number): Buffer {
  try {
    return inflateRawSync(source, { maxOutputLength: rawLength });
  } catch (cause) {
    const expected = `a valid stream of ${rawLength} bytes`;
    return refuseBytes('deflate stream', expected, toRaftlineError(cause).message);
  }
}
