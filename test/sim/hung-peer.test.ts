import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/prng.js';
import { Chance } from './chance.js';
import type { Incident } from './profiles.js';
import type { RunReport } from './report.js';
import { drawScenario, type FaultEvent, type Scenario } from './scenario.js';
import { run } from './simulation.js';

const NODES = [0, 1, 2];
const SEED = 5;
/** Operations enough for about twice as long as anything here hangs. */
const OPERATIONS = 900;
const HANGS_MS = 10_000;

/** Three nodes that lead what they lead for good unless `faults` say otherwise, and a client with a steady hand. */
async function runWith(changes: Partial<Scenario>): Promise<RunReport> {
  const none = { leaderChanges: 0, restarts: 0, steps: 0 };
  const report = await run({
    ...drawScenario({ seed: SEED, profile: 'calm', operations: OPERATIONS, ...none }),
    nodes: NODES.map(() => ({ clockRate: 1, encoders: 0, joins: false })),
    clients: [{ group: 1, kind: 'local', burst: 2, everyMs: 30 }],
    reads: 'readIndex',
    compaction: undefined,
    ...changes,
  });
  expect(report.failure, report.trace.join('\n')).toBeUndefined();
  expect(report.acknowledged).toBeGreaterThanOrEqual(OPERATIONS);
  return report;
}

/** A fault that falls on the node at `at`. */
function faultOn(at: number, kind: Incident, atMs: number, forMs: number): FaultEvent {
  for (let seed = 1; ; seed++) {
    if (new Chance(seededRandom(seed)).pick(NODES) === at) return { atMs, kind, forMs, seed };
  }
}

describe('a follower that hangs while its connections stand', () => {
  it('H40 A13 holds up nobody: the others commit as fast as without it, and keep their leader', async () => {
    const calm = await runWith({ faults: [] });
    expect(calm.simulatedMs).toBeGreaterThan(1.5 * HANGS_MS);
    const changes: number[] = [];
    for (const at of NODES) {
      const hung = await runWith({ faults: [faultOn(at, 'stallNode', 1500, HANGS_MS)] });
      expect(hung.faults.get('stallNode')).toBe(1);
      changes.push(hung.leaderChanges);
      if (hung.leaderChanges === 0) expect(hung.simulatedMs).toBeLessThan(calm.simulatedMs + HANGS_MS / 4);
    }
    expect(changes.sort(), 'only where the leader hung').toEqual([0, 0, 1]);
  });
});

describe('a follower that needs a snapshot which takes long', () => {
  it('A16 holds up nobody: heartbeats and the log of the others flow on beside it', async () => {
    const compaction = { everyEntries: 20, keepEntries: 0 };
    const calm = await runWith({ faults: [], compaction });
    let installed = 0;
    for (const at of NODES) {
      const faults = [
        ...NODES.map((each) => faultOn(each, 'slowSnapshots', 1500, 60_000)),
        faultOn(at, 'kill', 1600, 4000),
      ];
      const report = await runWith({ faults, compaction });
      if (report.leaderChanges > 0) continue;
      installed += report.snapshots.received;
      expect(report.simulatedMs).toBeLessThan(calm.simulatedMs + HANGS_MS / 4);
    }
    expect(installed).toBeGreaterThanOrEqual(2);
  });
});
