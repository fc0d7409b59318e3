import { afterEach, describe, expect, it, vi } from 'vitest';
import { Litter } from '../../src/workers/litter.js';
import { MessageBuffers } from '../../src/workers/message-buffers.js';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('garbage that makes the young generation be collected in time', () => {
  it('is a quarter of what lies outside of the heap, so a semi-space of 1 MB is full before 8 MB are', () => {
    const litter = new Litter();
    const outside = 256 * 1024;
    let made = 0;
    let messages = 0;
    for (; made < 1024 * 1024; messages++) made += litter.drop(outside);
    expect(messages * outside).toBeLessThan(6 * 1024 * 1024);
    expect(messages * outside, 'and no more often than it must').toBeGreaterThan(3 * 1024 * 1024);
    expect(litter.drop(10)).toBe(0);
  });

  it('comes in pieces that V8 does not keep apart, however large the message', () => {
    expect(new Litter().drop(64 * 1024 * 1024)).toBeLessThan(128 * 1024);
  });

  it('is made for each message that is sent', () => {
    const drop = vi.spyOn(Litter.prototype, 'drop');
    const buffers = new MessageBuffers(1 << 20);
    buffers.give(buffers.take(60_000));
    buffers.take(50_000);
    expect(drop.mock.calls).toEqual([[60_000], [50_000]]);
  });
});
