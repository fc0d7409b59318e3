import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { type BatchHeader, Codec, lastIndexOf } from '../../src/base/messages.js';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader } from '../../src/codec/batch.js';
import { type Compression, loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import { encodeBatch } from '../../src/codec/encoder.js';
import { wasmDecompressor } from '../../src/codec/lz4-wasm.js';
import { RingObserver } from '../../src/ring/byte-ring.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { Feeder } from '../../src/workers/feeder.js';
import {
  createEngineMemory,
  type EngineMemory,
  READ_BACK_BYTES,
  readBackOf,
} from '../../src/workers/memory.js';
import { NearIndex } from '../../src/workers/near-index.js';
import { jsonLike, packEntries, sampleBatch } from '../codec/samples.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { flushAll, makeBatch, openLog } from '../wal/log-tools.js';
import { endsOf, expectCode, putBytes, ringPair, takeAll } from './parts.js';

const pure = loadCompression('pure');

interface WorldOptions {
  ring?: number;
  entryBytesMax?: number;
  receiveRing?: number;
  /** Other groups wait behind what a group is fed. Default: there are none. */
  among?: boolean;
  segmentBytes?: number;
  /** Default: 1 and 2. */
  groups?: readonly number[];
  /** In place of what is made elsewhere. */
  memory?: EngineMemory;
  compression?: Compression;
}

function makeWorld(options: WorldOptions = {}) {
  const disk = new FaultyDisk(1);
  const { wal, index } = openLog(disk, '/data', {
    groups: options.groups ?? [1, 2],
    ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }),
  });
  const { memory } = options;
  const apply = memory === undefined ? ringPair(options.ring ?? 65_536) : endsOf(memory.rings.apply);
  const state = { wakes: 0, nowMs: 0 };
  const receive = ringPair(options.receiveRing ?? 65_536);
  const received = new NearIndex(new RingObserver(receive.region));
  /** As the receiver does; the wal-writer has had it and needs it no more. */
  const receiveBatch = (batch: Buffer) => {
    expect(putBytes(receive.producer, batch)).toBe(true);
    received.follow();
    takeAll(receive.consumer);
  };
  const feeder = new Feeder({
    received,
    reader: new LogReader(disk, '/data', index, memory && { room: readBackOf(memory) }),
    apply: apply.producer,
    compression: options.compression ?? pure,
    entryBytesMax: options.entryBytesMax ?? 1 << 20,
    alone: options.among !== true,
    wake: () => state.wakes++,
  });
  const write = (batch: Buffer) => {
    wal.stageBatch(readBatchHeader(batch, 0).group, batch);
    flushAll(wal);
  };
  const run = (count: number, group = 1) => {
    for (let index_ = 1; index_ <= count; index_++) write(makeBatch({ firstIndex: index_, group }));
  };
  /** What stands in the apply ring, taken. */
  const fed = () => takeAll(apply.consumer).map((batch) => readBatchHeader(batch, 0).firstIndex);
  const poll = () => feeder.poll(state.nowMs);
  const settle = () => {
    while (poll());
  };
  const ask = (group: number, from: number, to: number, term: number, urgent = 1) =>
    feeder.feed({ group, from, to, term, urgent });
  return { disk, feeder, ask, poll, write, run, fed, settle, apply, state, receiveBatch };
}

/** Bytes read from the disk from now on. */
function countReads(disk: FaultyDisk): () => number {
  let bytes = 0;
  const read = disk.read.bind(disk);
  disk.read = (...given) => {
    const count = read(...given);
    bytes += count;
    return count;
  };
  return () => bytes;
}

describe('the feeder', () => {
  it('T4 wakes main at once where somebody waits or more is to come, else after a while, unless other news do', () => {
    const { feeder, ask, poll, run, settle, state } = makeWorld({ ring: 4096 });
    run(100);
    ask(1, 1, 1, 1, 0);
    settle();
    expect([state.wakes, feeder.dueMs(0)], 'the last of what is wanted has time').toEqual([0, 5]);
    expect(feeder.dueMs(5), 'it was due then').toBe(Number.POSITIVE_INFINITY);
    state.nowMs = 4.9;
    poll();
    expect(state.wakes).toBe(0);
    state.nowMs = 5;
    poll();
    expect(state.wakes).toBe(1);
    feeder.told();
    expect(feeder.dueMs(5)).toBe(Number.POSITIVE_INFINITY);
    ask(1, 2, 2, 1, 1);
    settle();
    expect([state.wakes, feeder.dueMs(5)], 'urgent').toEqual([2, Number.POSITIVE_INFINITY]);
    ask(1, 3, 3, 1, 0);
    settle();
    feeder.told();
    state.nowMs = 50;
    poll();
    expect(state.wakes, 'main was woken for something else').toBe(2);
    ask(1, 4, 100, 1, 0);
    poll();
    expect(state.wakes, 'a first part of much').toBe(3);
  });

  it('feeds what it was asked for, whole and once', () => {
    const { ask, poll, run, fed, settle, state } = makeWorld();
    run(10);
    expect(poll(), 'nobody asked').toBe(false);
    ask(1, 3, 7, 1);
    settle();
    expect(fed()).toEqual([3, 4, 5, 6, 7]);
    expect(state.wakes).toBeGreaterThan(0);
    settle();
    expect(fed()).toEqual([]);
  });

  it('takes what still stands in the receive ring from there: the log is not read', () => {
    const { ask, fed, settle, receiveBatch } = makeWorld();
    // Nothing of it is in the log, which therefore cannot have been asked.
    for (let index = 1; index <= 5; index++) receiveBatch(makeBatch({ firstIndex: index }));
    ask(1, 1, 4, 1);
    settle();
    expect(fed(), 'not beyond what was asked for').toEqual([1, 2, 3, 4]);
  });

  it('goes to the log for what was overwritten in the receive ring, and back to the ring', () => {
    const { ask, write, fed, settle, receiveBatch } = makeWorld({ receiveRing: 4096 });
    for (let index = 1; index <= 40; index++) {
      const batch = makeBatch({ firstIndex: index });
      // The log lacks the last ones: they can come only from the ring.
      if (index <= 38) write(batch);
      receiveBatch(batch);
    }
    ask(1, 1, 40, 1);
    settle();
    expect(fed()).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
  });

  it('H21 a batch of another term that was received at the same place, and dropped, is not applied', () => {
    const { ask, write, settle, apply, receiveBatch } = makeWorld();
    write(makeBatch({ firstIndex: 1, term: 1 }));
    write(makeBatch({ firstIndex: 2, term: 2, prevTerm: 1 }));
    receiveBatch(makeBatch({ firstIndex: 1, term: 1 }));
    receiveBatch(makeBatch({ firstIndex: 2, term: 1, prevTerm: 1 }));
    ask(1, 1, 2, 2);
    settle();
    const terms = takeAll(apply.consumer).map((batch) => readBatchHeader(batch, 0).term);
    expect(terms).toEqual([1, 2]);
  });

  it('never jumps over what it has not fed, nor feeds twice, when main asks again meanwhile', () => {
    const { ask, poll, run, settle, fed } = makeWorld({ ring: 4096 });
    run(200);
    ask(1, 1, 100, 1);
    poll();
    const all = fed();
    expect(all.length).toBeLessThan(100);
    ask(1, all.length + 1, 200, 1);
    for (let round = 0; round < 100; round++) {
      settle();
      all.push(...fed());
    }
    expect(all).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
  });

  it('passes over what main has applied from nearer by', () => {
    const { ask, run, settle, fed } = makeWorld();
    run(60);
    ask(1, 1, 10, 1);
    settle();
    ask(1, 51, 60, 1);
    settle();
    expect(fed()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60]);
  });

  it('asked for more than is written it waits, and goes on by itself', () => {
    const { ask, run, write, settle, fed } = makeWorld();
    run(2);
    ask(1, 1, 4, 1);
    settle();
    expect(fed()).toEqual([1, 2]);
    write(makeBatch({ firstIndex: 3 }));
    write(makeBatch({ firstIndex: 4 }));
    settle();
    expect(fed()).toEqual([3, 4]);
  });

  it('in any order of asking, feeding and taking, each group gets all of its log once and in order', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const { feeder, ask, poll, run, apply } = makeWorld({ ring: 4096, among: seed % 2 === 0 });
      run(80, 1);
      run(80, 2);
      const seen = new Map<number, number[]>([
        [1, []],
        [2, []],
      ]);
      const asked = new Map([
        [1, 0],
        [2, 0],
      ]);
      for (let step = 0; step < 3000; step++) {
        const group = randomInteger(random, 1, 2);
        const choice = randomInteger(random, 0, 2);
        if (choice === 0) {
          const to = Math.min(80, Math.max(asked.get(group)!, randomInteger(random, 1, 80)));
          if (to <= asked.get(group)!) continue;
          asked.set(group, to);
          ask(group, seen.get(group)!.length + 1, to, 1);
        } else if (choice === 1) poll();
        else if (apply.consumer.poll()) {
          const { group: fed, firstIndex } = readBatchHeader(apply.consumer.bytes, apply.consumer.offset);
          seen.get(fed)!.push(firstIndex);
          apply.consumer.release();
          const ahead = randomInteger(random, 0, 20);
          if (randomInteger(random, 0, 1) === 0) feeder.applied({ group: fed, applied: firstIndex, ahead });
        } else
          for (const [fed, { length }] of seen) feeder.applied({ group: fed, applied: length, ahead: 3 });
      }
      for (const [group, indexes] of seen) {
        expect(asked.get(group)).toBe(80);
        expect(indexes, `seed ${seed}, group ${group}`).toEqual(
          Array.from({ length: 80 }, (_, at) => at + 1),
        );
      }
    }
  });

  it('feeds the only group as far as it is asked to, however slow its state machine is', () => {
    const { feeder, ask, run, settle, fed } = makeWorld();
    run(20);
    feeder.applied({ group: 1, applied: 0, ahead: 1 });
    ask(1, 1, 20, 1);
    settle();
    expect(fed().length).toBe(20);
    expect(feeder.dueMs(0)).toBe(Number.POSITIVE_INFINITY);
  });

  describe('of several groups', () => {
    const BOTH = [1, 2];
    /** What stands in the apply ring, in its order. */
    const places = (apply: ReturnType<typeof makeWorld>['apply']) =>
      takeAll(apply.consumer).map((batch) => {
        const { group, firstIndex } = readBatchHeader(batch, 0);
        return `${group}:${firstIndex}`;
      });

    it('feeds one no further ahead of its state machine than main says, and the other behind that', () => {
      const { feeder, ask, run, settle, apply } = makeWorld({ among: true });
      for (const group of BOTH) run(50, group);
      ask(1, 1, 50, 1);
      settle();
      expect(places(apply), 'nothing is known yet').toEqual(['1:1']);
      settle();
      expect(places(apply), 'it was taken, but not applied').toEqual([]);
      feeder.applied({ group: 1, applied: 1, ahead: 3 });
      settle();
      ask(2, 1, 50, 1);
      feeder.applied({ group: 2, applied: 0, ahead: 60 });
      settle();
      const [slow, quick] = [['1:2', '1:3', '1:4'], Array.from({ length: 50 }, (_, at) => `2:${at + 1}`)];
      expect(places(apply)).toEqual([...slow, ...quick]);
      feeder.applied({ group: 1, applied: 3, ahead: 1 });
      settle();
      expect(places(apply), 'it is further ahead already').toEqual([]);
      feeder.applied({ group: 1, applied: 4, ahead: 0 });
      settle();
      expect(places(apply), 'one in any case').toEqual(['1:5']);
    });

    it('looks again soon while it is ahead of main, which does not wake it for that, and only then', () => {
      const { feeder, ask, run, settle, apply } = makeWorld({ among: true });
      run(5, 1);
      expect(feeder.dueMs(10)).toBe(Number.POSITIVE_INFINITY);
      ask(1, 1, 5, 1);
      settle();
      expect(feeder.dueMs(10)).toBe(12);
      feeder.applied({ group: 1, applied: 1, ahead: 10 });
      settle();
      expect(feeder.dueMs(10)).toBe(Number.POSITIVE_INFINITY);
      expect(places(apply).length).toBe(5);
    });

    it('holds one batch to be too much where it is not the first, however it comes', () => {
      const { feeder, ask, write, settle, apply, receiveBatch } = makeWorld({ among: true });
      const batches = [1, 5, 9].map((firstIndex) => makeBatch({ firstIndex, count: 4 }));
      for (const batch of batches.slice(0, 2)) write(batch);
      for (const batch of batches.slice(1)) receiveBatch(batch);
      feeder.applied({ group: 1, applied: 0, ahead: 7 });
      ask(1, 1, 12, 1);
      settle();
      expect(places(apply), 'the second one ends beyond 7').toEqual(['1:1']);
      feeder.applied({ group: 1, applied: 4, ahead: 4 });
      settle();
      expect(places(apply)).toEqual(['1:5']);
      feeder.applied({ group: 1, applied: 8, ahead: 3 });
      settle();
      expect(places(apply), 'larger than all that may stand there').toEqual(['1:9']);
    });

    it('feeds them in turn: who is always behind does not keep the next from its own', () => {
      const segmentBytes = 1 << 23;
      const { feeder, ask, write, poll, apply } = makeWorld({ ring: 1 << 16, among: true, segmentBytes });
      for (const group of BOTH)
        for (let at = 1; at <= 600; at++) write(makeBatch({ group, firstIndex: at, entryBytes: 4000 }));
      for (const group of BOTH) feeder.applied({ group, applied: 0, ahead: 5 });
      for (const group of BOTH) ask(group, 1, 600, 1);
      const applied = new Map(BOTH.map((group) => [group, 0]));
      for (let round = 0; applied.get(1)! < 600; round++) {
        expect(round).toBeLessThan(2000);
        poll();
        for (const place of places(apply)) {
          const [group, index] = place.split(':').map(Number);
          applied.set(group!, index!);
          feeder.applied({ group: group!, applied: index!, ahead: 5 });
        }
      }
      expect(applied.get(2)).toBeGreaterThan(100);
    });

    it('reads what lies between each other’s records once for all of them, while main applies', () => {
      const groups = [1, 2, 3, 4, 5, 6, 7, 8];
      const { feeder, ask, write, poll, disk, apply } = makeWorld({
        ring: 1 << 20,
        among: true,
        groups,
        segmentBytes: 1 << 23,
      });
      let written = 0;
      for (let at = 1; at <= 40; at++) {
        for (const group of groups) {
          const batch = makeBatch({ group, firstIndex: at, entryBytes: 8000 });
          write(batch);
          written += batch.length;
        }
      }
      const bytes = countReads(disk);
      for (const group of groups) ask(group, 1, 40, 1);
      const applied = new Map(groups.map((group) => [group, 0]));
      for (let round = 0; [...applied.values()].some((index) => index < 40); round++) {
        expect(round, 'no group comes to a stand').toBeLessThan(2000);
        poll();
        for (const place of places(apply)) {
          const [group, index] = place.split(':').map(Number);
          expect(index).toBe(applied.get(group!)! + 1);
          applied.set(group!, index!);
        }
        for (const [group, index] of applied) feeder.applied({ group, applied: index, ahead: 2 });
      }
      expect(bytes() / written).toBeLessThan(1.5);
    });

    it('one whose state machine is slow holds up none that is not', () => {
      const { feeder, ask, write, poll, apply, state } = makeWorld({
        ring: 1 << 20,
        among: true,
        segmentBytes: 1 << 23,
      });
      for (let at = 1; at <= 300; at++)
        for (const group of BOTH) write(makeBatch({ group, firstIndex: at, entryBytes: 4000 }));
      for (const group of BOTH) ask(group, 1, 300, 1);
      let [slow, quick, slowAtMs] = [0, 0, 0];
      for (state.nowMs = 0; quick < 300; state.nowMs++) {
        expect(state.nowMs).toBeLessThan(500);
        while (poll());
        for (const place of places(apply)) {
          const [group, index] = place.split(':').map(Number);
          if (group === 2) quick = index!;
          else [slow, slowAtMs] = [index!, state.nowMs];
        }
        feeder.applied({ group: 2, applied: quick, ahead: 50 });
        if (state.nowMs - slowAtMs >= 5) feeder.applied({ group: 1, applied: slow, ahead: 1 });
      }
      expect(slow).toBeLessThan(100);
    });

    it('reads nothing of which it knows that it may not be fed yet, and comes to rest', () => {
      const { feeder, ask, write, poll, disk, apply, state, settle } = makeWorld({
        ring: 1 << 20,
        among: true,
        segmentBytes: 1 << 23,
      });
      // Further from each other than one read reaches.
      for (const group of BOTH)
        for (let at = 1; at < 400; at += 4)
          write(makeBatch({ group, firstIndex: at, count: 4, entryBytes: 2000 }));
      for (const group of BOTH) feeder.applied({ group, applied: 0, ahead: 6 });
      for (const group of BOTH) ask(group, 1, 400, 1);
      settle();
      state.nowMs = 5;
      settle();
      expect(places(apply)).toEqual(['1:1', '2:1']);
      const bytes = countReads(disk);
      for (let ms = 0; ms < 500; ms++) {
        state.nowMs++;
        let polls = 0;
        while (poll()) expect(polls++).toBeLessThan(10);
      }
      expect(bytes()).toBeLessThan(1 << 20);
      feeder.applied({ group: 1, applied: 4, ahead: 6 });
      settle();
      expect(places(apply)).toEqual(['1:5']);
    });

    it('what stands in the receive ring and may not be fed yet is not looked for in the log', () => {
      const { feeder, ask, write, receiveBatch, disk, apply, settle } = makeWorld({ among: true });
      for (const firstIndex of [1, 5]) {
        const batch = makeBatch({ firstIndex, count: 4 });
        write(batch);
        receiveBatch(batch);
      }
      const bytes = countReads(disk);
      feeder.applied({ group: 1, applied: 0, ahead: 6 });
      ask(1, 1, 8, 1);
      settle();
      expect(places(apply)).toEqual(['1:1']);
      expect(bytes()).toBe(0);
      feeder.applied({ group: 1, applied: 4, ahead: 6 });
      settle();
      expect([places(apply), bytes()]).toEqual([['1:5'], 0]);
    });

    it('asks the log for no more than it may feed', () => {
      const { feeder, ask, run, settle, disk, apply } = makeWorld({ among: true });
      run(3000);
      feeder.applied({ group: 1, applied: 0, ahead: 2 });
      ask(1, 1, 3000, 1);
      settle();
      expect(places(apply)).toEqual(['1:1', '1:2']);
      const segments = disk.list('/data').filter((name) => disk.file(`/data/${name}`).length > 4096);
      // Whoever looked at what follows would find it bad.
      disk.damage(`/data/${segments[1]}`, 3000);
      feeder.applied({ group: 1, applied: 2, ahead: 2 });
      settle();
      expect(places(apply)).toEqual(['1:3', '1:4']);
    });
  });

  it('decompresses: what is in the apply ring is raw, and says so', () => {
    const { ask, write, settle, apply } = makeWorld();
    const payload = packEntries([jsonLike(seededRandom(1), 4000), Buffer.alloc(0)]);
    const stored = compressedBatch(payload, place(2));
    expect(stored.length).toBeLessThan(payload.length);
    write(stored);
    ask(1, 1, 2, 1);
    settle();
    const [fed] = takeAll(apply.consumer);
    const header = readBatchHeader(fed!, 0);
    expect(header).toMatchObject({
      codec: Codec.None,
      rawLength: payload.length,
      byteLength: fed!.length,
      count: 2,
    });
    expect(lastIndexOf(header)).toBe(2);
    expect(fed!.subarray(BATCH_PAYLOAD_OFFSET).equals(payload)).toBe(true);
  });

  it('reads back to where WebAssembly reaches it, which decompresses every batch, the largest as well', () => {
    const sizes = { ringBytes: 65_536, clientRingBytes: 65_536, batchRawBytesMax: 2_000_000 };
    const memory = createEngineMemory({ ...sizes, webAssembly: true }, [1]);
    const verdicts: boolean[] = [];
    const wasm = wasmDecompressor(memory.memory, memory.wasm!);
    const compression = loadCompression('pure', (source, target) => {
      verdicts.push(wasm(source, target));
      return verdicts.at(-1)!;
    });
    const { ask, write, settle, apply } = makeWorld({ memory, compression, entryBytesMax: 2_000_000 });
    const lengths = [4000, 100_000, 1_900_000, 50];
    const payloads = lengths.map((length, at) => packEntries([jsonLike(seededRandom(at), length)]));
    const stored = payloads.map((payload, at) =>
      compressedBatch(payload, { ...place(1), firstIndex: at + 1 }),
    );
    expect(Math.max(...stored.map(({ length }) => length))).toBeGreaterThan(READ_BACK_BYTES);
    for (const batch of stored) write(batch);
    ask(1, 1, stored.length, 1);
    settle();
    const fed = takeAll(apply.consumer).map((batch) => batch.subarray(BATCH_PAYLOAD_OFFSET));
    expect(fed.map((payload, at) => payload.equals(payloads[at]!))).toEqual([true, true, true, true]);
    // The last one was too small to be compressed.
    expect(verdicts).toEqual([true, true, true]);
  });

  const bad: [string, () => Buffer][] = [
    ['entries that do not fill the payload', () => sampleBatch(Buffer.alloc(20, 8), place(1))],
    ['fewer entries than the head says', () => sampleBatch(packEntries([Buffer.alloc(40)]), place(2))],
    [
      'a payload that does not decompress',
      () => sampleBatch(Buffer.alloc(30, 0xee), { ...place(1), codec: Codec.Lz4, rawLength: 100 }),
    ],
    ['an entry above the limit', () => sampleBatch(packEntries([Buffer.alloc(5000)]), place(1))],
  ];
  for (const [name, make] of bad) {
    it(`T7 ${name}: an error, never a silent zero`, () => {
      const { ask, poll, write, fed } = makeWorld({ entryBytesMax: 4096 });
      write(make());
      ask(1, 1, 9, 1);
      expectCode(() => poll(), ErrorCode.BytesInvalid);
      expect(fed()).toEqual([]);
    });
  }

  it('H78 damage of our own disk ends it with the place', () => {
    const { disk, ask, poll, run } = makeWorld();
    run(50);
    const file = disk.list('/data').find((name) => disk.file(`/data/${name}`).length > 4096)!;
    disk.damage(`/data/${file}`, 3000);
    ask(1, 1, 50, 1);
    const error = expectCode(() => {
      while (poll());
    }, ErrorCode.LogDamaged);
    expect(error.details.file).toBe(`/data/${file}`);
  });
});

function compressedBatch(payload: Buffer, changes: Partial<BatchHeader>): Buffer {
  const prevTerm = changes.firstIndex === 1 ? 0 : 1;
  const raw = sampleBatch(payload, { ...changes, prevTerm, codec: Codec.Lz4 });
  const stored = Buffer.alloc(raw.length);
  return stored.subarray(0, encodeBatch(raw, 0, stored, 0, new Compressor(pure, 'always')));
}

function place(count: number) {
  return { group: 1, term: 1, firstIndex: 1, prevTerm: 0, count };
}
