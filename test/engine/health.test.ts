import { describe, expect, it } from 'vitest';
import { Health, handOverUnfit } from '../../src/engine/health.js';
import type { Replica } from '../../src/engine/replica.js';

const TICK_MS = 25;

function makeHealth(handOverAfterMs = 1000) {
  const health = new Health({ lateMs: 250, handOverAfterMs });
  const world = { nowMs: 5000, newest: 0, durable: 0 };
  /** Ticks for `ms`, each `lateMs` after it was due. */
  const pass = (ms: number, lateMs = 0) => {
    for (const end = world.nowMs + ms; world.nowMs < end; ) {
      world.nowMs += TICK_MS + lateMs;
      health.tick(world.nowMs, lateMs, world.newest, world.durable);
    }
  };
  pass(TICK_MS);
  return { health, world, pass };
}

describe("a leader's health", () => {
  it('H44 a disk that finishes nothing while something waits is complained of after the bound', () => {
    const { health, world, pass } = makeHealth();
    world.newest = 7;
    pass(900);
    expect(health.complaint()).toBeUndefined();
    pass(200);
    expect(health.complaint()).toMatch(/the disk has finished no write for 1\d\d\d ms/);
    expect(health.status().diskStalledMs).toBeGreaterThanOrEqual(1000);
    world.durable = 7;
    pass(TICK_MS);
    expect(health.complaint()).toBeUndefined();
    expect(health.status().diskStalledMs).toBe(0);
  });

  it('a disk that is slow and goes on, or has nothing to do, is none to complain of', () => {
    const { health, world, pass } = makeHealth();
    for (world.newest = 100; world.durable < 20; world.durable++) pass(500);
    expect(health.complaint()).toBeUndefined();
    world.durable = world.newest;
    pass(60_000);
    expect(health.complaint()).toBeUndefined();
  });

  it('H43 a main thread that is late for every tick is complained of; one long stall is not', () => {
    const { health, pass } = makeHealth();
    pass(10_000, 10_000);
    expect(health.complaint()).toBeUndefined();
    pass(2000);
    pass(1200, 300);
    expect(health.complaint()).toMatch(/late to its ticks for 1000 ms longer than in time/);
    pass(TICK_MS);
    expect(health.complaint()).toBeUndefined();
    expect(health.status().loop.delayMsMax).toBeGreaterThanOrEqual(9990);
  });

  it('H43 a main thread that is blocked most of the time is complained of, whatever breaks it takes', () => {
    const { health, pass } = makeHealth();
    const complaints: unknown[] = [];
    for (let stall = 0; stall < 4; stall++) {
      pass(1, 900);
      complaints.push(health.complaint());
      pass(100);
    }
    expect(complaints.map((complaint) => complaint !== undefined)).toEqual([false, false, true, true]);
    pass(1000);
    expect(health.complaint()).toBeUndefined();
  });

  it('a main thread that is in time for longer than it stalls is none to complain of', () => {
    const { health, pass } = makeHealth();
    for (let stall = 0; stall < 100; stall++) {
      pass(1, 375);
      pass(425);
      expect(health.complaint()).toBeUndefined();
    }
    pass(1, 60_000);
    pass(25);
    pass(1, 400);
    expect(health.complaint()).toBeUndefined();
  });

  it('a loaded main thread, none of whose ticks is later than half of an election timeout, is none to complain of', () => {
    const { health, pass } = makeHealth();
    pass(60_000, 250);
    expect(health.complaint()).toBeUndefined();
  });

  it("a stall of the main thread is not the disk's", () => {
    const { health, world, pass } = makeHealth();
    world.newest = 7;
    pass(5000, 5000);
    expect(health.complaint()).toBeUndefined();
  });

  it('without a bound nobody complains', () => {
    const { health, world, pass } = makeHealth(0);
    world.newest = 7;
    pass(60_000);
    expect(health.complaint()).toBeUndefined();
  });
});

describe('handing over', () => {
  const leader = (changes: object = {}) => {
    const told: number[] = [];
    const follower = (id: number, match: number, state = 'replicate') => ({ id, match, state });
    const status = {
      role: 'leader',
      transferTo: 0,
      configuration: { configuration: { voters: [1, 2, 3, 4] } },
      progress: [follower(2, 5), follower(3, 8), follower(4, 9, 'probe'), follower(5, 9)],
      ...changes,
    };
    const replica = { group: 7, status: () => status, transferLeadership: (to: number) => told.push(to) };
    const warnings: string[] = [];
    const run = (complaint?: string) =>
      handOverUnfit(complaint, [replica as unknown as Replica], (text) => warnings.push(text));
    return { run, told, warnings };
  };

  it('goes to the voter that has most of the log and is being streamed to', () => {
    const { run, told, warnings } = leader();
    run('the disk hangs');
    expect(told).toEqual([3]);
    expect(warnings).toEqual(['group 7: the disk hangs; leadership is being handed to node 3']);
  });

  it('does not happen without a follower that could, twice at a time, on a follower, or without a complaint', () => {
    for (const changes of [{ progress: [] }, { transferTo: 2 }, { role: 'follower' }]) {
      const { run, told, warnings } = leader(changes);
      run('the disk hangs');
      expect([told, warnings]).toEqual([[], []]);
    }
    const { run, told } = leader();
    run();
    expect(told).toEqual([]);
  });
});
