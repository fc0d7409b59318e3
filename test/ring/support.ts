import { initRing, type RingRegion, ringRegionBytes } from '../../src/ring/byte-ring.js';

/** A fresh ring in memory of its own. */
export function makeRing(capacity: number, consumers = 1, startPosition = 0): RingRegion {
  const memory = new SharedArrayBuffer(ringRegionBytes(capacity, consumers));
  const region = { memory, byteOffset: 0, capacity, consumers };
  initRing(region, startPosition);
  return region;
}

interface Claiming {
  readonly bytes: Buffer;
  readonly offset: number;
  readonly position: number;
  claim(length: number): boolean;
  publish(length: number): void;
}

interface Reading {
  readonly bytes: Buffer;
  readonly offset: number;
  readonly length: number;
}

/** Puts one record; false when the ring is full. */
export function put(producer: Claiming, content: string): boolean {
  const length = Buffer.byteLength(content);
  if (!producer.claim(length)) return false;
  producer.bytes.write(content, producer.offset);
  producer.publish(length);
  return true;
}

export function text(reader: Reading): string {
  return reader.bytes.toString('utf8', reader.offset, reader.offset + reader.length);
}

/**
 * Runs `run`; just before its atomic access number `at` (0, 1, …) the thread "loses the processor" and `intruder`
 * runs as the other threads would. Returns whether `run` had that many accesses.
 */
export function preempt(run: () => void, at: number, intruder: () => void): boolean {
  const { load, store } = Atomics;
  let accesses = 0;
  let fired = false;
  const before = (): void => {
    if (fired || accesses++ !== at) return;
    fired = true;
    intruder();
  };
  Object.assign(Atomics, {
    load: (words: Int32Array, index: number) => {
      before();
      return load(words, index);
    },
    store: (words: Int32Array, index: number, value: number) => {
      before();
      return store(words, index, value);
    },
  });
  try {
    run();
  } finally {
    Object.assign(Atomics, { load, store });
  }
  return fired;
}
