import { describe, expect, it, vi } from 'vitest';
import type { Program } from '../../src/workers/program.js';
import type { SimProcess } from './process.js';
import { QuietCluster } from './quiet-cluster.js';

/** Threads look by themselves once a second, and main every five. What takes less was woken, step by step. */
vi.mock('../../src/workers/program.js', async (original) => {
  const real = await original<typeof import('../../src/workers/program.js')>();
  const sleepMsOf = (programs: readonly Program[], nowMs: number): number => {
    const ms = real.sleepMsOf(programs, nowMs);
    return ms === real.SLEEP_MS ? 1000 : ms;
  };
  return { ...real, sleepMsOf };
});
const ELECTION = { timeoutMsMin: 60_000, timeoutMsMax: 120_000, heartbeatIntervalMs: 20_000 };
const WOKEN_MS = 100;
const SEED = 7;

interface Case {
  count: number;
  /** How many encoders have a thread of their own. */
  encoders: number;
  /** Some learn of a commit before their own disk is done. */
  slowerMs: number;
}

const CASES: readonly Case[] = [
  { count: 1, encoders: 0, slowerMs: 0 },
  { count: 1, encoders: 1, slowerMs: 0 },
  { count: 1, encoders: 3, slowerMs: 0 },
  { count: 3, encoders: 0, slowerMs: 0 },
  { count: 3, encoders: 0, slowerMs: 8 },
  { count: 3, encoders: 1, slowerMs: 8 },
  { count: 3, encoders: 2, slowerMs: 8 },
];

describe.each(CASES)('nodes that only go on when they are woken: %o', (which) => {
  it('T4 what is asked of them goes from thread to thread without waiting for a tick or a look', async () => {
    const machines = () => new Map([[1, { apply: () => undefined }]]);
    const cluster = new QuietCluster({ ...which, seed: SEED, config: { election: ELECTION }, machines });
    await cluster.until(() => cluster.leader(1) !== undefined);
    await cluster.until(() => cluster.leader(1)!.turn.replica(1).applier.applied >= 2);
    const leader = cluster.leader(1)!;
    const slow: string[] = [];
    const note = (what: string, ms: number): void => {
      if (ms > WOKEN_MS) slow.push(`${what}: ${ms.toFixed(1)} ms`);
    };
    for (let round = 0; round < 40; round++) {
      const entry = Buffer.alloc(round % 5 === 0 ? 3000 : 20, round);
      let index = 0;
      leader.guard(() => void leader.turn.calls.propose(1, entry).then((placed) => (index = placed.index)));
      note('an entry', await cluster.took(() => index > 0));
      const reader = cluster.nodes[round % which.count]!;
      let read = 0;
      const fail = (error: Error): void => {
        throw error;
      };
      reader.guard(() => reader.turn.calls.read(1, {}, (point) => (read = point.index), fail));
      note('a read', await cluster.took(() => read > 0));
      const applied = (node: SimProcess): number => node.turn.replica(1).applier.applied;
      note('the followers', await cluster.took(() => cluster.nodes.every((node) => applied(node) >= index)));
      await cluster.rest();
    }
    expect(slow).toEqual([]);
    expect(cluster.leader(1)).toBe(leader);
  });
});
