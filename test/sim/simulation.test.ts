import { randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FAULTS, PROFILES } from './profiles.js';
import type { RunReport } from './report.js';
import { drawScenario } from './scenario.js';
import { run as runScenario, runSeed } from './simulation.js';

/** Seeds that are tried until everything was seen that a test is about. */
const SEEDS_MAX = 20;

const run = (seed: number, profile: string, operations: number): Promise<RunReport> =>
  runSeed({ seed, profile, operations, leaderChanges: 1, restarts: 1, steps: 0 });

/** With the seed and the last steps, for whoever reads a failure. */
function expectWell(report: RunReport, profile: string): void {
  const again = `again: npm run sim -- --profile ${profile} --operations 120 --leader-changes 1 --restarts 1 --seed ${report.seed}`;
  expect(report.failure, `${report.trace.join('\n')}\n${again}`).toBeUndefined();
}

describe('a whole cluster from one seed', () => {
  it('is the same run twice, bit for bit, also with all faults on', async () => {
    for (const profile of ['calm', 'mixed']) {
      const first = await run(11, profile, 60);
      const second = await run(11, profile, 60);
      expectWell(first, profile);
      expect(second.hash).toBe(first.hash);
      expect(second.steps).toBe(first.steps);
      expect((await run(12, profile, 60)).hash).not.toBe(first.hash);
    }
  });

  it('elects one leader and keeps it while nothing happens', async () => {
    const report = await run(3, 'calm', 100);
    expectWell(report, 'calm');
    expect(report.leaderChanges).toBe(0);
    expect(report.acknowledged).toBeGreaterThanOrEqual(100);
  });

  for (const profile of Object.keys(PROFILES).filter((name) => name !== 'calm')) {
    it(`keeps every promise of Raft under the faults of profile ${profile}`, async () => {
      for (let seed = 1; seed <= 3; seed++) expectWell(await run(seed, profile, 120), profile);
    });
  }

  it('A4 H48 H49 logs begin behind snapshots, and followers that are too far behind install them', async () => {
    const seen = { saved: 0, received: 0 };
    for (let seed = 1; seed <= SEEDS_MAX && (seen.saved < 20 || seen.received < 3); seed++) {
      const report = await run(seed, 'snapshot', 150);
      expectWell(report, 'snapshot');
      seen.saved += report.snapshots.saved;
      seen.received += report.snapshots.received;
    }
    expect(seen.saved).toBeGreaterThanOrEqual(20);
    expect(seen.received).toBeGreaterThanOrEqual(3);
  });

  it('E7 E8 E9 H60 H61 members come, go, and lose their directories while everything else happens', async () => {
    const seen = { changes: 0, lost: 0, left: 0 };
    const isEnough = (): boolean => seen.changes >= 10 && seen.lost >= 1 && seen.left >= 2;
    for (let seed = 1; seed <= SEEDS_MAX && !isEnough(); seed++) {
      const report = await run(seed, 'members', 300);
      expectWell(report, 'members');
      seen.changes += report.changes;
      seen.lost += report.faults.get('loseDirectory') ?? 0;
      seen.left += report.faults.get('removeLeader') ?? 0;
    }
    expect(isEnough()).toBe(true);
  });

  it('H34 state machines hold only what is on their own disk, however slow, stuck, full or failing it is', async () => {
    for (let seed = 1; seed <= 2; seed++) expectWell(await run(seed, 'disk', 300), 'disk');
  });

  it('T6 a main thread that stood still counts that as one tick: of eight groups only those that it led elect', async () => {
    const groups = [1, 2, 3, 4, 5, 6, 7, 8];
    for (let seed = 1; seed <= 3; seed++) {
      const options = { seed, profile: 'calm', operations: 60, leaderChanges: 0, restarts: 0, steps: 0 };
      const report = await runScenario({
        ...drawScenario(options),
        nodes: [1, 2, 3].map(() => ({ clockRate: 1, encoders: 0, joins: false })),
        groups,
        clients: groups.map((group) => ({ group, kind: 'local', burst: 1, everyMs: 400 })),
        faults: [{ atMs: 3000, kind: 'stallMain', forMs: 4000, seed }],
        reads: 'readIndex',
      });
      expectWell(report, 'calm');
      expect(report.faults.get('stallMain')).toBe(1);
      expect(report.leaderChanges).toBeGreaterThan(0);
      expect(report.leaderChanges).toBeLessThan(groups.length);
    }
  });

  it('several groups share the nodes, their disks and their streams', async () => {
    const report = await run(1, 'groups', 300);
    expectWell(report, 'groups');
    expect(report.groups).toBeGreaterThan(1);
  });

  it('a run that had to be helped on is the same from its scenario alone', async () => {
    const options = { seed: 5, operations: 30, leaderChanges: 4, restarts: 2, steps: 0 };
    const first = await runSeed({ ...options, profile: 'crash' });
    expect(first.scenario.unseating).toEqual([]);
    const again = await runScenario(first.scenario);
    expect([again.steps, again.simulatedMs, again.acknowledged, again.leaderChanges]).toEqual([
      first.steps,
      first.simulatedMs,
      first.acknowledged,
      first.leaderChanges,
    ]);
    expect(again.hash).toBe(first.hash);
  });

  it('keeps them on seeds that nobody has tried before', async () => {
    const first = randomInt(1, 2 ** 40);
    for (let seed = first; seed < first + 3; seed++) expectWell(await run(seed, 'mixed', 200), 'mixed');
  });

  it('goes on with the faults until leadership changed and a node came back often enough', async () => {
    const options = { seed: 2, operations: 10, leaderChanges: 4, restarts: 3, steps: 0 };
    const report = await runSeed({ ...options, profile: 'crash' });
    expectWell(report, 'crash');
    expect(report.leaderChanges).toBeGreaterThanOrEqual(4);
    expect(report.restarts).toBeGreaterThanOrEqual(3);
    // Where a profile cannot bring them about, the run does without.
    expectWell(await runSeed({ ...options, profile: 'calm' }), 'calm');
  });

  it('the profile mixed knows every fault', () => {
    expect(PROFILES.mixed).toEqual(FAULTS);
  });
});
