import { assert } from '../base/assert.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import {
  CAPACITY_MAX,
  CAPACITY_MIN,
  CAPACITY_WORD,
  CLAIMED_LINE,
  CONSUMERS_WORD,
  FIRST_CONSUMER_LINE,
  IDENTITY_LINE,
  LINE_BYTES,
  LINE_WORDS,
  MAGIC_WORD,
  PUBLISHED_LINE,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  RING_MAGIC,
} from './layout.js';
import { PositionCell } from './position.js';

/** Where a ring lives. A plain object: it travels to other threads as it is. */
export interface RingRegion {
  memory: SharedArrayBuffer;
  /** Start of the region, a multiple of 64. */
  byteOffset: number;
  /** Size of the data area in bytes: a power of two, 4096 … 2^30. */
  capacity: number;
  /** How many consumers gate the producer, ≥ 1. */
  consumers: number;
}

const IDENTITY = IDENTITY_LINE * LINE_WORDS;

/** The longest record that a ring of that capacity takes: one that fits wherever the ring stands, once everything is released. */
export function recordBytesMax(capacity: number): number {
  return capacity / 2 - RECORD_HEADER_BYTES;
}

/** The shared bytes that a region needs: a multiple of 64. Throws OptionInvalid on a capacity or count out of range. */
export function ringRegionBytes(capacity: number, consumers: number): number {
  const powerOfTwo = Number.isInteger(capacity) && Number.isInteger(Math.log2(capacity));
  if (!powerOfTwo || capacity < CAPACITY_MIN || capacity > CAPACITY_MAX) {
    const expected = `a power of two, ${CAPACITY_MIN} … ${CAPACITY_MAX} bytes`;
    throw invalid('ring capacity', expected, capacity);
  }
  if (!Number.isInteger(consumers) || consumers < 1) {
    throw invalid('number of gating ring consumers', 'a whole number ≥ 1', consumers);
  }
  return dataOffset(consumers) + capacity;
}

/**
 * Makes the region an empty ring. The creator calls this exactly once, before anybody attaches.
 * `startPosition` is the position of the first record: a multiple of 8, default 0. Throws OptionInvalid.
 */
export function initRing(region: RingRegion, startPosition = 0): void {
  checkBounds(region);
  if (
    !(startPosition >= 0 && startPosition < Number.MAX_SAFE_INTEGER) ||
    startPosition % RECORD_ALIGNMENT !== 0
  ) {
    throw invalid('start position of a ring', `a multiple of ${RECORD_ALIGNMENT} below 2^53`, startPosition);
  }
  const words = controlWords(region);
  for (let line = PUBLISHED_LINE; line < FIRST_CONSUMER_LINE + region.consumers; line++) {
    new PositionCell(words, line).reset(startPosition);
  }
  Atomics.store(words, IDENTITY + CAPACITY_WORD, region.capacity);
  Atomics.store(words, IDENTITY + CONSUMERS_WORD, region.consumers);
  Atomics.store(words, IDENTITY + MAGIC_WORD, RING_MAGIC);
}

/** What each side of a ring works on. */
export interface OpenRing {
  /** The data area, as bytes. */
  bytes: Buffer;
  /** The data area, as numbers: every record's payload begins at a multiple of eight bytes. */
  numbers: Float64Array;
  /** The data area, as the words of record headers. */
  headers: Int32Array;
  published: PositionCell;
  claimed: PositionCell;
  /** One per gating consumer. */
  released: PositionCell[];
}

/** Attaches to an initialised ring. Throws OptionInvalid on impossible bounds, Internal where no such ring was made. */
export function openRing(region: RingRegion): OpenRing {
  checkBounds(region);
  const words = controlWords(region);
  assert(
    Atomics.load(words, IDENTITY + MAGIC_WORD) === RING_MAGIC &&
      Atomics.load(words, IDENTITY + CAPACITY_WORD) === region.capacity &&
      Atomics.load(words, IDENTITY + CONSUMERS_WORD) === region.consumers,
    `the region at byte ${region.byteOffset} was initialised as a ring of capacity ${region.capacity} with ${region.consumers} consumers`,
  );
  const start = region.byteOffset + dataOffset(region.consumers);
  return {
    bytes: Buffer.from(region.memory, start, region.capacity),
    numbers: new Float64Array(region.memory, start, region.capacity / 8),
    headers: new Int32Array(region.memory, start, region.capacity / 4),
    published: new PositionCell(words, PUBLISHED_LINE),
    claimed: new PositionCell(words, CLAIMED_LINE),
    released: Array.from(
      { length: region.consumers },
      (_, index) => new PositionCell(words, FIRST_CONSUMER_LINE + index),
    ),
  };
}

/** Bytes that some consumer has not released, as somebody outside sees it: both ends may move meanwhile. */
export function usedBytes(region: RingRegion): number {
  const { published, released } = openRing(region);
  const oldest = Math.min(...released.map((cell) => cell.load()));
  return published.load() - oldest;
}

/** Rounds a record's payload up to where the next record may start. */
export function alignRecord(length: number): number {
  return (length + (RECORD_ALIGNMENT - 1)) & -RECORD_ALIGNMENT;
}

function dataOffset(consumers: number): number {
  return (FIRST_CONSUMER_LINE + consumers) * LINE_BYTES;
}

function controlWords(region: RingRegion): Int32Array {
  return new Int32Array(region.memory, region.byteOffset, dataOffset(region.consumers) / 4);
}

function checkBounds(region: RingRegion): void {
  const { byteOffset, memory } = region;
  const bytes = ringRegionBytes(region.capacity, region.consumers);
  if (!Number.isInteger(byteOffset) || byteOffset < 0 || byteOffset % LINE_BYTES !== 0) {
    throw invalid('offset of a ring region', `a multiple of ${LINE_BYTES}`, byteOffset);
  }
  if (byteOffset + bytes > memory.byteLength) {
    throw invalid(
      'shared memory of a ring region',
      `at least ${byteOffset + bytes} bytes`,
      memory.byteLength,
    );
  }
}

function invalid(thing: string, expected: string, received: number): RaftlineError {
  const message = `${thing}: expected ${expected}, received ${received}`;
  return new RaftlineError(ErrorCode.OptionInvalid, message, { expected, received });
}
