import { describe, expect, it } from 'vitest';
import { MessageBuffers } from '../../src/workers/message-buffers.js';

describe('memory of messages', () => {
  it('is used again once a message has left, for any message that fits it', () => {
    const buffers = new MessageBuffers(1 << 20);
    const first = buffers.take(60_000);
    expect(first.length).toBe(60_000);
    buffers.give(first);
    const second = buffers.take(61_000);
    expect(second.length).toBe(61_000);
    expect(second.buffer).toBe(first.buffer);
    expect(buffers.take(61_000).buffer, 'only once at a time').not.toBe(first.buffer);
  });

  it('is never shorter than asked for', () => {
    const buffers = new MessageBuffers(1 << 20);
    const small = buffers.take(100);
    buffers.give(small);
    const large = buffers.take(100_000);
    expect(large.length).toBe(100_000);
    expect(large.buffer).not.toBe(small.buffer);
  });

  it('that rests is bounded, and sizes that nobody asks for any more do not stay', () => {
    const buffers = new MessageBuffers(64 * 1024);
    const small = Array.from({ length: 4 }, () => buffers.take(16 * 1024));
    for (const bytes of small) buffers.give(bytes);
    const large = buffers.take(48 * 1024);
    buffers.give(large);
    expect(buffers.take(48 * 1024).buffer).toBe(large.buffer);
    const memories = new Set(small.map(({ buffer }) => buffer));
    expect(memories.has(buffers.take(1024).buffer), 'the small ones were let go').toBe(false);
    const huge = buffers.take(100 * 1024);
    buffers.give(huge);
    expect(buffers.take(100 * 1024).buffer, 'more than may rest').not.toBe(huge.buffer);
  });
});
