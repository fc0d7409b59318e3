import { describe, expect, it } from 'vitest';
import { RingConsumer, RingObserver, RingProducer } from '../../src/ring/byte-ring.js';
import { makeRing, preempt, put, text } from './support.js';

/*
 * Finer than whole steps: a thread loses the processor at any one of its accesses to shared words, and between the
 * halves of its writes, while the others run on.
 */

function record(sequence: number, length: number): string {
  return String.fromCharCode(97 + (sequence % 26)).repeat(length);
}

const LENGTHS = [1016, 300, 2040, 0, 900, 1500, 8, 700];

function world(written: number) {
  const region = makeRing(4096);
  const producer = new RingProducer(region);
  const consumer = new RingConsumer(region, 0);
  const observer = new RingObserver(region);
  let next = 0;
  const expected: string[] = [];
  const taken: string[] = [];
  const drain = (): void => {
    while (consumer.poll()) taken.push(text(consumer));
    consumer.release();
  };
  const produce = (): void => {
    const content = record(next, LENGTHS[next % LENGTHS.length]!);
    next++;
    expected.push(content);
    if (put(producer, content)) return;
    drain();
    expect(put(producer, content)).toBe(true);
  };
  for (let i = 0; i < written; i++) produce();
  return { region, producer, consumer, observer, expected, taken, drain, produce };
}

describe('a thread that loses the processor anywhere', () => {
  it('as producer: a record half written is seen by nobody, and what it overwrites is known to be gone', () => {
    let cases = 0;
    for (let written = 0; written < 12; written++) {
      for (const emptied of [false, true]) {
        for (let access = 0; ; access++) {
          const { region, producer, expected, taken, drain } = world(written);
          if (emptied) drain();
          // Copies of everything that an observer could still read before the producer went on.
          const late = new RingObserver(region);
          const before = new Map<number, string>();
          for (let position = 0; position < 4096 * 4; position += 8) {
            if (late.at(position)) before.set(position, text(late));
          }
          const look = (): void => {
            for (const [position, content] of before) {
              if (!late.at(position)) continue;
              const copy = text(late);
              if (late.holds(position)) expect(copy).toBe(content);
            }
            drain();
          };
          const content = 'Z'.repeat(1200);
          const run = (): void => {
            if (!producer.claim(1200)) return;
            producer.bytes.fill('?', producer.offset, producer.offset + 600);
            Atomics.load(new Int32Array(1), 0);
            producer.bytes.write(content, producer.offset);
            Atomics.load(new Int32Array(1), 0);
            producer.publish(1200);
            expected.push(content);
          };
          const more = preempt(run, access, look);
          drain();
          expect(taken).toEqual(expected);
          if (!more) break;
          cases++;
        }
      }
    }
    expect(cases).toBeGreaterThan(100);
  });

  it('as producer: a record whose header is written, but which is not published, is found by nobody', () => {
    const { region, producer, drain, observer } = world(5);
    drain();
    const consumer = new RingConsumer(region, 0);
    producer.claim(8);
    const found: boolean[] = [];
    const look = (): void => {
      found.push(consumer.at(producer.position), observer.at(producer.position), consumer.poll());
    };
    preempt(() => producer.publish(8), 0, look);
    expect(found).toEqual([false, false, false]);
    look();
    expect(found.slice(3)).toEqual([true, true, true]);
  });

  it('as observer: a copy that holds is a true one, however far the producer ran in between', () => {
    let kept = 0;
    let thrownAway = 0;
    for (let written = 1; written < 20; written++) {
      for (let ran = 0; ran < 12; ran++) {
        for (let access = 0; ; access++) {
          const { observer, expected, produce } = world(written);
          const run = (): void => {
            if (!observer.poll()) return;
            const copy = text(observer);
            if (observer.holds(observer.position)) {
              kept++;
              const sequence = expected.findIndex(
                (content, index) => startOf(index) === observer.position && content === copy,
              );
              expect(sequence, `the copy at ${observer.position} is a record`).toBeGreaterThanOrEqual(0);
            } else {
              thrownAway++;
            }
          };
          const more = preempt(run, access, () => {
            for (let i = 0; i < ran; i++) produce();
          });
          if (!more) break;
        }
      }
    }
    expect(kept).toBeGreaterThan(100);
    expect(thrownAway).toBeGreaterThan(100);
  });

  it('as observer: a header that is half written over is described by nobody', () => {
    for (const read of [(o: RingObserver) => o.at(1024), (o: RingObserver) => o.poll()]) {
      for (let access = 0; ; access++) {
        const region = makeRing(4096);
        const producer = new RingProducer(region);
        const consumer = new RingConsumer(region, 0);
        const observer = new RingObserver(region);
        for (let i = 0; i < 4; i++) put(producer, record(i, 1016));
        while (consumer.poll()) consumer.release();
        observer.at(0);
        observer.poll();
        const overwrite = (): void => {
          producer.claim(2000);
          // As far as the length of the old record at 1024, not as far as its marker.
          producer.bytes.fill(0x3f, producer.offset, 1028);
        };
        const more = preempt(
          () => {
            if (read(observer)) expect(observer.length).toBe(1016);
          },
          access,
          overwrite,
        );
        if (!more) break;
      }
    }
  });

  it('as consumer: it takes every record once, in order, and holds what it has not released', () => {
    for (let written = 0; written < 12; written++) {
      for (let ran = 0; ran < 4; ran++) {
        for (let access = 0; ; access++) {
          const { producer, expected, taken, drain } = world(written);
          const more = preempt(drain, access, () => {
            for (let i = 0; i < ran; i++) {
              const content = record(i + 5, 1000);
              if (put(producer, content)) expected.push(content);
            }
          });
          drain();
          expect(taken).toEqual(expected);
          if (!more) break;
        }
      }
    }
  });
});

/** Where record `sequence` of `world` stands: worked out with plain arithmetic. */
function startOf(sequence: number): number {
  let position = 0;
  for (let i = 0; ; i++) {
    const bytes = 8 + Math.ceil(LENGTHS[i % LENGTHS.length]! / 8) * 8;
    const room = 4096 - (position % 4096);
    if (bytes > room) position += room;
    if (i === sequence) return position;
    position += bytes;
  }
}
