import { describe, expect, it } from 'vitest';
import {
  initRing,
  RingConsumer,
  RingObserver,
  RingProducer,
  ringRegionBytes,
} from '../../src/ring/byte-ring.js';
import { LINE_BYTES } from '../../src/ring/layout.js';
import { makeRing, put, text } from './support.js';

/** 1024 bytes in the ring: four fill the smallest one. */
const QUARTER = 'q'.repeat(1016);

function setUp(consumers = 1) {
  const region = makeRing(4096, consumers);
  return {
    region,
    producer: new RingProducer(region),
    consumers: Array.from({ length: consumers }, (_, index) => new RingConsumer(region, index)),
    consumer: new RingConsumer(region, 0),
    observer: new RingObserver(region),
  };
}

describe('a byte ring', () => {
  it('hands records over in order, empty ones too, aligned, with position and end', () => {
    const { producer, consumer } = setUp();
    expect(consumer.poll()).toBe(false);
    expect(consumer.pending()).toBe(false);
    for (const content of ['one', '', 'three three']) expect(put(producer, content)).toBe(true);
    expect(consumer.pending()).toBe(true);
    const seen: [string, number, number][] = [];
    while (consumer.poll()) {
      expect(consumer.offset % 8).toBe(0);
      seen.push([text(consumer), consumer.position, consumer.end]);
    }
    expect(seen).toEqual([
      ['one', 0, 16],
      ['', 16, 24],
      ['three three', 24, 48],
    ]);
  });

  it('shows nothing before it is published', () => {
    const { producer, consumer, observer } = setUp();
    producer.claim(100);
    producer.bytes.fill(1, producer.offset, producer.offset + 100);
    expect(consumer.poll()).toBe(false);
    expect(observer.poll()).toBe(false);
    producer.publish(100);
    expect(consumer.poll()).toBe(true);
    expect(observer.poll()).toBe(true);
  });

  it('refuses when full and stays as it was', () => {
    const { region, producer, consumer } = setUp();
    for (let i = 0; i < 4; i++) expect(put(producer, QUARTER)).toBe(true);
    const { offset, position } = producer;
    const before = Buffer.from(Buffer.from(region.memory));
    expect(producer.claim(0)).toBe(false);
    expect(producer.claim(2040)).toBe(false);
    expect(Buffer.from(region.memory).equals(before)).toBe(true);
    expect([producer.offset, producer.position]).toEqual([offset, position]);
    expect(producer.freeBytes()).toBe(0);
    expect(producer.holdsFrom()).toBe(0);
    consumer.poll();
    expect(producer.claim(0)).toBe(false);
    consumer.release();
    expect(producer.holdsFrom()).toBe(1024);
    expect(put(producer, QUARTER)).toBe(true);
  });

  it('never splits a record: padding fills the end, and goes back with the record after it', () => {
    const { producer, consumer } = setUp();
    for (let i = 0; i < 3; i++) put(producer, QUARTER);
    consumer.poll();
    consumer.poll();
    consumer.release();
    put(producer, 'x'.repeat(1500));
    expect(producer.position).toBe(4096);
    expect(producer.offset).toBe(8);
    expect(consumer.poll()).toBe(true);
    expect(consumer.end).toBe(3072);
    expect(consumer.poll()).toBe(true);
    expect([consumer.position, consumer.length, consumer.end]).toEqual([4096, 1500, 4096 + 1512]);
    consumer.releaseTo(3072);
    expect(producer.freeBytes()).toBe(4096 - (1024 + 1512));
    consumer.release();
    expect(producer.freeBytes()).toBe(4096);
  });

  it('takes the largest record wherever it stands, once empty, and throws on a larger one', () => {
    for (let lead = 0; lead < 4096; lead += 8) {
      const { producer, consumer } = setUp();
      for (let left = lead; left > 0; ) {
        const bytes = Math.min(left, 2048);
        put(producer, 'l'.repeat(bytes - 8));
        consumer.poll();
        consumer.release();
        left -= bytes;
      }
      expect(put(producer, 'm'.repeat(producer.recordBytesMax))).toBe(true);
    }
    const { producer } = setUp();
    expect(producer.recordBytesMax).toBe(2040);
    expect(() => producer.claim(2041)).toThrow(/expected a whole number of bytes, 0 … 2040, received 2041/);
    expect(() => producer.claim(-1)).toThrow(/received -1/);
    expect(() => producer.claim(1.5)).toThrow(/received 1.5/);
    expect(put(producer, 'fine')).toBe(true);
  });

  it('gives back what a claim did not use', () => {
    const { producer, consumer } = setUp();
    expect(producer.claim(2000)).toBe(true);
    producer.publish(5);
    expect(producer.freeBytes()).toBe(4096 - 16);
    expect(producer.claim(2000)).toBe(true);
    producer.publish(0);
    expect(consumer.poll()).toBe(true);
    expect([consumer.length, consumer.end]).toEqual([5, 16]);
    expect(consumer.poll()).toBe(true);
    expect([consumer.length, consumer.end]).toEqual([0, 24]);
  });

  it('gives an abandoned claim back, also one that had to wrap', () => {
    const { producer, consumer } = setUp();
    for (let i = 0; i < 3; i++) put(producer, QUARTER);
    for (let i = 0; i < 3; i++) consumer.poll();
    consumer.release();
    expect(producer.claim(1500)).toBe(true);
    expect(producer.position).toBe(4096);
    producer.bytes.fill(0xff, producer.offset, producer.offset + 1500);
    producer.abandon();
    expect(consumer.poll()).toBe(false);
    expect(producer.freeBytes()).toBe(4096);
    put(producer, 'small');
    expect(producer.position).toBe(3072);
    expect(consumer.poll()).toBe(true);
    expect(text(consumer)).toBe('small');
  });

  it('refuses a publish without a claim, beyond it, and a second claim', () => {
    const { producer } = setUp();
    expect(() => producer.publish(0)).toThrow(/only after a claim/);
    expect(() => producer.abandon()).toThrow(/only while it is open/);
    producer.claim(10);
    expect(() => producer.publish(11)).toThrow(/11 bytes fits its claim of 10/);
    expect(() => producer.publish(-1)).toThrow(/fits its claim/);
    expect(() => producer.claim(1)).toThrow(/one open claim/);
    producer.publish(10);
    expect(() => producer.publish(0)).toThrow(/only after a claim/);
  });
});

describe('gating consumers', () => {
  it('hold the producer by the slowest of them', () => {
    const { producer, consumers } = setUp(3);
    for (let i = 0; i < 4; i++) put(producer, QUARTER);
    for (const [index, consumer] of consumers.entries()) {
      for (let i = 0; i <= index; i++) consumer.poll();
      consumer.release();
    }
    expect(producer.holdsFrom()).toBe(1024);
    expect(producer.freeBytes()).toBe(1024);
    expect(put(producer, QUARTER)).toBe(true);
    expect(put(producer, '')).toBe(false);
    consumers[0]!.poll();
    consumers[0]!.release();
    expect(put(producer, QUARTER)).toBe(true);
    expect(put(producer, '')).toBe(false);
  });

  it('poll ahead of what they release, and read again what they hold', () => {
    const { producer, consumer } = setUp();
    for (const content of ['a', 'b', 'c', 'd']) put(producer, content);
    for (let i = 0; i < 3; i++) consumer.poll();
    consumer.releaseTo(16);
    expect(producer.holdsFrom()).toBe(16);
    expect(consumer.at(0)).toBe(false);
    expect(consumer.at(16)).toBe(true);
    expect([text(consumer), consumer.position, consumer.end]).toEqual(['b', 16, 32]);
    expect(consumer.at(48)).toBe(true);
    expect(text(consumer)).toBe('d');
    expect(consumer.at(64)).toBe(false);
    expect(consumer.at(24)).toBe(false);
    expect(consumer.at(17)).toBe(false);
    expect(consumer.poll()).toBe(true);
    expect(text(consumer)).toBe('d');
    consumer.releaseTo(0);
    expect(producer.holdsFrom()).toBe(16);
    expect(() => consumer.releaseTo(72)).toThrow(/that it has polled/);
    expect(() => consumer.releaseTo(33)).toThrow(/whole records/);
  });

  it('see a record that somebody wrote over as damage, not as data', () => {
    const { producer, consumer } = setUp();
    put(producer, 'good');
    producer.bytes.fill(0, 0, 8);
    expect(() => consumer.poll()).toThrow(/a ring record starts where the one before it ends/);
  });

  it('T1 a successor goes on where a thread died: the open claim is gone, what was not released comes again', () => {
    const { region, producer, consumer } = setUp();
    put(producer, 'first');
    put(producer, 'second');
    consumer.poll();
    consumer.release();
    consumer.poll();
    producer.claim(2000);
    producer.bytes.fill(0xee, producer.offset, producer.offset + 2000);
    const heir = new RingProducer(region);
    expect(put(heir, 'third')).toBe(true);
    const reader = new RingConsumer(region, 0);
    expect(reader.poll()).toBe(true);
    expect(text(reader)).toBe('second');
    expect(reader.poll()).toBe(true);
    expect(text(reader)).toBe('third');
    expect(reader.poll()).toBe(false);
  });
});

describe('an observer', () => {
  it('does not hold the producer, notices that it was overrun and goes on at the oldest record held', () => {
    const { producer, consumer, observer } = setUp();
    for (let i = 0; i < 10; i++) {
      expect(put(producer, `${i}${QUARTER.slice(1)}`)).toBe(true);
      consumer.poll();
      if (i < 8) consumer.release();
    }
    expect(observer.poll()).toBe(true);
    expect(observer.overruns).toBe(1);
    expect(text(observer)[0]).toBe('8');
    expect(observer.poll()).toBe(true);
    expect(text(observer)[0]).toBe('9');
    expect(observer.poll()).toBe(false);
    expect(observer.overruns).toBe(1);
  });

  it('learns after a copy that the copy is torn, from the claim on', () => {
    const { producer, consumer, observer } = setUp();
    for (let i = 0; i < 4; i++) put(producer, QUARTER);
    for (let i = 0; i < 4; i++) consumer.poll();
    expect(observer.poll()).toBe(true);
    const { position } = observer;
    expect(observer.holds(position)).toBe(true);
    consumer.release();
    expect(observer.holds(position)).toBe(true);
    producer.claim(0);
    expect(observer.holds(position)).toBe(false);
    expect(observer.at(position)).toBe(false);
    expect(observer.at(1024)).toBe(true);
    producer.abandon();
    expect(observer.holds(position)).toBe(false);
  });

  it('finds no record where none is', () => {
    const { producer, observer } = setUp();
    put(producer, 'a'.repeat(20));
    expect(observer.at(0)).toBe(true);
    expect(observer.at(8)).toBe(false);
    expect(observer.at(3)).toBe(false);
    expect(observer.at(32)).toBe(false);
    expect(observer.at(-8)).toBe(false);
  });

  it('that attaches late starts at the oldest record held', () => {
    const { region, producer, consumer } = setUp();
    for (const content of ['a', 'b', 'c']) put(producer, content);
    consumer.poll();
    consumer.release();
    const late = new RingObserver(region);
    expect(late.poll()).toBe(true);
    expect(text(late)).toBe('b');
    expect(late.overruns).toBe(0);
  });

  it('T1 still knows what a dead producer may have written over', () => {
    const { region, producer, consumer, observer } = setUp();
    for (let i = 0; i < 4; i++) put(producer, QUARTER);
    for (let i = 0; i < 4; i++) consumer.poll();
    consumer.release();
    producer.claim(1500);
    const heir = new RingProducer(region);
    put(heir, 'small');
    expect(observer.holds(1024)).toBe(false);
    expect(observer.holds(2048)).toBe(true);
  });
});

describe('a ring region', () => {
  it('has a line for each writer before the data', () => {
    expect(ringRegionBytes(4096, 1)).toBe(4 * LINE_BYTES + 4096);
    expect(ringRegionBytes(2 ** 30, 3)).toBe(6 * LINE_BYTES + 2 ** 30);
    const { region, producer, consumers } = setUp(2);
    const linesTouched = (change: () => void): number[] => {
      const control = Buffer.from(region.memory, 0, 5 * LINE_BYTES);
      const before = Buffer.from(control);
      change();
      const lines = [...before.keys()].filter((i) => before[i] !== control[i]);
      return [...new Set(lines.map((i) => Math.floor(i / LINE_BYTES)))];
    };
    expect(linesTouched(() => producer.claim(8))).toEqual([2]);
    expect(linesTouched(() => producer.publish(8))).toEqual([1]);
    for (const consumer of consumers) consumer.poll();
    expect(linesTouched(() => consumers[0]!.release())).toEqual([3]);
    expect(linesTouched(() => consumers[1]!.release())).toEqual([4]);
  });

  it('leaves its neighbours in memory alone', () => {
    const bytes = ringRegionBytes(4096, 1);
    const memory = new SharedArrayBuffer(64 + bytes + 64);
    const region = { memory, byteOffset: 64, capacity: 4096, consumers: 1 };
    initRing(region);
    const producer = new RingProducer(region);
    const consumer = new RingConsumer(region, 0);
    for (let i = 0; i < 50; i++) {
      producer.claim((i * 97) % 2040);
      producer.bytes.fill(0xff, producer.offset, producer.offset + ((i * 97) % 2040));
      producer.publish((i * 97) % 2040);
      consumer.poll();
      consumer.release();
    }
    const all = Buffer.from(memory);
    expect(all.subarray(0, 64).every((byte) => byte === 0)).toBe(true);
    expect(all.subarray(64 + bytes).every((byte) => byte === 0)).toBe(true);
  });

  it('is refused when it cannot be one, with what was expected and received', () => {
    const memory = new SharedArrayBuffer(65536);
    const region = { memory, byteOffset: 0, capacity: 4096, consumers: 1 };
    for (const capacity of [0, 2048, 5000, 4096.5, 2 ** 31, Number.NaN, -4096]) {
      expect(() => ringRegionBytes(capacity, 1)).toThrow(/ring capacity: expected a power of two/);
    }
    for (const consumers of [0, -1, 1.5]) {
      expect(() => ringRegionBytes(4096, consumers)).toThrow(/gating ring consumers/);
    }
    expect(() => initRing({ ...region, byteOffset: 8 })).toThrow(/offset of a ring region/);
    expect(() => initRing({ ...region, capacity: 65536 })).toThrow(/at least 65792 bytes, received 65536/);
    expect(() => initRing(region, 4)).toThrow(/start position/);
    expect(() => initRing(region, -8)).toThrow(/start position/);
    expect(() => new RingProducer(region)).toThrow(/was initialised as a ring/);
    initRing(region);
    expect(() => new RingConsumer({ ...region, capacity: 8192 }, 0)).toThrow(/was initialised as a ring/);
    expect(() => new RingObserver({ ...region, consumers: 2 })).toThrow(/was initialised as a ring/);
    expect(() => new RingConsumer(region, 1)).toThrow(/index of a ring consumer: expected 0 … 0, received 1/);
  });
});
