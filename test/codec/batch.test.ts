import { Builder, ByteBuffer } from 'flatbuffers';
import { describe, expect, it } from 'vitest';
import { SAFE_MAX } from '../../src/base/ids.js';
import { type BatchHeader, BatchKind, Codec } from '../../src/base/messages.js';
import { seededRandom } from '../../src/base/prng.js';
import {
  BATCH_PAYLOAD_OFFSET,
  CEILING_LIMITS,
  readBatchHeader,
  sealBatch,
  verifyBatch,
  writeBatchHead,
} from '../../src/codec/batch.js';
import { crc32 } from '../../src/codec/checksum.js';
import { Batch } from '../../src/codec/generated/batch.js';
import { BatchHeader as FlatHeader } from '../../src/codec/generated/batch-header.js';
import { expectHarmless, expectRefused, mutate, packEntries, sampleBatch, sampleHeader } from './samples.js';

const ONE = packEntries([Buffer.from('hello')]);

/** What flatc's own code makes of the same header and payload. */
function builtByFlatc(header: BatchHeader, payload: Uint8Array): Buffer {
  const builder = new Builder(256);
  const vector = builder.createByteVector(payload);
  Batch.startBatch(builder);
  const { checksum, byteLength, formatVersion, kind, codec, flags, group, count, rawLength } = header;
  const struct = FlatHeader.createBatchHeader(
    builder,
    checksum,
    byteLength,
    formatVersion,
    kind,
    codec,
    flags,
    group,
    BigInt(header.term),
    BigInt(header.firstIndex),
    BigInt(header.prevTerm),
    BigInt(header.leaderTimeMs),
    count,
    rawLength,
  );
  Batch.addHeader(builder, struct);
  Batch.addPayload(builder, vector);
  Batch.finishBatchBuffer(builder, Batch.endBatch(builder));
  return Buffer.from(builder.asUint8Array());
}

function verify(bytes: Buffer, limits = CEILING_LIMITS): BatchHeader {
  return verifyBatch(bytes, 0, bytes.length, limits);
}

describe('the bytes of a batch', () => {
  it('are these, and stay so', () => {
    const batch = sampleBatch(ONE);
    const golden = [
      '10000000524c4231080040000800040008000000' + '3c000000', // prefix
      'b5364f69' + '5d000000' + '01010000' + '07000000', // checksum, length, version kind codec flags, group
      '0300000000000000' + '0900000000000000' + '0200000000000000', // term, first index, previous term
      '7b68e5cf8b010000' + '01000000' + '09000000', // leader's time, count, raw length
      '09000000' + '28000000' + '68656c6c6f', // payload: one entry of five bytes
    ].join('');
    expect(batch.toString('hex')).toBe(golden);
  });

  it('are what flatc makes, byte for byte, where its builder pads nothing', () => {
    for (const length of [4, 12, 20, 1004]) {
      const payload = Buffer.alloc(length, 0xab);
      const header = sampleHeader(payload, {
        term: 2 ** 40 + 5,
        firstIndex: SAFE_MAX - 9,
        prevTerm: 2 ** 33,
      });
      const batch = sampleBatch(payload, header);
      const checksum = batch.readUInt32LE(24);
      expect(batch.toString('hex')).toBe(builtByFlatc({ ...header, checksum }, payload).toString('hex'));
    }
  });

  it('read the same through the generated code, for every payload length', () => {
    for (let length = 0; length < 40; length++) {
      const payload = Buffer.from(Array.from({ length }, (_, at) => at + 1));
      const header = sampleHeader(payload, { group: 0xffff_fffe, term: SAFE_MAX, flags: 1 });
      const batch = sampleBatch(payload, header);
      expect(batch.length).toBe(84 + length);
      const flat = Batch.getRootAsBatch(new ByteBuffer(batch));
      const read = flat.header()!;
      expect(Buffer.from(flat.payloadArray()).equals(payload)).toBe(true);
      expect({
        formatVersion: read.formatVersion(),
        group: read.group(),
        kind: read.kind(),
        flags: read.flags(),
        term: Number(read.term()),
        firstIndex: Number(read.firstIndex()),
        count: read.count(),
        prevTerm: Number(read.prevTerm()),
        codec: read.codec(),
        rawLength: read.rawLength(),
        byteLength: read.byteLength(),
        leaderTimeMs: Number(read.leaderTimeMs()),
        checksum: read.checksum(),
      }).toEqual(readBatchHeader(batch, 0));
    }
  });

  it('come back as the header that was written, at any offset and in shared memory', () => {
    const header = sampleHeader(ONE, { term: 2 ** 52 + 1, leaderTimeMs: SAFE_MAX, kind: BatchKind.Session });
    const shared = Buffer.from(new SharedArrayBuffer(300)).fill(0xee);
    writeBatchHead(shared, 101, header);
    shared.set(ONE, 101 + BATCH_PAYLOAD_OFFSET);
    const checksum = sealBatch(shared, 101, header.byteLength);
    expect(checksum).toBe(crc32(shared.subarray(101 + 28, 101 + header.byteLength)));
    expect(verifyBatch(shared, 101, header.byteLength, CEILING_LIMITS)).toEqual({ ...header, checksum });
    expect(shared[100]).toBe(0xee);
    expect(shared[101 + header.byteLength]).toBe(0xee);
  });

  it('take the bootstrap batch: index 1, term 1, nothing before', () => {
    const changes = { firstIndex: 1, term: 1, prevTerm: 0, kind: BatchKind.Configuration };
    expect(verify(sampleBatch(ONE, changes))).toMatchObject(changes);
  });
});

describe('S6 a damaged batch', () => {
  it('is refused at every truncation', () => {
    const batch = sampleBatch(ONE);
    for (let length = 0; length < batch.length; length++) {
      expectRefused(() => verify(batch.subarray(0, length)));
      expectRefused(() => verifyBatch(batch, 0, length, CEILING_LIMITS));
    }
  });

  it('is refused with any single bit flipped', () => {
    const batch = sampleBatch(ONE);
    for (let bit = 0; bit < batch.length * 8; bit++) {
      const flipped = Buffer.from(batch);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expectRefused(() => verify(flipped));
    }
  });

  it('is refused when it claims more bytes than there are, before they are read', () => {
    const batch = sampleBatch(ONE);
    batch.writeUInt32LE(0xffff_ffff, 28);
    expectRefused(() => verify(batch), /byteLength: expected 84 to 93, received 4294967295/);
    expectRefused(() => verifyBatch(batch, 0, 0xffff_ffff, CEILING_LIMITS), /byteLength/);
  });

  it('costs nothing but a refusal when the checksum was made to fit (by seed)', () => {
    const payload = packEntries([Buffer.from('a'), Buffer.alloc(20, 1)]);
    for (let seed = 1; seed <= 4000; seed++) {
      const random = seededRandom(seed);
      const batch = sampleBatch(payload, { count: 2 });
      mutate(random, batch, 0, batch.length);
      const claimed = batch.readUInt32LE(28);
      if (claimed >= 84 && claimed <= batch.length) sealBatch(batch, 0, claimed);
      expectHarmless(
        () => {
          const header = verify(batch);
          expect(header.byteLength).toBeLessThanOrEqual(batch.length);
          expect(header.rawLength).toBe(header.byteLength - 84);
        },
        `seed ${seed}: ${batch.toString('hex')}`,
      );
    }
  });

  it('has its prefix held against the constant although the checksum does not cover it', () => {
    const batch = sampleBatch(ONE);
    batch[0] = 20;
    expectRefused(() => verify(batch), /batch prefix/);
  });
});

describe('a batch whose checksum is right but which means nothing', () => {
  const wrong: [string, Partial<BatchHeader>, RegExp][] = [
    ['a format of the future', { formatVersion: 2 }, /formatVersion: expected 1 to 1, received 2/],
    ['format 0', { formatVersion: 0 }, /formatVersion/],
    ['kind 0', { kind: 0 as BatchKind }, /kind: expected 1 to 4/],
    ['kind 5', { kind: 5 as BatchKind }, /kind/],
    ['an unknown codec', { codec: 3 as Codec }, /codec: expected 0 to 2/],
    ['an unknown flag', { flags: 2 }, /flags/],
    ['group 0', { group: 0 }, /group/],
    ['term 0', { term: 0, prevTerm: 0, firstIndex: 1 }, /batch term/],
    ['index 0', { firstIndex: 0, prevTerm: 0 }, /firstIndex/],
    ['a previous term above its own', { term: 3, prevTerm: 4 }, /prevTerm: expected at most the term 3/],
    ['no previous term in the middle of the log', { prevTerm: 0 }, /prevTerm: expected at least 1/],
    ['a previous term before the first entry', { firstIndex: 1 }, /prevTerm: expected 0/],
    ['no entries', { count: 0 }, /count: expected 1/],
    ['more entries than have room', { count: 3 }, /rawLength: expected 12/],
    ['a no-op of two', { kind: BatchKind.NoOp, count: 2 }, /count: expected 1 to 1/],
    ['a configuration of two', { kind: BatchKind.Configuration, count: 2 }, /count: expected 1 to 1/],
    ['a raw length that is not its length', { rawLength: 10 }, /rawLength \(not compressed\)/],
    ['compressed to no less', { codec: Codec.Lz4 }, /payload length \(compressed\): expected less than 9/],
    ['a last index beyond all numbers', { firstIndex: SAFE_MAX, count: 2 }, /last index/],
  ];
  it.each(wrong)('is refused: %s', (_, changes, message) => {
    expectRefused(() => verify(sampleBatch(ONE, changes)), message);
  });

  it('is refused: a number above 2^53 - 1', () => {
    for (const at of [40, 48, 56, 64]) {
      const batch = sampleBatch(ONE);
      batch.writeUInt32LE(0x20_0000, at + 4);
      sealBatch(batch, 0, batch.length);
      expectRefused(() => verify(batch), /at most 2\^53 - 1/);
    }
  });

  it('is refused: a payload vector of another length than the batch leaves it', () => {
    const batch = sampleBatch(ONE);
    batch.writeUInt32LE(ONE.length + 1, 80);
    sealBatch(batch, 0, batch.length);
    expectRefused(() => verify(batch), /payload length: expected 9, received 10/);
  });

  it('S4 is taken at a limit and refused one above and absurdly above', () => {
    const two = packEntries([Buffer.from('ab'), Buffer.from('c')]);
    const batch = sampleBatch(two, { count: 2 });
    expect(verify(batch, { rawBytesMax: two.length, entriesMax: 2 }).count).toBe(2);
    expectRefused(() => verify(batch, { rawBytesMax: two.length - 1, entriesMax: 2 }), /rawLength/);
    expectRefused(() => verify(batch, { rawBytesMax: two.length, entriesMax: 1 }), /count: expected 1 to 1/);
    const forged = { codec: Codec.Lz4, rawLength: 0xffff_ffff };
    expectRefused(() => verify(sampleBatch(two, forged)), /rawLength: expected 4 to 67108928/);
  });
});
