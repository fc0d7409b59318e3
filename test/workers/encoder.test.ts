import { describe, expect, it } from 'vitest';
import { Codec } from '../../src/base/messages.js';
import { seededRandom } from '../../src/base/prng.js';
import { CEILING_LIMITS, readBatchHeader, verifyBatch } from '../../src/codec/batch.js';
import { type Compression, loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import { decodePayload } from '../../src/codec/encoder.js';
import { RingConsumer } from '../../src/ring/consumer.js';
import { Encoder } from '../../src/workers/encoder.js';
import { jsonLike, packEntries, randomBytes, sampleBatch } from '../codec/samples.js';
import { makeCursor, putBytes, ringPair, takeAll } from './parts.js';

const pure = loadCompression('pure');

function makeEncoder(lz4: Compression | undefined, capacity = 65_536, proposalsCapacity = 65_536) {
  const compressor = lz4 === undefined ? undefined : new Compressor(lz4, 'always');
  const proposals = ringPair(proposalsCapacity, 2);
  const batches = ringPair(capacity);
  const counters = {
    batches: makeCursor(),
    compressions: makeCursor(),
    compressed: makeCursor(),
    rawBytes: makeCursor(),
    storedBytes: makeCursor(),
  };
  const state = { wakes: 0, wakesOfMain: 0 };
  const ports = { proposals: proposals.consumer, batches: batches.producer, compressor, counters };
  const encoder = new Encoder({ ...ports, wake: () => state.wakes++, wakeMain: () => state.wakesOfMain++ });
  return { encoder, proposals, batches, counters, state };
}

/** What main publishes: the codec is the one that may be used, and the checksum is not there yet. */
function proposal(payload: Buffer, firstIndex: number, codec: Codec = Codec.Lz4): Buffer {
  const batch = sampleBatch(payload, { firstIndex, codec });
  batch.writeUInt32LE(0, 24);
  return batch;
}

describe('the encoder', () => {
  it.each([
    ['small', 1000, 4],
    ['of 400 KB', 400_000, 3],
    ['of more than a MiB', 1_100_000, 1],
  ])('lets its neighbours on the thread have their turn: batches %s', (_what, bytes, atOnce) => {
    const { encoder, proposals, counters } = makeEncoder(undefined, 1 << 23, 1 << 23);
    for (let index = 1; index <= 5; index++)
      putBytes(proposals.producer, proposal(packEntries([Buffer.alloc(bytes)]), index));
    encoder.poll();
    expect(counters.batches.load()).toBe(atOnce);
    while (encoder.poll());
    expect(counters.batches.load()).toBe(5);
  });

  it('seals batches in the order of the proposals, compressed where that saves, and counts', () => {
    const random = seededRandom(1);
    const { encoder, proposals, batches, counters, state } = makeEncoder(pure);
    const payloads = [jsonLike(random, 3000), randomBytes(random, 3000), jsonLike(random, 20)].map((entry) =>
      packEntries([entry]),
    );
    payloads.forEach((payload, at) => {
      putBytes(proposals.producer, proposal(payload, at + 9));
    });
    expect(encoder.poll()).toBe(true);
    expect(encoder.poll()).toBe(false);
    const stored = takeAll(batches.consumer);
    const headers = stored.map((batch) => verifyBatch(batch, 0, batch.length, CEILING_LIMITS));
    expect(headers.map(({ firstIndex }) => firstIndex)).toEqual([9, 10, 11]);
    expect(headers.map(({ codec }) => codec)).toEqual([Codec.Lz4, Codec.None, Codec.None]);
    stored.forEach((batch, at) => {
      expect(decodePayload(batch, 0, headers[at]!, pure).equals(payloads[at]!)).toBe(true);
    });
    expect(counters.batches.load()).toBe(3);
    expect(counters.compressions.load(), 'the third is too small to be tried').toBe(2);
    expect(counters.compressed.load()).toBe(1);
    expect(counters.rawBytes.load()).toBe(payloads.reduce((sum, { length }) => sum + 84 + length, 0));
    expect(counters.storedBytes.load()).toBe(stored.reduce((sum, { length }) => sum + length, 0));
    expect([state.wakes, state.wakesOfMain]).toEqual([1, 0]);
  });

  it('wakes main only where main may have been waiting for room', () => {
    const { encoder, proposals, batches, state } = makeEncoder(undefined);
    const batch = proposal(packEntries([randomBytes(seededRandom(1), 20_000)]), 1);
    const encode = (count: number) => {
      for (let made = 0; made < count; made++) putBytes(proposals.producer, batch);
      while (encoder.poll()) takeAll(batches.consumer);
      return state.wakesOfMain;
    };
    expect(encode(1)).toBe(0);
    expect(encode(2)).toBe(1);
  });

  it('uses the codec that main allows for the batch', () => {
    const { encoder, proposals, batches } = makeEncoder(pure);
    const payload = packEntries([Buffer.alloc(4000, 7)]);
    for (const codec of [Codec.None, Codec.Deflate, Codec.Lz4]) {
      putBytes(proposals.producer, proposal(payload, 9, codec));
    }
    while (encoder.poll());
    const codecs = takeAll(batches.consumer).map((batch) => readBatchHeader(batch, 0).codec);
    expect(codecs).toEqual([Codec.None, Codec.Deflate, Codec.Lz4]);
  });

  it('with a full batch ring it keeps the proposal, and main feels it', () => {
    const { encoder, proposals, batches, counters } = makeEncoder(undefined, 4096);
    const payload = packEntries([Buffer.alloc(1500)]);
    for (let index = 9; index < 15; index++) putBytes(proposals.producer, proposal(payload, index));
    const held = () => proposals.producer.position - proposals.consumer.position;
    while (encoder.poll());
    expect(counters.batches.load(), 'as many as fit').toBe(2);
    expect(encoder.poll()).toBe(false);
    expect(held()).toBeGreaterThan(0);
    const indexes: number[] = [];
    for (let round = 0; round < 6; round++) {
      for (const batch of takeAll(batches.consumer)) indexes.push(readBatchHeader(batch, 0).firstIndex);
      while (encoder.poll());
    }
    expect(indexes).toEqual([9, 10, 11, 12, 13, 14]);
  });

  it('shares the work with others: batches in turn, each in a ring of its own, and none holds the proposals up', () => {
    const { region: proposals, producer } = ringPair(16_384, 3);
    const applier = new RingConsumer(proposals, 1);
    const made = [0, 1].map((at) => {
      const batches = ringPair(65_536);
      const { counters } = makeEncoder(undefined);
      const consumer = new RingConsumer(proposals, at === 0 ? 0 : 2);
      const ports = { proposals: consumer, batches: batches.producer, compressor: undefined, counters };
      const quiet = { wake: () => {}, wakeMain: () => {} };
      return { batches, encoder: new Encoder({ ...ports, ...quiet, share: { at, of: 2 } }) };
    });
    const payload = packEntries([Buffer.alloc(1500)]);
    const found: number[][] = [[], []];
    for (let index = 9; index < 39; index++) {
      putBytes(producer, proposal(payload, index));
      applier.poll();
      applier.release();
      // The second one is late now and then.
      for (const [at, { encoder, batches }] of made.entries()) {
        if (at === 1 && index % 3 !== 2) continue;
        while (encoder.poll());
        for (const batch of takeAll(batches.consumer)) found[at]!.push(readBatchHeader(batch, 0).firstIndex);
      }
    }
    expect(producer.freeBytes(), 'what is not its own holds nobody up').toBe(16_384);
    expect(found[0]).toEqual(Array.from({ length: 15 }, (_, at) => 9 + 2 * at));
    expect(found[1]).toEqual(Array.from({ length: 15 }, (_, at) => 10 + 2 * at));
  });

  it('does a bounded piece of work in one poll', () => {
    const { encoder, proposals, counters } = makeEncoder(undefined);
    for (let index = 9; index < 29; index++)
      putBytes(proposals.producer, proposal(packEntries([Buffer.alloc(8)]), index));
    encoder.poll();
    expect(counters.batches.load()).toBe(4);
  });
});
