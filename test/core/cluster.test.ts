import { describe, expect, it } from 'vitest';
import { runCluster } from './cluster.js';

const only = process.env.SEED === undefined ? undefined : Number(process.env.SEED);

function seeds(count: number): number[] {
  return only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [only];
}

describe('clusters of Raft objects over a network and disks that misbehave', () => {
  for (const size of [3, 5]) {
    it(`${size} nodes keep Raft's promises and converge`, () => {
      let terms = 0;
      let committed = 0;
      const all = seeds(100);
      for (const seed of all) {
        const run = runCluster(seed, size, 2000);
        terms += run.terms;
        committed += run.committed;
      }
      // A harness in which nothing happens proves nothing; one seed alone may be a quiet one.
      if (only !== undefined) return;
      expect(terms / all.length).toBeGreaterThan(1.5);
      expect(committed / all.length).toBeGreaterThan(10);
    });
  }
});
