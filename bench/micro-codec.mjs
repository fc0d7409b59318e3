import { sharedWasmMemory } from '../dist/base/web-assembly.js';
import { makePool } from '../dist/bench/data.js';
import { BATCH_PAYLOAD_OFFSET, CEILING_LIMITS, verifyBatch, writeBatchHead } from '../dist/codec/batch.js';
import { crc32 } from '../dist/codec/checksum.js';
import { loadCompression } from '../dist/codec/compression.js';
import { Compressor } from '../dist/codec/compressor.js';
import { decodePayload, encodeBatch, encodedBytesMax } from '../dist/codec/encoder.js';
import { EntryCursor, packEntry, packedEntryBytes, verifyEntries } from '../dist/codec/entries.js';
import { wasmDecompressor } from '../dist/codec/lz4-wasm.js';

/** The head of a raw batch of group 1, term 1. */
export function writeHead(target, offset, { firstIndex, count, rawLength, codec = 0 }) {
  writeBatchHead(target, offset, {
    formatVersion: 1,
    group: 1,
    kind: 1,
    flags: 0,
    term: 1,
    firstIndex,
    count,
    prevTerm: firstIndex === 1 ? 0 : 1,
    codec,
    rawLength,
    byteLength: BATCH_PAYLOAD_OFFSET + rawLength,
    leaderTimeMs: 0,
    checksum: 0,
  });
}

/** A raw batch, full of the benchmark's data. */
function rawBatch({ payload, data, seed, batchBytesMax }) {
  const pool = makePool({ payload, data, seed });
  const packed = packedEntryBytes(payload, false);
  const count = Math.max(1, Math.floor(batchBytesMax / packed));
  const rawLength = count * packed;
  const raw = Buffer.alloc(encodedBytesMax(rawLength));
  let at = BATCH_PAYLOAD_OFFSET;
  for (let entry = 0; entry < count; entry++) at = packEntry(raw, at, pool[entry % pool.length]);
  // The codec of a raw batch is the one that may be used: LZ4.
  writeHead(raw, 0, { firstIndex: 1, count, rawLength, codec: 1 });
  return { raw, rawLength, count, pool };
}

/** @returns {{ name: string, bytes: number, entries: number, run: () => void }[]} */
export function codecCases(settings) {
  const { raw, rawLength, count, pool } = rawBatch(settings);
  const target = Buffer.alloc(raw.length);
  const payload = raw.subarray(BATCH_PAYLOAD_OFFSET);
  const cursor = new EntryCursor();
  const whole = { bytes: rawLength, entries: count };
  const walk = () => {
    let sum = 0;
    cursor.reset(payload, 0, rawLength, count);
    while (cursor.next()) sum += payload[cursor.start];
    return sum;
  };
  const views = () => {
    let sum = 0;
    cursor.reset(payload, 0, rawLength, count);
    while (cursor.next()) sum += cursor.bytes()[0];
    return sum;
  };
  const pack = () => {
    let at = 0;
    for (let entry = 0; entry < count; entry++) at = packEntry(target, at, pool[entry % pool.length]);
  };
  return [
    { name: 'packEntry, a batch', ...whole, run: pack },
    ...['native', 'pure'].flatMap((kind) => compressionCases(kind, raw, whole)),
    ...decompressionCases(raw, whole),
    { name: 'encodeBatch, not compressed', ...whole, run: () => encodeBatch(raw, 0, target, 0, undefined) },
    { name: 'crc32, a batch', ...whole, entries: 0, run: () => crc32(payload) },
    { name: 'EntryCursor walk', ...whole, run: walk },
    { name: 'EntryCursor walk with views', ...whole, run: views },
    { name: 'verifyEntries', ...whole, run: () => verifyEntries(payload, 0, rawLength, count, rawLength) },
  ];
}

/** Nothing where the native module is not installed. */
function compressionCases(kind, raw, whole) {
  let compression;
  try {
    compression = loadCompression(kind);
  } catch {
    return [];
  }
  const compressor = new Compressor(compression, 'always');
  const target = Buffer.alloc(raw.length);
  const encode = () => encodeBatch(raw, 0, target, 0, compressor);
  return [{ name: `encodeBatch, ${kind} LZ4`, ...whole, run: encode }];
}

/** Both ways in which a node decompresses, on what the same compressor made: TypeScript, and WebAssembly where it can be had. */
function decompressionCases(raw, whole) {
  const wasm = sharedWasmMemory(raw.length + whole.bytes);
  if (wasm === undefined) return [];
  const stored = Buffer.from(wasm.buffer, 0, raw.length);
  const room = Buffer.from(wasm.buffer, raw.length, whole.bytes);
  const length = encodeBatch(raw, 0, stored, 0, new Compressor(loadCompression(), 'always'));
  const header = verifyBatch(stored, 0, length, CEILING_LIMITS);
  const ways = {
    pure: loadCompression(),
    WebAssembly: loadCompression('auto', wasmDecompressor(wasm.buffer, wasm)),
  };
  return Object.entries(ways).map(([way, compression]) => {
    const decode = () => decodePayload(stored, 0, header, compression, room);
    return { name: `decodePayload, ${way} LZ4`, ...whole, run: decode };
  });
}
