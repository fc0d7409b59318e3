import { describe, expect, it } from 'vitest';
import { ReadTurns } from '../../src/workers/read-turns.js';

const HOLD_MS = 10;

describe('for whom the log is read on', () => {
  it('whoever stands furthest back', () => {
    const turns = new ReadTurns(HOLD_MS);
    expect(turns.next(0)).toBeUndefined();
    turns.waits(1, 300, 0);
    turns.waits(2, 100, 0);
    turns.waits(3, 200, 0);
    expect(turns.next(1)).toBe(2);
    turns.waits(2, 250, 1);
    expect(turns.next(2)).toBe(3);
    turns.done(3);
    expect(turns.next(3)).toBe(2);
  });

  it('nobody for a moment after a read, while one has no room for what was read; then the others go on', () => {
    const turns = new ReadTurns(HOLD_MS);
    turns.waits(1, 100, 0);
    turns.waits(2, 100, 0);
    expect(turns.next(0)).toBe(1);
    turns.done(1);
    turns.held(1, 1);
    expect([turns.next(1), turns.next(9)]).toEqual([undefined, undefined]);
    expect(turns.next(10)).toBe(2);
    turns.done(1);
    turns.held(1, 11);
    expect(turns.next(12), 'it got on: it is waited for again').toBeUndefined();
    turns.done(1);
    expect(turns.next(13), 'nobody is held').toBe(2);
  });

  it('is not held up by one that has had no room for long', () => {
    const turns = new ReadTurns(HOLD_MS);
    turns.held(1, 0);
    let given = 0;
    for (let nowMs = 200; nowMs < 300; nowMs++) {
      turns.held(1, nowMs);
      turns.waits(2, nowMs, nowMs);
      if (turns.next(nowMs) === 2) given++;
    }
    expect(given).toBe(100);
  });

  it('now and then who has waited the longest, however far ahead of the others it stands', () => {
    const turns = new ReadTurns(HOLD_MS);
    const given: (number | undefined)[] = [];
    for (let nowMs = 0; nowMs < 80; nowMs++) {
      for (const ahead of [8, 9]) {
        // What it waits for changes nothing about since when.
        if (nowMs % 2 === 0) turns.held(ahead, nowMs);
        turns.waits(ahead, 1_000_000, nowMs);
      }
      turns.done(1);
      turns.waits(1, nowMs, nowMs);
      const next = turns.next(nowMs)!;
      given.push(next);
      turns.done(next);
    }
    const often = (group: number) => given.filter((each) => each === group).length;
    expect([often(1), often(8), often(9)]).toEqual([60, 10, 10]);
  });

  it('knows who was looked for since the last turn', () => {
    const turns = new ReadTurns(HOLD_MS);
    turns.waits(1, 100, 0);
    turns.waits(2, 100, 0);
    expect([turns.stillWaits(1), turns.stillWaits(3)]).toEqual([true, false]);
    turns.next(0);
    expect(turns.stillWaits(2)).toBe(false);
    turns.held(2, 0);
    expect(turns.stillWaits(2), 'it waits for room').toBe(false);
    turns.waits(2, 200, 0);
    expect(turns.stillWaits(2)).toBe(true);
  });
});
