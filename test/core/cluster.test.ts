import { describe, expect, it } from 'vitest';
import { type Run, runCluster } from './cluster.js';

const only = process.env.SEED === undefined ? undefined : Number(process.env.SEED);

function seeds(count: number): number[] {
  return only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [only];
}

/** The mean of all runs. */
function mean(runs: readonly Run[], count: (run: Run) => number): number {
  return runs.reduce((sum, run) => sum + count(run), 0) / runs.length;
}

describe('clusters of Raft objects over a network and disks that misbehave', () => {
  it('H55 H57 H58 H60 members come and go, in any number at a time', () => {
    const runs = seeds(100).map((seed) => runCluster(seed, 6, 3000, true));
    if (only !== undefined) return;
    expect(mean(runs, (run) => run.changes)).toBeGreaterThan(1);
    expect(mean(runs, (run) => run.committed)).toBeGreaterThan(10);
  });

  for (const size of [3, 5]) {
    it(`${size} nodes keep Raft's promises and converge; H65 H67 no read is stale, H66 none hangs`, () => {
      const runs = seeds(100).map((seed) => runCluster(seed, size, 2000));
      // A harness in which nothing happens proves nothing; one seed alone may be a quiet one.
      if (only !== undefined) return;
      expect(mean(runs, (run) => run.terms)).toBeGreaterThan(1.5);
      expect(mean(runs, (run) => run.committed)).toBeGreaterThan(10);
      expect(mean(runs, (run) => run.reads)).toBeGreaterThan(1);
      expect(mean(runs, (run) => run.leaseReads)).toBeGreaterThan(0.1);
    });
  }
});
