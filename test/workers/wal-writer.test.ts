import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { readBatchHeader } from '../../src/codec/batch.js';
import { Encoder } from '../../src/workers/encoder.js';
import { orderCodec } from '../../src/workers/records.js';
import { WalWriter } from '../../src/workers/wal-writer.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { makeBatch, openLog } from '../wal/log-tools.js';
import { expectCode, makeCursor, putBytes, ringPair } from './parts.js';

const DIRECTORY = '/data';

type Order = Parameters<typeof orderCodec.push>[1];

/** A wal-writer over a disk in memory, with small rings. */
function makeWriter(options: { delay?: number; ring?: number; rings?: number } = {}) {
  const disk = new FaultyDisk(1);
  const { wal } = openLog(disk, DIRECTORY);
  if (options.delay !== undefined) disk.faults.delay = options.delay;
  const orders = ringPair();
  const batches = ringPair(options.ring);
  const more = Array.from({ length: (options.rings ?? 1) - 1 }, () => ringPair(options.ring));
  const received = ringPair(options.ring);
  const durable = makeCursor();
  const counts = { wakes: 0, tells: 0, reports: 0 };
  const writer = new WalWriter({
    wal,
    orders: orders.consumer,
    batches: batches.consumer,
    moreBatches: more.map(({ consumer }) => consumer),
    received: received.consumer,
    durable,
    report: () => counts.reports++,
    tell: () => counts.tells++,
    wake: () => counts.wakes++,
  });
  const order = (record: Order) => expect(orderCodec.push(orders.producer, record)).toBe(true);
  const own = (order_: number, batch: Buffer, type: 'own' | 'received' = 'own') => {
    const { firstIndex, term, group } = readBatchHeader(batch, 0);
    order({ type, order: order_, group, firstIndex, term });
  };
  const settle = () => {
    for (let polls = 0; polls < 1000; polls++)
      if (!writer.poll() && durable.load() >= 0 && polls > 50) return;
  };
  /** What a restart finds. */
  const recovered = () => {
    disk.restart();
    return openLog(disk, DIRECTORY).recovered.get(1)!;
  };
  return { disk, wal, writer, order, own, settle, batches, more, received, durable, counts, recovered };
}

describe('the wal-writer', () => {
  it('H1 executes orders strictly in their order, term and vote among them, and an own one waits for its batch', () => {
    const { writer, order, own, settle, batches, durable, recovered } = makeWriter();
    const [first, second] = [makeBatch({ firstIndex: 1, term: 1 }), makeBatch({ firstIndex: 2, term: 1 })];
    order({ type: 'hardState', order: 1, group: 1, term: 1, vote: 3 });
    own(2, first);
    order({ type: 'hardState', order: 3, group: 1, term: 2, vote: 5 });
    own(4, second);
    settle();
    expect(durable.load(), 'the encoder has not published the first batch').toBe(1);
    expect(writer.poll()).toBe(false);
    putBytes(batches.producer, first);
    settle();
    expect(durable.load(), 'the second batch is still missing').toBe(3);
    putBytes(batches.producer, second);
    settle();
    expect(durable.load()).toBe(4);
    expect(recovered()).toMatchObject({ hardState: { term: 2, vote: 5 }, lastIndex: 2 });
  });

  it('takes the batches of several encoders in turn, however far one is ahead, and gives each ring back', () => {
    const { own, settle, batches, more, durable, recovered } = makeWriter({ rings: 3, ring: 4096 });
    const rings = [batches, ...more];
    let index = 0;
    for (let round = 0; round < 30; round++) {
      const made = Array.from({ length: 4 }, () =>
        makeBatch({ firstIndex: ++index, term: 1, entryBytes: 300 }),
      );
      const start = index - made.length;
      for (const [at, batch] of made.entries()) own(start + at + 1, batch);
      // The last encoder is done first.
      for (const [at, batch] of [...made.entries()].reverse()) {
        if (at < 3) putBytes(rings[(start + at) % 3]!.producer, batch);
      }
      putBytes(rings[(start + 3) % 3]!.producer, made[3]!);
      settle();
      expect(durable.load()).toBe(index);
    }
    expect(recovered().lastIndex).toBe(120);
  });

  it('H31 gives slots back once they are written, and says durable only after the sync', () => {
    const { disk, writer, own, batches, durable, counts } = makeWriter({ delay: 4 });
    const batch = makeBatch({ firstIndex: 1 });
    putBytes(batches.producer, batch);
    own(1, batch);
    const { writes, syncs } = disk;
    const start = batches.producer.holdsFrom();
    const seen: string[] = [];
    for (let polls = 0; polls < 40 && durable.load() === 0; polls++) {
      writer.poll();
      const freed = batches.producer.holdsFrom() > start;
      if (freed) expect(disk.writes, 'a slot that was given back is in the file').toBe(writes + 1);
      if (durable.load() > 0) expect(disk.syncs, 'what is durable was synced').toBe(syncs + 1);
      seen.push(`${freed ? 'freed' : 'held'} ${durable.load() > 0 ? 'durable' : 'not yet'}`);
    }
    expect([...new Set(seen)]).toEqual(['held not yet', 'freed not yet', 'freed durable']);
    expect(counts.wakes, 'nobody waited for room').toBe(0);
    expect(counts.tells).toBe(1);
    expect(counts.reports).toBe(1);
  });

  it('wakes for room before the sync only where somebody may have been waiting for it', () => {
    for (const { entryBytes, wakes } of [
      { entryBytes: 900, wakes: 1 },
      { entryBytes: 100, wakes: 0 },
    ]) {
      const { writer, own, batches, durable, counts } = makeWriter({ delay: 4, ring: 4096 });
      const start = batches.producer.holdsFrom();
      for (let index = 1; index <= 3; index++) {
        const batch = makeBatch({ firstIndex: index, entryBytes });
        putBytes(batches.producer, batch);
        own(index, batch);
      }
      while (batches.producer.holdsFrom() === start) writer.poll();
      expect([counts.wakes, durable.load()], `entries of ${entryBytes} bytes`).toEqual([wakes, 0]);
    }
  });

  it('takes everything that waits into one write and one sync', () => {
    const { disk, own, settle, batches, durable } = makeWriter();
    const { writes, syncs } = disk;
    for (let index = 1; index <= 50; index++) {
      const batch = makeBatch({ firstIndex: index });
      putBytes(batches.producer, batch);
      own(index, batch);
    }
    settle();
    expect(durable.load()).toBe(50);
    expect([disk.writes - writes, disk.syncs - syncs]).toEqual([1, 1]);
  });

  it('what comes during a flush is not durable with it', () => {
    const { writer, own, batches, durable, disk } = makeWriter({ delay: 3 });
    const [first, second] = [makeBatch({ firstIndex: 1 }), makeBatch({ firstIndex: 2 })];
    putBytes(batches.producer, first);
    own(1, first);
    writer.poll();
    putBytes(batches.producer, second);
    own(2, second);
    const seen = new Set<number>();
    for (let polls = 0; polls < 60; polls++) {
      writer.poll();
      seen.add(durable.load());
    }
    expect([...seen]).toEqual([0, 1, 2]);
    expect(disk.syncs).toBeGreaterThanOrEqual(2);
  });

  it('T2 gives a dropped batch back unwritten', () => {
    const { order, own, settle, received, durable, recovered } = makeWriter();
    const stale = makeBatch({ firstIndex: 9, term: 1 });
    const good = makeBatch({ firstIndex: 1, term: 2 });
    for (const batch of [stale, good, stale]) putBytes(received.producer, batch);
    order({ type: 'drop', group: 1 });
    settle();
    expect(received.producer.freeBytes(), 'nothing was staged: at once').toBeLessThan(65_536);
    expect(received.producer.holdsFrom()).toBeGreaterThan(0);
    own(1, good, 'received');
    order({ type: 'drop', group: 1 });
    settle();
    expect(durable.load()).toBe(1);
    expect(received.producer.freeBytes(), 'the ring is empty').toBe(65_536);
    expect(recovered()).toMatchObject({ lastIndex: 1, lastTerm: 2 });
  });

  it('a batch dropped behind one that is being written does not give that one back early', () => {
    const { writer, order, own, received, durable } = makeWriter({ delay: 5 });
    const good = makeBatch({ firstIndex: 1 });
    putBytes(received.producer, good);
    putBytes(received.producer, good);
    own(1, good, 'received');
    order({ type: 'drop', group: 1 });
    writer.poll();
    expect(received.producer.holdsFrom(), 'the write is still under way').toBe(0);
    for (let polls = 0; polls < 40; polls++) writer.poll();
    expect(durable.load()).toBe(1);
    expect(received.producer.freeBytes()).toBe(65_536);
  });

  it('H21 truncates where it is told to, before what follows', () => {
    const { order, own, settle, received, durable, recovered } = makeWriter();
    for (let index = 1; index <= 5; index++) {
      const batch = makeBatch({ firstIndex: index, term: 1 });
      putBytes(received.producer, batch);
      own(index, batch, 'received');
    }
    order({ type: 'truncate', order: 6, group: 1, from: 4 });
    const other = makeBatch({ firstIndex: 4, term: 3, prevTerm: 1 });
    putBytes(received.producer, other);
    own(7, other, 'received');
    settle();
    expect(durable.load()).toBe(7);
    expect(recovered()).toMatchObject({ lastIndex: 4, lastTerm: 3 });
  });

  it('H75 a sync that failed ends it, and nothing is durable ever after, though the disk seems well again', () => {
    const { disk, writer, own, batches, durable } = makeWriter();
    const [first, second] = [makeBatch({ firstIndex: 1 }), makeBatch({ firstIndex: 2 })];
    putBytes(batches.producer, first);
    own(1, first);
    disk.faults.failSyncAt = disk.syncs + 1;
    expectCode(() => writer.poll(), ErrorCode.DiskFailed);
    putBytes(batches.producer, second);
    own(2, second);
    for (let again = 0; again < 5; again++) expectCode(() => writer.poll(), ErrorCode.DiskFailed);
    expect(durable.load()).toBe(0);
  });

  it('H80 a full disk ends it with its own code', () => {
    const { disk, writer, own, batches, durable } = makeWriter();
    const batch = makeBatch({ firstIndex: 1 });
    putBytes(batches.producer, batch);
    own(1, batch);
    disk.faults.failWriteAt = disk.writes + 1;
    expectCode(() => writer.poll(), ErrorCode.DiskFull);
    expect(durable.load()).toBe(0);
  });

  it('T2 refuses a batch that is not the one that was ordered', () => {
    const { writer, order, batches } = makeWriter();
    putBytes(batches.producer, makeBatch({ firstIndex: 1, term: 1 }));
    order({ type: 'own', order: 1, group: 1, firstIndex: 1, term: 2 });
    expectCode(() => writer.poll(), ErrorCode.Internal);
  });

  it('behind a small ring the encoder waits, and nothing is lost or out of order', () => {
    const seed = 20;
    const random = seededRandom(seed);
    const { disk, writer, own, batches, durable, recovered } = makeWriter({ delay: 3, ring: 4096 });
    const proposals = ringPair(4096);
    const counters = {
      batches: makeCursor(),
      compressions: makeCursor(),
      compressed: makeCursor(),
      rawBytes: makeCursor(),
      storedBytes: makeCursor(),
    };
    const encoder = new Encoder({
      proposals: proposals.consumer,
      batches: batches.producer,
      compressor: undefined,
      counters,
      wake: () => {},
      wakeMain: () => {},
    });
    let next = 1;
    let waited = 0;
    for (let step = 0; step < 100_000 && durable.load() < 300; step++) {
      const choice = randomInteger(random, 0, 3);
      if (choice === 0 && next <= 300) {
        const batch = makeBatch({ firstIndex: next, entryBytes: randomInteger(random, 0, 900) });
        if (putBytes(proposals.producer, batch)) own(next++, batch);
        else waited++;
      } else if (choice === 1) encoder.poll();
      else writer.poll();
    }
    expect(durable.load(), `seed ${seed}`).toBe(300);
    expect(waited, 'the rings were full now and then').toBeGreaterThan(10);
    expect(counters.batches.load()).toBe(300);
    disk.restart();
    expect(recovered().lastIndex).toBe(300);
  });
});
