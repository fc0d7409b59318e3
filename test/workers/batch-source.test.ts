import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { RingObserver } from '../../src/ring/byte-ring.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { BatchSource } from '../../src/workers/batch-source.js';
import { NearIndex } from '../../src/workers/near-index.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { flushAll, makeBatch, openLog } from '../wal/log-tools.js';
import { expectCode, putBytes, ringPair, takeAll } from './parts.js';

/** A leader's batch ring of 4 KiB and its log. */
function makeSource() {
  const disk = new FaultyDisk(1);
  const { wal, index } = openLog(disk, '/data');
  const { region, producer, consumer } = ringPair(4096);
  const near = new NearIndex(new RingObserver(region));
  const source = new BatchSource(near, new LogReader(disk, '/data', index));
  /** Publishes a batch; it is written, unless `near` only. */
  const put = (batch: Buffer, where: 'both' | 'near' | 'far' = 'both') => {
    if (where !== 'far') {
      takeAll(consumer);
      putBytes(producer, batch);
      near.follow();
    }
    if (where === 'near') return;
    wal.stageBatch(1, batch);
    flushAll(wal);
  };
  const bytesOf = (from: number, term: number, bytesMax = 1e6) => {
    const run = source.next(1, term, from, bytesMax);
    if (run === undefined) return undefined;
    const target = Buffer.alloc(run.byteLength);
    expect(run.copyTo(target, 0)).toBe(true);
    return { ...run, bytes: target };
  };
  return { disk, wal, source, put, bytesOf };
}

const batchAt = (firstIndex: number, term = 1, prevTerm = firstIndex === 1 ? 0 : term) =>
  makeBatch({ firstIndex, term, prevTerm, entryBytes: 300 });

describe('where batches come from', () => {
  it('A5 near, before the disk has them', () => {
    const { put, bytesOf } = makeSource();
    const batches = [1, 2, 3].map((index) => batchAt(index));
    for (const batch of batches) put(batch, 'near');
    const run = bytesOf(2, 1)!;
    expect(run).toMatchObject({ prevIndex: 1, prevTerm: 1, lastIndex: 3, lastTerm: 1, count: 2 });
    expect(run.bytes.equals(Buffer.concat(batches.slice(1)))).toBe(true);
    expect(bytesOf(4, 1), 'not there yet').toBeUndefined();
  });

  it('H39 far, the same bytes, for a follower that fell behind the ring; near again when it has caught up', () => {
    const { put, bytesOf } = makeSource();
    const batches = Array.from({ length: 30 }, (_, at) => batchAt(at + 1));
    for (const batch of batches) put(batch);
    const collected: Buffer[] = [];
    let next = 1;
    while (next <= 30) {
      const run = bytesOf(next, 1, 2000)!;
      expect(run.prevIndex).toBe(next - 1);
      expect(run.prevTerm).toBe(next === 1 ? 0 : 1);
      expect(run.byteLength, 'bounded').toBeLessThanOrEqual(2000);
      collected.push(run.bytes);
      next = run.lastIndex + 1;
    }
    expect(Buffer.concat(collected).equals(Buffer.concat(batches))).toBe(true);
    expect(bytesOf(31, 1)).toBeUndefined();
  });

  it('far only within what may be read from the disk now; near in any case; and says how much the leader has added', () => {
    const { put, source } = makeSource();
    const batches = Array.from({ length: 30 }, (_, at) => batchAt(at + 1));
    for (const batch of batches) put(batch);
    expect(source.next(1, 1, 1, 1e6, 0)).toBeUndefined();
    expect(source.next(1, 1, 1, 1e6, -5)).toBeUndefined();
    expect(source.next(1, 1, 1, 1e6, 1)).toMatchObject({ far: true, lastIndex: 1, count: 1 });
    expect(source.next(1, 1, 30, 1e6, 0)).toMatchObject({ far: false, lastIndex: 30 });
    expect(source.grown(1)).toBe(batches.reduce((sum, { length }) => sum + length, 0));
    expect(source.grown(2)).toBe(0);
  });

  it('A6 whole batches within the bytes that it may have, near and far; one that was taken in part begins at its border', () => {
    for (const where of ['near', 'far'] as const) {
      const { put, bytesOf } = makeSource();
      const batches = [1, 3, 5, 7].map((firstIndex) =>
        makeBatch({ firstIndex, count: 2, prevTerm: firstIndex === 1 ? 0 : 1, entryBytes: 200 }),
      );
      for (const batch of batches) put(batch, where);
      const two = (batches[0] as Buffer).length + (batches[1] as Buffer).length;
      const first = bytesOf(1, 1, two)!;
      expect(first, where).toMatchObject({ prevIndex: 0, lastIndex: 4, count: 2, byteLength: two });
      expect(bytesOf(4, 1, two), 'entry 4 stands in the batch 3–4').toMatchObject({
        prevIndex: 2,
        lastIndex: 6,
      });
      expect(bytesOf(first.lastIndex + 1, 1, two)).toMatchObject({ prevIndex: 4, lastIndex: 8, count: 2 });
    }
  });

  it('H37 one batch always goes, whatever the bound', () => {
    const { put, bytesOf } = makeSource();
    put(batchAt(1));
    put(batchAt(2));
    expect(bytesOf(1, 1, 1)).toMatchObject({ count: 1, lastIndex: 1 });
  });

  it('A8 a near run that is overwritten before it was copied is asked for again, and then comes from the log', () => {
    const { source, put, bytesOf } = makeSource();
    for (let index = 1; index <= 4; index++) put(batchAt(index));
    const run = source.next(1, 1, 1, 1e6)!;
    for (let index = 5; index <= 14; index++) put(batchAt(index));
    expect(run.copyTo(Buffer.alloc(run.byteLength), 0)).toBe(false);
    expect(bytesOf(1, 1, 1000)).toMatchObject({ prevIndex: 0, count: 2 });
  });

  it('T2 a leader of a later term reads what older terms left from the log', () => {
    const { put, bytesOf } = makeSource();
    put(batchAt(1, 1));
    put(batchAt(2, 1));
    put(batchAt(3, 4, 1));
    const run = bytesOf(1, 4)!;
    expect(run).toMatchObject({ prevIndex: 0, prevTerm: 0, lastIndex: 3, lastTerm: 4, count: 3 });
    expect(bytesOf(3, 4)).toMatchObject({ prevIndex: 2, prevTerm: 1, count: 1 });
  });

  it('H24 A9 a leader that was deposed sends nothing of a later term in its own', () => {
    const { wal, put, bytesOf } = makeSource();
    put(batchAt(1, 1));
    put(batchAt(2, 1));
    wal.stageTruncate(1, 2);
    put(batchAt(2, 3, 1), 'far');
    put(batchAt(3, 3), 'far');
    expect(bytesOf(1, 2), 'up to where the later term begins').toMatchObject({ lastIndex: 1, count: 1 });
    expect(bytesOf(2, 2)).toBeUndefined();
    expect(bytesOf(3, 2)).toBeUndefined();
    expect(bytesOf(2, 3)).toMatchObject({ prevTerm: 1, lastIndex: 3 });
  });

  it('H78 says so when the disk gives back something else than was written', () => {
    const { disk, put, source } = makeSource();
    for (let index = 1; index <= 20; index++) put(batchAt(index));
    const file = disk.list('/data').find((name) => disk.file(`/data/${name}`).length > 4096)!;
    disk.damage(`/data/${file}`, 700);
    expectCode(() => source.next(1, 1, 1, 3000), ErrorCode.LogDamaged);
  });
});
