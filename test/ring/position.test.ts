import { describe, expect, it } from 'vitest';
import { RingConsumer, RingObserver, RingProducer } from '../../src/ring/byte-ring.js';
import { PositionCell } from '../../src/ring/position.js';
import { makeRing, preempt, put, text } from './support.js';

const WRAPS = [2 ** 31, 2 ** 32, 3 * 2 ** 31, 2 ** 33, 2 ** 52];

describe('a position in shared memory', () => {
  it('T3 is read whole on both sides of every 31-bit and 32-bit wrap', () => {
    for (const wrap of WRAPS) {
      const words = new Int32Array(new SharedArrayBuffer(128));
      const writer = new PositionCell(words, 1);
      writer.reset(wrap - 16);
      const reader = new PositionCell(words, 1);
      for (let position = wrap - 16; position <= wrap + 16; position += 8) {
        writer.store(position);
        expect(reader.load()).toBe(position);
        expect(reader.loadNear(position - 2 ** 30)).toBe(position);
        expect(reader.loadNear(position + 2 ** 30)).toBe(position);
        expect(new PositionCell(words, 1).load()).toBe(position);
      }
    }
  });

  it('T4 is never torn, wherever the reader stands while the writer crosses an era', () => {
    for (const wrap of WRAPS) {
      for (const steps of [1, 2, 5]) {
        let access = 0;
        for (; ; access++) {
          const words = new Int32Array(new SharedArrayBuffer(64));
          const writer = new PositionCell(words, 0);
          writer.reset(wrap - 8);
          const reader = new PositionCell(words, 0);
          let read = Number.NaN;
          let position = wrap - 8;
          const more = preempt(
            () => {
              read = reader.load();
            },
            access,
            () => {
              for (let i = 0; i < steps; i++) {
                position += 2 ** 30;
                writer.store(position);
              }
            },
          );
          if (!more) break;
          expect(read).toBeGreaterThanOrEqual(wrap - 8);
          expect(read).toBeLessThanOrEqual(position);
          expect((read - (wrap - 8)) % 2 ** 30).toBe(0);
        }
        expect(access).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it('T4 is never torn for a reader that looks between the two stores of the writer', () => {
    for (const wrap of WRAPS) {
      for (let access = 0; access < 3; access++) {
        const words = new Int32Array(new SharedArrayBuffer(64));
        const writer = new PositionCell(words, 0);
        writer.reset(wrap - 8);
        const reader = new PositionCell(words, 0);
        let read = -1;
        preempt(
          () => writer.storeBeforeWrites(wrap + 8),
          access,
          () => {
            read = reader.load();
          },
        );
        expect(read).toBe(access < 2 ? wrap - 8 : wrap + 8);
      }
    }
  });
});

describe('a ring that lives long', () => {
  it('T3 carries records across the wraps of its 32-bit words, in order and with true positions', () => {
    for (const wrap of WRAPS) {
      const start = wrap - 3 * 4096 + 8;
      const region = makeRing(4096, 2, start);
      const producer = new RingProducer(region);
      const consumers = [new RingConsumer(region, 0), new RingConsumer(region, 1)];
      const observer = new RingObserver(region);
      expect(producer.holdsFrom()).toBe(start);
      for (let i = 0; i < 100; i++) {
        expect(put(producer, `record ${i} ${'x'.repeat(i * 5)}`)).toBe(true);
        for (const reader of [...consumers, observer]) {
          expect(reader.poll()).toBe(true);
          expect(text(reader)).toBe(`record ${i} ${'x'.repeat(i * 5)}`);
          expect(reader.position).toBe(producer.position);
          expect(reader.at(producer.position)).toBe(true);
          expect(reader.poll()).toBe(false);
        }
        expect(observer.holds(observer.position)).toBe(true);
        for (const consumer of consumers) consumer.release();
        expect(producer.freeBytes()).toBe(4096);
      }
      expect(producer.position).toBeGreaterThan(wrap);
      expect(observer.overruns).toBe(0);
    }
  });

  it('T3 fills and refuses across a wrap as anywhere else', () => {
    for (const wrap of WRAPS) {
      const region = makeRing(4096, 1, wrap - 2048);
      const producer = new RingProducer(region);
      const consumer = new RingConsumer(region, 0);
      for (let i = 0; i < 4; i++) expect(put(producer, 'y'.repeat(1016))).toBe(true);
      expect(put(producer, '')).toBe(false);
      for (let i = 0; i < 4; i++) expect(consumer.poll()).toBe(true);
      consumer.releaseTo(wrap);
      expect(producer.freeBytes()).toBe(2048);
      expect(producer.holdsFrom()).toBe(wrap);
      expect(put(producer, 'y'.repeat(2040))).toBe(true);
      expect(put(producer, '')).toBe(false);
    }
  });

  it('T3 tells an observer that slept for whole turns of the 32-bit words that it was overrun', () => {
    const half = 2 ** 30;
    const region = makeRing(4096);
    const producer = new RingProducer(region);
    const consumer = new RingConsumer(region, 0);
    const observer = new RingObserver(region);
    put(producer, 'old');
    observer.poll();
    consumer.poll();
    consumer.release();
    // The other words of the region move as the traffic of 2^32 bytes would have moved them.
    const words = new Int32Array(region.memory, 0, 64);
    for (const line of [1, 2, 3]) {
      const cell = new PositionCell(words, line);
      const from = cell.load();
      for (let moved = half; moved <= 2 ** 32; moved += half) cell.store(from + moved);
    }
    expect(observer.holds(observer.position)).toBe(false);
    expect(observer.at(observer.position)).toBe(false);
    expect(put(new RingProducer(region), 'new')).toBe(true);
    expect(observer.poll()).toBe(true);
    expect(observer.overruns).toBe(1);
    expect(text(observer)).toBe('new');
    expect(observer.position).toBe(2 ** 32 + 16);
  });

  it('lets a thread attach late, with the whole position', () => {
    const region = makeRing(4096, 1, 2 ** 40);
    put(new RingProducer(region), 'early');
    const late = new RingConsumer(region, 0);
    expect(late.poll()).toBe(true);
    expect(late.position).toBe(2 ** 40);
  });
});
