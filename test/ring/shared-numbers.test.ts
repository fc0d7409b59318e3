import { describe, expect, it } from 'vitest';
import { Cursor } from '../../src/ring/cursor.js';
import { lineBytes, SharedAllocator } from '../../src/ring/region.js';

describe('a cursor', () => {
  it('is born 0 and tells every reader what was stored last, up to 2^53 − 1', () => {
    const memory = new SharedArrayBuffer(2 * Cursor.BYTES);
    const writer = new Cursor(memory, Cursor.BYTES);
    const reader = new Cursor(memory, Cursor.BYTES);
    expect(reader.load()).toBe(0);
    for (const value of [1, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER]) {
      writer.store(value);
      expect(reader.load()).toBe(value);
    }
    expect(new Cursor(memory, 0).load()).toBe(0);
  });

  it('only grows, for the writer after it too', () => {
    const memory = new SharedArrayBuffer(Cursor.BYTES);
    new Cursor(memory, 0).store(7);
    const heir = new Cursor(memory, 0);
    expect(() => heir.store(6)).toThrow(/a cursor at 7 only grows, not to 6/);
    expect(() => heir.store(2 ** 53)).toThrow(/only grows/);
    expect(() => heir.store(7.5)).toThrow(/only grows/);
    expect(() => heir.store(Number.NaN)).toThrow(/only grows/);
    expect(heir.load()).toBe(7);
  });
});

describe('the shared allocator', () => {
  it('deals out whole lines, front to back, and throws when there is no more', () => {
    const allocator = new SharedAllocator(new SharedArrayBuffer(256));
    expect([allocator.take(1), allocator.take(64), allocator.take(0), allocator.take(65)]).toEqual([
      0, 64, 128, 128,
    ]);
    expect(allocator.used).toBe(256);
    expect(lineBytes(1) + lineBytes(64) + lineBytes(65)).toBe(256);
    expect(() => allocator.take(1)).toThrow(/at most 0 bytes \(all that is left of 256\), received 1/);
    expect(allocator.used).toBe(256);
  });

  it('throws on sizes that are none', () => {
    const allocator = new SharedAllocator(new SharedArrayBuffer(256));
    for (const bytes of [-64, Number.NaN, Number.POSITIVE_INFINITY, 257]) {
      expect(() => allocator.take(bytes)).toThrow(/shared memory/);
    }
    expect(allocator.used).toBe(0);
  });
});
