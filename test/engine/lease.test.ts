import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/engine/clock.js';
import { leaseMsOf, leaseOf, tickMsOf, ticksOf } from '../../src/engine/lease.js';
import { parseOptions } from '../../src/engine/options.js';
import { single } from './world.js';

const clock = { nowMs: () => 7 } as Clock;

function configOf(reads: object, election: object = {}) {
  return parseOptions({ ...single('d', { apply: () => undefined }), reads, election });
}

describe('a lease', () => {
  it('H67 ends before any voter that promised it may vote, however much faster its clock runs and however its ticks fall', () => {
    for (const timeoutMsMin of [300, 500, 800, 5000]) {
      for (const heartbeatIntervalMs of [40, 100]) {
        for (const clockDriftMax of [1, 1.05, 1.5, 3]) {
          const election = { timeoutMsMin, timeoutMsMax: 2 * timeoutMsMin, heartbeatIntervalMs };
          const config = configOf({ policy: 'lease', clockDriftMax }, election);
          // Of so many ticks two may pass at once: one was due already, and one came late without putting off the next.
          const countedMs = (ticksOf(config, timeoutMsMin) - 2) * tickMsOf(config);
          const lease = leaseOf(config, clock)!;
          expect(lease.length).toBeLessThanOrEqual(countedMs / clockDriftMax);
          expect(lease.length).toBeGreaterThan(0);
          expect(lease.now()).toBe(7);
        }
      }
    }
  });

  it('is not there unless reads are to rest on one', () => {
    for (const reads of [{}, { policy: 'readIndex', clockDriftMax: 2 }]) {
      expect(leaseOf(configOf(reads), clock)).toBeUndefined();
      expect(leaseMsOf(configOf(reads))).toBe(0);
    }
  });
});
