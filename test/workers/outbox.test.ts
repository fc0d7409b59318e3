import { describe, expect, it } from 'vitest';
import { Outbox } from '../../src/workers/outbox.js';
import { makeCursor } from './parts.js';

describe('the outbox', () => {
  it('H1 H31 nothing leaves before the order that it names is durable', () => {
    const durable = makeCursor();
    const outbox = new Outbox(durable);
    const sent: string[] = [];
    durable.store(5);
    outbox.add(5, () => sent.push('at once'));
    outbox.add(6, () => sent.push('after 6'));
    outbox.add(9, () => sent.push('after 9'));
    outbox.add(0, () => sent.push('on nothing'));
    expect(sent).toEqual(['at once', 'on nothing']);
    expect(outbox.poll()).toBe(false);
    durable.store(8);
    expect(outbox.poll()).toBe(true);
    expect(sent).toEqual(['at once', 'on nothing', 'after 6']);
    expect(outbox.poll()).toBe(false);
    durable.store(9);
    outbox.poll();
    expect(sent.at(-1)).toBe('after 9');
    expect(sent.length).toBe(4);
    expect(outbox.poll(), 'each leaves once').toBe(false);
  });

  it('T4 what waits is looked at again, and keeps its order', () => {
    const durable = makeCursor();
    const outbox = new Outbox(durable);
    const sent: number[] = [];
    for (const after of [3, 2, 3, 1]) outbox.add(after, () => sent.push(sent.length * 10 + after));
    durable.store(3);
    outbox.poll();
    expect(sent).toEqual([3, 12, 23, 31]);
  });

  it('of acknowledgements that one sync makes due, the newest of each session leaves, in its place among the others', () => {
    const durable = makeCursor();
    const outbox = new Outbox(durable);
    const sent: string[] = [];
    const add = (after: number, text: string, newestOf?: string) =>
      outbox.add(after, () => sent.push(text), newestOf);
    add(1, 'a to 1', 'a');
    add(2, 'a to 2', 'a');
    add(2, 'vote');
    add(3, 'a to 3', 'a');
    add(3, 'b to 3', 'b');
    add(4, 'refusal');
    add(4, 'refusal');
    add(5, 'a to 5', 'a');
    add(9, 'a to 9', 'a');
    durable.store(5);
    outbox.poll();
    expect(sent).toEqual(['a to 2', 'vote', 'a to 3', 'b to 3', 'refusal', 'refusal', 'a to 5']);
    durable.store(9);
    outbox.poll();
    expect(sent.at(-1)).toBe('a to 9');
  });

  it('holds a bounded number, of which the oldest goes first', () => {
    const durable = makeCursor();
    const outbox = new Outbox(durable);
    const sent: number[] = [];
    for (let message = 1; message <= 5000; message++) outbox.add(7, () => sent.push(message));
    expect(outbox.dropped).toBe(5000 - 4096);
    durable.store(7);
    outbox.poll();
    expect(sent.length).toBe(4096);
    expect(sent[0]).toBe(905);
    expect(sent.at(-1)).toBe(5000);
  });
});
