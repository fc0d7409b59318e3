import { LINK_FAULTS, type LinkFault } from './links.js';
import { COMPRESSION_CHANGE, MEMBER_CHANGES } from './member-operator.js';
import { PARTITIONS } from './partitions.js';

/** The kinds of faults: what links do all the time, and what comes now and then. */
export const FAULTS = [
  'breakStream',
  ...LINK_FAULTS,
  ...PARTITIONS,
  'slowLink',
  'powerCut',
  'kill',
  'killLeader',
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
  ...MEMBER_CHANGES,
  COMPRESSION_CHANGE,
] as const;
export type Fault = (typeof FAULTS)[number];
/** What comes at a time of its own. */
export type Incident = Exclude<Fault, LinkFault>;

/** Kinds that surely end a leadership, done to whoever leads. */
export const UNSEATING: readonly Incident[] = ['isolateLeader', 'killLeader'];

/** How many groups a run of a profile has at the least and at the most, and the chance that it has more than the least; else one. */
export const GROUPS: Readonly<Record<string, { min: number; max: number; chance: number }>> = {
  groups: { min: 2, max: 3, chance: 0.5 },
  mixed: { min: 1, max: 2, chance: 0.2 },
};

/** Profiles with runs in which a node may have several encoders. */
export const SEVERAL_ENCODERS: readonly string[] = ['calm', 'crash', 'stall', 'disk', 'groups', 'mixed'];

/** The kinds of faults that a profile knows; each run draws which of them it has, and how often. */
export const PROFILES: Readonly<Record<string, readonly Fault[]>> = {
  calm: [],
  crash: ['powerCut', 'kill', 'killLeader', 'threadDeath', 'crashInStart'],
  network: ['breakStream', ...LINK_FAULTS, ...PARTITIONS, 'slowLink'],
  disk: ['powerCut', 'kill', 'killLeader', 'slowDisk', 'stuckDisk', 'failingDisk', 'fullDisk'],
  stall: ['stallMain', 'stallThread', 'stallNode', 'isolateLeader', 'kill', 'killLeader'],
  clock: ['clockSpeed', 'wallJump', 'stallMain', 'stallNode', 'isolateLeader', 'kill', 'killLeader'],
  transfer: ['transfer', 'reordering', 'oneLink', 'slowLink', 'stallMain', 'kill', 'killLeader'],
  snapshot: [
    'isolateLeader',
    'split',
    'kill',
    'killLeader',
    'powerCut',
    'crashInStart',
    'stallNode',
    'slowSnapshots',
    'failingSnapshots',
  ],
  members: [
    ...MEMBER_CHANGES,
    COMPRESSION_CHANGE,
    ...LINK_FAULTS,
    'isolateLeader',
    'split',
    'oneWay',
    'kill',
    'killLeader',
    'powerCut',
    'transfer',
    'stallNode',
  ],
  groups: [
    ...MEMBER_CHANGES,
    COMPRESSION_CHANGE,
    ...LINK_FAULTS,
    ...PARTITIONS,
    'breakStream',
    'kill',
    'killLeader',
    'powerCut',
    'stallMain',
    'transfer',
  ],
  mixed: FAULTS,
};
