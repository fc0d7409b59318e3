import { describe, expect, it } from 'vitest';
import { ReadTurns } from '../../src/workers/read-turns.js';

describe('for whom the log is read on', () => {
  it('whoever stands furthest back', () => {
    const turns = new ReadTurns(200);
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

  it('nobody, for a moment, while one further back has no room: then the others go on', () => {
    const turns = new ReadTurns(200);
    turns.held(1, 100, 0);
    turns.waits(2, 200, 0);
    expect(turns.next(0)).toBeUndefined();
    expect(turns.next(199)).toBeUndefined();
    expect(turns.next(201)).toBe(2);
    turns.waits(1, 100, 210);
    expect(turns.next(211), 'it has room again').toBe(1);
    turns.held(1, 100, 220);
    expect(turns.next(221), 'and is waited for anew').toBeUndefined();
    turns.held(1, 250, 222);
    expect(turns.next(223), 'but not by who stands further back').toBe(2);
  });

  it('now and then who has waited the longest, however far ahead of the others it stands', () => {
    const turns = new ReadTurns(200);
    turns.waits(9, 1_000_000, 0);
    const given: (number | undefined)[] = [];
    for (let nowMs = 0; nowMs < 3000; nowMs += 10) {
      turns.waits(1, nowMs, nowMs);
      const next = turns.next(nowMs);
      given.push(next);
      turns.done(next!);
      if (next === 9) turns.waits(9, 1_000_000, nowMs);
    }
    const first = given.indexOf(9);
    expect(first).toBeGreaterThan(90);
    expect(first).toBeLessThan(110);
    expect(given.filter((group) => group === 9)).toHaveLength(2);
  });

  it('and who is in a hurry sooner, but not more often than the others allow', () => {
    const turns = new ReadTurns(200);
    const given: (number | undefined)[] = [];
    for (let nowMs = 0; nowMs < 40; nowMs++) {
      turns.waits(1, nowMs, nowMs);
      turns.waits(9, 1_000_000, nowMs, true);
      given.push(turns.next(nowMs));
    }
    expect(given.filter((group) => group === 9)).toHaveLength(10);
  });

  it('knows who was looked for since the last turn', () => {
    const turns = new ReadTurns(200);
    turns.waits(1, 100, 0);
    turns.waits(2, 100, 0);
    expect([turns.stillWaits(1), turns.stillWaits(3)]).toEqual([true, false]);
    turns.next(0);
    expect(turns.stillWaits(2)).toBe(false);
    turns.held(2, 100, 0);
    expect(turns.stillWaits(2), 'it waits for room').toBe(false);
    turns.waits(2, 200, 0);
    expect(turns.stillWaits(2)).toBe(true);
  });
});
