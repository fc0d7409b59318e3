import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type { Clock } from '../../src/engine/clock.js';
import { leaseMsOf, leaseOf, tickMsOf, ticksOf } from '../../src/engine/lease.js';
import { parseOptions } from '../../src/engine/options.js';
import { Reads } from '../../src/engine/reads.js';
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

describe('a read by lease', () => {
  it('H67 looks at the lease again once the state that is read stands, and asks a quorum if it has run out', () => {
    const asked: (boolean | undefined)[] = [];
    let leaseHolds = true;
    const raft = {
      readIndex: (_context: number, lease?: boolean) => {
        asked.push(lease);
        return 'pending' as const;
      },
      leaseHolds: () => leaseHolds,
    };
    const config = configOf({ policy: 'lease' });
    const notLeader = () => new RaftlineError(ErrorCode.NotLeader, 'not here');
    const reads = new Reads({ group: 1, raft, clock, config, notLeader, leaderKnown: () => true });
    const answered: number[] = [];
    const read = () =>
      reads.add(
        {},
        ({ index }) => answered.push(index),
        () => {},
      );
    const confirmed = (context: number, index: number, byLease: boolean) =>
      reads.take({ readStates: [{ context, index, byLease }], readsFailed: [] });
    read();
    confirmed(1, 5, true);
    expect(reads.settle(5)).toBe(false);
    expect(answered).toEqual([5]);
    read();
    confirmed(2, 6, true);
    leaseHolds = false;
    expect(reads.settle(5), 'not applied yet').toBe(false);
    expect(reads.settle(6), 'the core is to go on with it').toBe(true);
    expect([answered, asked]).toEqual([[5], [true, true, false]]);
    confirmed(2, 8, false);
    reads.settle(8);
    expect(answered).toEqual([5, 8]);
  });
});
