import type { Scheduler } from './scheduler.js';

/** Mean time between two faults of each kind, simulated seconds; Infinity: never. */
export const FAULTS = [
  'breakStream',
  'split',
  'oneWay',
  'bridge',
  'oneLink',
  'isolateLeader',
  'slowLink',
  'powerCut',
  'kill',
  'threadDeath',
  'crashInStart',
  'slowDisk',
  'stuckDisk',
  'failingDisk',
  'fullDisk',
  'stallMain',
  'stallThread',
  'stallNode',
] as const;
export type Fault = (typeof FAULTS)[number];

/** The kinds of faults that a profile knows; each run draws which of them it has, and how often. */
export const PROFILES: Readonly<Record<string, readonly Fault[]>> = {
  calm: [],
  crash: ['powerCut', 'kill', 'threadDeath', 'crashInStart'],
  network: ['breakStream', 'split', 'oneWay', 'bridge', 'oneLink', 'isolateLeader', 'slowLink'],
  disk: ['powerCut', 'kill', 'slowDisk', 'stuckDisk', 'failingDisk', 'fullDisk'],
  stall: ['stallMain', 'stallThread', 'stallNode', 'isolateLeader', 'kill'],
  mixed: FAULTS,
};

/** What one run does, drawn from its seed. */
export interface Plan {
  nodes: number;
  meanMs: ReadonlyMap<Fault, number>;
  localWriters: number;
  remoteWriters: number;
  /** Mean time between two entries of a writer. */
  everyMs: number;
}

export function drawPlan(scheduler: Scheduler, kinds: readonly Fault[]): Plan {
  const meanMs = new Map<Fault, number>();
  for (const kind of kinds) {
    if (scheduler.chance(0.35)) continue;
    // From every three seconds to every minute.
    meanMs.set(kind, 3000 * 20 ** scheduler.random());
  }
  const nodes = scheduler.chance(0.65) ? 3 : scheduler.chance(0.75) ? 5 : scheduler.chance(0.5) ? 4 : 1;
  const localWriters = scheduler.integer(1, 2);
  const remoteWriters = scheduler.integer(1, 3);
  return { nodes, meanMs, localWriters, remoteWriters, everyMs: (localWriters + remoteWriters) * 22 };
}
