import { deflateRawSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { type BatchHeader, Codec } from '../../src/base/messages.js';
import { seededRandom } from '../../src/base/prng.js';
import { BATCH_PAYLOAD_OFFSET, CEILING_LIMITS, verifyBatch } from '../../src/codec/batch.js';
import { type Compression, loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import { decodePayload, encodeBatch, encodedBytesMax } from '../../src/codec/encoder.js';
import { expectRefused, jsonLike, packEntries, randomBytes, sampleBatch } from './samples.js';

const PURE = loadCompression('pure');
const NATIVE = loadCompression('native');

interface Stored {
  bytes: Buffer;
  header: BatchHeader;
}

/** Encodes one entry as main would: a raw batch somewhere in a ring, into a slot with just the promised room. */
function store(entry: Buffer, lz4: Compression | undefined, codec: Codec = Codec.Lz4): Stored {
  const payload = packEntries([entry]);
  const batch = sampleBatch(payload, { codec });
  const raw = Buffer.concat([Buffer.alloc(11, 0xaa), batch, Buffer.alloc(5, 0xaa)]);
  const before = Buffer.from(raw);
  const slot = Buffer.alloc(8 + encodedBytesMax(payload.length) + 8, 0xbb);
  const room = slot.subarray(0, slot.length - 8);
  const written = encodeBatch(raw, 11, room, 8, lz4 && new Compressor(lz4, 'always'));
  expect(raw.equals(before), 'the raw batch is only read').toBe(true);
  expect(slot.subarray(0, 8).equals(Buffer.alloc(8, 0xbb))).toBe(true);
  expect(slot.subarray(-8).equals(Buffer.alloc(8, 0xbb))).toBe(true);
  const bytes = slot.subarray(8, 8 + written);
  const header = verifyBatch(bytes, 0, written, CEILING_LIMITS);
  expect(header).toMatchObject({
    byteLength: written,
    rawLength: payload.length,
    term: 3,
    firstIndex: 9,
    count: 1,
  });
  return { bytes, header };
}

/** A batch whose payload claims `codec` and `rawLength`, with a right checksum. */
function forge(payload: Buffer, codec: Codec, rawLength: number): Stored {
  const bytes = sampleBatch(payload, { codec, rawLength });
  return { bytes, header: verifyBatch(bytes, 0, bytes.length, CEILING_LIMITS) };
}

describe('encoding a batch', () => {
  it('keeps it as it is without a compressor', () => {
    const entry = jsonLike(seededRandom(1), 5000);
    const { bytes, header } = store(entry, undefined);
    expect(header.codec).toBe(Codec.None);
    expect(bytes.equals(sampleBatch(packEntries([entry])))).toBe(true);
  });

  it.each([
    ['pure LZ4', PURE, Codec.Lz4],
    ['native LZ4', NATIVE, Codec.Lz4],
    ['deflate', PURE, Codec.Deflate],
  ] as const)('compresses what compresses and gives it back: %s', (_, compression, codec) => {
    for (const length of [252, 5000, 300_000]) {
      const entry = jsonLike(seededRandom(length), length);
      const { bytes, header } = store(entry, compression, codec);
      expect(header.codec).toBe(codec);
      expect(header.byteLength).toBeLessThan(header.rawLength);
      for (const reader of [PURE, NATIVE]) {
        const shifted = Buffer.concat([Buffer.alloc(3), bytes]);
        expect(decodePayload(shifted, 3, header, reader).equals(packEntries([entry]))).toBe(true);
        const target = Buffer.alloc(header.rawLength + 4, 0xcc);
        const payload = decodePayload(bytes, 0, header, reader, target);
        expect(payload.equals(packEntries([entry]))).toBe(true);
        expect(payload.buffer).toBe(target.buffer);
        expect(target.subarray(-4).equals(Buffer.alloc(4, 0xcc))).toBe(true);
      }
    }
  });

  it('keeps raw what is small, and what saves less than a sixteenth', () => {
    expect(store(Buffer.alloc(251), PURE).header.codec).toBe(Codec.None);
    expect(store(Buffer.alloc(252), PURE).header.codec).toBe(Codec.Lz4);
    for (const compression of [PURE, NATIVE]) {
      expect(store(randomBytes(seededRandom(2), 5000), compression).header.codec).toBe(Codec.None);
      const mostlyNoise = Buffer.concat([randomBytes(seededRandom(3), 15_300), Buffer.alloc(700)]);
      expect(store(mostlyNoise, compression).header.codec).toBe(Codec.None);
      const lessNoise = Buffer.concat([randomBytes(seededRandom(3), 14_000), Buffer.alloc(2000)]);
      expect(store(lessNoise, compression).header.codec).toBe(Codec.Lz4);
    }
    expect(store(randomBytes(seededRandom(2), 5000), PURE, Codec.Deflate).header.codec).toBe(Codec.None);
  });

  it('S6 works over shared memory on both sides', () => {
    const raw = sampleBatch(packEntries([jsonLike(seededRandom(6), 4000)]), { codec: Codec.Lz4 });
    const ring = Buffer.from(new SharedArrayBuffer(16_384));
    ring.set(raw, 100);
    for (const compression of [PURE, NATIVE]) {
      const written = encodeBatch(ring, 100, ring, 8000, new Compressor(compression, 'always'));
      const header = verifyBatch(ring, 8000, written, CEILING_LIMITS);
      expect(header.codec).toBe(Codec.Lz4);
      const payload = decodePayload(ring, 8000, header, compression);
      expect(payload.equals(raw.subarray(BATCH_PAYLOAD_OFFSET))).toBe(true);
    }
  });
});

describe('S5 decoding a payload', () => {
  it('is a view where nothing is compressed', () => {
    const { bytes, header } = store(Buffer.from('as it is'), PURE);
    expect(decodePayload(bytes, 0, header, PURE).buffer).toBe(bytes.buffer);
  });

  it('refuses a length in front of the block that is not the header’s, before decompressing', () => {
    const block = Buffer.alloc(2000);
    const payload = Buffer.from(block.subarray(0, PURE.compressLz4(Buffer.alloc(1500), block)));
    for (const compression of [PURE, NATIVE]) {
      const { bytes, header } = forge(payload, Codec.Lz4, 1501);
      expectRefused(
        () => decodePayload(bytes, 0, header, compression),
        /LZ4 raw length: expected 1501, received 1500/,
      );
    }
  });

  it('refuses a deflate stream that makes more, less, or nothing sensible', () => {
    const stream = deflateRawSync(Buffer.alloc(1500));
    const right = forge(stream, Codec.Deflate, 1500);
    expect(decodePayload(right.bytes, 0, right.header, PURE).equals(Buffer.alloc(1500))).toBe(true);
    for (const rawLength of [1499, 1501, 60_000]) {
      const { bytes, header } = forge(stream, Codec.Deflate, rawLength);
      expectRefused(() => decodePayload(bytes, 0, header, PURE), /deflate/);
    }
    const noise = forge(Buffer.from('ffffffff', 'hex'), Codec.Deflate, 1500);
    expectRefused(() => decodePayload(noise.bytes, 0, noise.header, PURE), /deflate stream/);
  });

  it('does not inflate a bomb', () => {
    const { bytes, header } = forge(deflateRawSync(Buffer.alloc(50_000_000)), Codec.Deflate, 60_000);
    expectRefused(() => decodePayload(bytes, 0, header, PURE), /deflate stream/);
  });
});

describe('loading the compressor', () => {
  afterEach(() => {
    vi.doUnmock('node:module');
    vi.resetModules();
  });

  it('prefers the native one, and is asked for the pure one by name', () => {
    expect(loadCompression()).toMatchObject({
      native: true,
      implementations: { compressor: 'lz4-napi', decompressor: 'pure' },
    });
    expect(loadCompression('pure', () => false)).toMatchObject({
      native: false,
      implementations: { compressor: 'pure', decompressor: 'webassembly' },
    });
  });

  it('falls back to the pure one where the binding is missing, but not when the native one was asked for', async () => {
    vi.resetModules();
    vi.doMock('node:module', () => ({
      createRequire: () => () => {
        throw new Error('no binding for this machine');
      },
    }));
    const fresh = await import('../../src/codec/compression.js');
    expect(fresh.loadCompression().native).toBe(false);
    const refused = expect.objectContaining({ code: ErrorCode.OptionInvalid });
    expect(() => fresh.loadCompression('native')).toThrow(refused);
    expect(() => fresh.loadCompression('native')).toThrow(/no binding for this machine/);
  });
});
