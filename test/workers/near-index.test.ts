import { describe, expect, it } from 'vitest';
import { RingObserver } from '../../src/ring/byte-ring.js';
import { NearIndex } from '../../src/workers/near-index.js';
import { NearRings } from '../../src/workers/near-rings.js';
import { makeBatch } from '../wal/log-tools.js';
import { putBytes, ringPair, takeAll } from './parts.js';

/** A batch ring of 4 KiB whose writer has no gate to wait for, and what is near in it. */
function makeNear() {
  const { region, producer, consumer } = ringPair(4096);
  const observer = new RingObserver(region);
  const near = new NearIndex(observer);
  const put = (batch: Buffer) => {
    takeAll(consumer);
    expect(putBytes(producer, batch)).toBe(true);
  };
  return { region, observer, near, put };
}

/** As for two encoders that take batches in turn. */
function makeNearRings() {
  const pairs = [0, 1].map(() => ringPair(4096));
  const near = new NearRings(pairs.map(({ region }) => new NearIndex(new RingObserver(region), true)));
  const put = (number: number, batch: Buffer) => {
    const { producer, consumer } = pairs[number % 2]!;
    takeAll(consumer);
    expect(putBytes(producer, batch)).toBe(true);
  };
  return { near, put };
}

const batchAt = (firstIndex: number, term = 1, group = 1, count = 1) =>
  makeBatch({ firstIndex, term, group, count, entryBytes: 300 });

describe('what is near in several rings', () => {
  it('is found in whichever ring it stands, whoever published first, and forgotten ring by ring', () => {
    const { near, put } = makeNearRings();
    const batches = Array.from({ length: 60 }, (_, at) => batchAt(at + 1));
    // The second encoder is three batches ahead of the first.
    for (let number = 0; number < 60; number++) {
      if (number % 2 === 1) put(number, batches[number]!);
      if (number >= 6 && number % 2 === 0) put(number - 6, batches[number - 6]!);
      near.follow();
    }
    const found = (index: number) => near.find(1, 1, index);
    expect(found(1), 'overwritten long ago').toBeUndefined();
    for (const index of [50, 51, 52, 53, 54]) {
      const batch = found(index)!;
      const target = Buffer.alloc(batch.byteLength);
      expect(near.copy(batch, target, 0)).toBe(true);
      expect(target.equals(batches[index - 1]!), `batch ${index}`).toBe(true);
    }
    expect(found(55), 'its encoder has not come to it').toBeUndefined();
    expect(found(56)).toBeDefined();
    put(0, batchAt(56, 2));
    near.follow();
    expect(near.find(1, 2, 56)?.term, 'a new leadership begins anew').toBe(2);
    expect(near.grown(1)).toBeGreaterThan(50 * 300);
  });
});

describe('what is near', () => {
  it('is found by any index that a batch contains', () => {
    const { near, put } = makeNear();
    const batches = [batchAt(1, 1, 1, 3), batchAt(4), batchAt(5, 1, 1, 2)];
    for (const batch of batches) put(batch);
    expect(near.find(1, 1, 1), 'not followed yet').toBeUndefined();
    expect(near.follow()).toBe(true);
    expect(near.follow()).toBe(false);
    expect([1, 2, 3, 4, 5, 6].map((index) => near.find(1, 1, index)?.firstIndex)).toEqual([1, 1, 1, 4, 5, 5]);
    expect(near.find(1, 1, 7)).toBeUndefined();
    expect(near.find(2, 1, 1), 'another group').toBeUndefined();
    batches.forEach((batch) => {
      const found = near.find(1, 1, batch.readUInt32LE(48))!;
      const target = Buffer.alloc(found.byteLength + 3);
      expect(near.copy(found, target, 3)).toBe(true);
      expect(target.subarray(3).equals(batch)).toBe(true);
    });
  });

  it('ends where the ring was overwritten, and a batch found before cannot be copied any more', () => {
    const { near, put } = makeNear();
    for (let index = 1; index <= 5; index++) put(batchAt(index));
    near.follow();
    const first = near.find(1, 1, 1)!;
    for (let index = 6; index <= 12; index++) put(batchAt(index));
    near.follow();
    expect(near.find(1, 1, 1)).toBeUndefined();
    expect(near.find(1, 1, 12)?.firstIndex).toBe(12);
    expect(near.copy(first, Buffer.alloc(1000), 0)).toBe(false);
  });

  it('notices a batch that is overwritten while it is copied', () => {
    const { near, put } = makeNear();
    for (let index = 1; index <= 5; index++) put(batchAt(index));
    near.follow();
    const first = near.find(1, 1, 1)!;
    const target = Buffer.alloc(1000);
    target.set = (source, offset) => {
      for (let index = 6; index <= 14; index++) put(batchAt(index));
      Buffer.prototype.set.call(target, source, offset);
    };
    expect(near.copy(first, target, 0)).toBe(false);
  });

  it('notices a head that is overwritten while it is read, whatever stands there then', () => {
    const { near, observer, put } = makeNear();
    put(batchAt(1));
    const poll = observer.poll.bind(observer);
    let overrun = false;
    observer.poll = () => {
      if (!poll()) return false;
      if (!overrun) {
        overrun = true;
        // The tenth fills the place of the first batch, in the next lap.
        for (let fill = 0; fill < 10; fill++) put(Buffer.alloc(400, 0xff));
        expect(observer.bytes[observer.offset]).toBe(0xff);
        put(batchAt(12));
      }
      return true;
    };
    expect(near.follow()).toBe(true);
    expect(near.find(1, 1, 1)).toBeUndefined();
    expect(near.find(1, 1, 12)?.firstIndex).toBe(12);
  });

  it('T2 is of one term: the newest; an older one is never given out', () => {
    const { near, put } = makeNear();
    for (let index = 1; index <= 4; index++) put(batchAt(index, 1));
    put(makeBatch({ firstIndex: 3, term: 5, prevTerm: 1, entryBytes: 300 }));
    near.follow();
    for (const index of [1, 2, 3, 4]) expect(near.find(1, 1, index), `index ${index}`).toBeUndefined();
    expect(near.find(1, 5, 3)).toMatchObject({ firstIndex: 3, term: 5, prevTerm: 1 });
    expect(near.find(1, 4, 3)).toBeUndefined();
    expect(near.find(1, 5, 2)).toBeUndefined();
  });

  it('knows groups apart, though they share a ring', () => {
    const { near, put } = makeNear();
    put(batchAt(1, 1, 1));
    put(batchAt(1, 7, 2));
    put(batchAt(2, 1, 1));
    near.follow();
    expect(near.find(1, 1, 2)?.firstIndex).toBe(2);
    expect(near.find(2, 7, 1)?.term).toBe(7);
  });

  it('holds a bounded list, however long it lives', () => {
    const { near, put } = makeNear();
    for (let index = 1; index <= 5000; index++) {
      put(batchAt(index));
      near.follow();
      const found = near.find(1, 1, index)!;
      const target = Buffer.alloc(found.byteLength);
      if (index % 100 === 0) {
        expect(near.copy(found, target, 0)).toBe(true);
        expect(target.equals(batchAt(index))).toBe(true);
        expect(near.find(1, 1, index - 20)).toBeUndefined();
      }
    }
  });
});
