import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/engine/clock.js';
import { Loop } from '../../src/engine/loop.js';
import { Gate } from '../../src/ring/gate.js';

/** A loop under time that a test moves; says when it took turns. */
function make() {
  let nowMs = 0;
  let pending: { dueMs: number; run: () => void }[] = [];
  const soon: (() => void)[] = [];
  const turnsMs: number[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    wallMs: () => nowMs,
    every: () => () => {},
    after: (delayMs, run) => pending.push({ dueMs: nowMs + delayMs, run }),
    soon: (run) => soon.push(run),
    sleep: () => true,
  };
  const settle = (): void => {
    for (let run = soon.shift(); run !== undefined; run = soon.shift()) run();
  };
  const turn = (): boolean => {
    turnsMs.push(nowMs);
    return false;
  };
  const gate = new Gate(new SharedArrayBuffer(Gate.BYTES), 0);
  const loop = new Loop({ clock, gate, tickMs: 1000, turn, hasWork: () => false });
  const advanceTo = (ms: number): void => {
    for (; nowMs < ms; nowMs++) {
      const due = pending.filter(({ dueMs }) => dueMs <= nowMs);
      pending = pending.filter(({ dueMs }) => dueMs > nowMs);
      for (const { run } of due) run();
      settle();
    }
  };
  loop.start(() => {});
  settle();
  turnsMs.length = 0;
  return { loop, turnsMs, advanceTo, settle, waiting: () => pending.length };
}

describe('a turn that is due later', () => {
  it('comes when it is due, also beside one that is due later still', () => {
    const { loop, turnsMs, advanceTo } = make();
    loop.scheduleIn(100);
    loop.scheduleIn(3);
    advanceTo(200);
    expect(turnsMs).toEqual([3, 100]);
  });

  it('is asked for again and again, and takes one timer', () => {
    const { loop, turnsMs, advanceTo, waiting } = make();
    for (let at = 0; at < 50; at++) {
      loop.scheduleIn(60 - at);
      advanceTo(at + 1);
    }
    expect(waiting()).toBe(1);
    advanceTo(200);
    expect(turnsMs).toEqual([60]);
  });

  it('comes at once where no timer is that fine', () => {
    const { loop, turnsMs, settle } = make();
    loop.scheduleIn(0.4);
    settle();
    expect(turnsMs).toEqual([0]);
  });
});
