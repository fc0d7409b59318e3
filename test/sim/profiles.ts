import { PARTITIONS } from './partitions.js';

/** The kinds of faults. */
export const FAULTS = [
  'breakStream',
  ...PARTITIONS,
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
  'clockSpeed',
  'wallJump',
  'transfer',
  'slowSnapshots',
  'failingSnapshots',
] as const;
export type Fault = (typeof FAULTS)[number];

/** Kinds that surely end a leadership, done to whoever leads. */
export const UNSEATING: readonly Fault[] = ['isolateLeader', 'kill'];

/** The kinds of faults that a profile knows; each run draws which of them it has, and how often. */
export const PROFILES: Readonly<Record<string, readonly Fault[]>> = {
  calm: [],
  crash: ['powerCut', 'kill', 'threadDeath', 'crashInStart'],
  network: ['breakStream', ...PARTITIONS, 'slowLink'],
  disk: ['powerCut', 'kill', 'slowDisk', 'stuckDisk', 'failingDisk', 'fullDisk'],
  stall: ['stallMain', 'stallThread', 'stallNode', 'isolateLeader', 'kill'],
  clock: ['clockSpeed', 'wallJump', 'stallMain', 'stallNode', 'isolateLeader', 'kill'],
  transfer: ['transfer', 'oneLink', 'slowLink', 'stallMain', 'kill'],
  snapshot: [
    'isolateLeader',
    'split',
    'kill',
    'powerCut',
    'crashInStart',
    'stallNode',
    'slowSnapshots',
    'failingSnapshots',
  ],
  mixed: FAULTS,
};
