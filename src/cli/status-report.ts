import type { RaftlineError } from '../base/errors.js';
import type { EngineStatus } from '../engine/status.js';
import { oneLine } from './failure.js';
import { table } from './table.js';

const KiB = 1024;
const MiB = 1024 * 1024;
/** Rings that a row names at most, the fullest first. */
const RINGS_SHOWN = 3;

const MEMBERS = [
  'node',
  'address',
  'group',
  'role',
  'term',
  'leader',
  'last',
  'durable',
  'commit',
  'applied',
  'lz4',
];
const FOLLOWERS = [
  'group',
  'follower',
  'state',
  'match',
  'next',
  'applied',
  'behind',
  'depth',
  'round trip',
  'sync',
  'connected',
];
const NODES = ['node', 'threads beside main', 'compression', 'durability', 'memory'];
const PACE = ['node', 'loop late p99, max', 'flush mean, max', 'disk silent', 'fullest rings'];
const PACE_NOTE = 'loop and flush: since the start of each node; everything else: now';

/** One member's answer. */
export interface Answer {
  id: number;
  address: string;
  status: EngineStatus | undefined;
  error: RaftlineError | undefined;
}

type GroupStatus = EngineStatus['groups'][number];
type FollowerStatus = GroupStatus['followers'][number];

/** A table of the members, the leader's view of its followers, what each node works with, and how it keeps up. */
export function report(answers: readonly Answer[]): string {
  const members: string[][] = [];
  const followers: string[][] = [];
  const pipelines: string[] = [];
  const nodes: string[][] = [];
  const leftOut: string[] = [];
  const paces: string[][] = [];
  for (const { id, address, status, error } of answers) {
    if (status === undefined) {
      members.push([String(id), address, '', `no answer: ${error === undefined ? '' : oneLine(error)}`]);
      continue;
    }
    nodes.push(nodeRow(id, status));
    paces.push(paceRow(id, status));
    const { groupsLeftOut = 0 } = status;
    if (groupsLeftOut > 0)
      leftOut.push(`node ${id}: its answer had no room for ${groupsLeftOut} more groups`);
    for (const group of status.groups) {
      const { compressor, decompressor } = status.lz4;
      const lz4 = `${compressor}, ${decompressor}`;
      members.push([String(id), address, String(group.group), roleOf(group), ...positions(group), lz4]);
      if (group.role === 'leader') pipelines.push(...pipelineLines(group));
      for (const each of group.followers) followers.push(followerRow(group, each));
    }
  }
  const parts = [table([MEMBERS, ...members]), ...leftOut];
  if (followers.length > 0) parts.push('', "the leader's view", table([FOLLOWERS, ...followers]));
  if (pipelines.length > 0) parts.push('', ...pipelines);
  if (nodes.length > 0) {
    parts.push('', table([NODES, ...nodes]));
    parts.push('', table([PACE, ...paces]), PACE_NOTE);
  }
  return `${parts.join('\n')}\n`;
}

/** Programs of one thread are joined by a plus sign. */
function nodeRow(id: number, { threads, compression, disk, memory }: EngineStatus): string[] {
  const { main: _main, ...workers } = threads;
  const plan = Object.values(workers).map((programs) => programs.join('+'));
  const held = [memory.usedBytes, memory.budgetBytes].map((bytes) => Math.round(bytes / MiB));
  return [String(id), plan.join(', '), compression ?? '', disk.durability, `${held.join(' of ')} MiB`];
}

/** Whether the main thread and the disk keep up, and where bytes wait between the threads. */
function paceRow(id: number, { health, disk, rings }: EngineStatus): string[] {
  const { delayMsP99, delayMsMax } = health.loop;
  const { msMean, msMax } = disk.flush;
  const full = Object.entries(rings)
    .map(([name, { usedBytes, capacityBytes }]) => ({
      name,
      percent: Math.round((100 * usedBytes) / capacityBytes),
    }))
    .filter(({ percent }) => percent > 0)
    .sort((a, b) => b.percent - a.percent)
    .slice(0, RINGS_SHOWN)
    .map(({ name, percent }) => `${name} ${percent} %`);
  return [
    String(id),
    `${delayMsP99.toFixed(1)}, ${delayMsMax.toFixed(1)} ms`,
    `${msMean.toFixed(1)}, ${msMax.toFixed(1)} ms`,
    `${health.diskStalledMs} ms`,
    full.length === 0 ? 'all below 1 %' : full.join(', '),
  ];
}

/** What a follower that is no voter is says more than that it follows. */
function roleOf({ role, membership }: GroupStatus): string {
  return role !== 'follower' || membership === 'voter' ? role : membership;
}

function positions({ term, leader, ...group }: GroupStatus): string[] {
  const { lastIndex, durableIndex, commitIndex, appliedIndex } = group;
  const numbers = [lastIndex, durableIndex, commitIndex, appliedIndex].map(String);
  return [String(term), leader === 0 ? 'none' : String(leader), ...numbers];
}

/** One line on the group's batches, and one for each set of followers that are sent to alike. */
function pipelineLines({ group, pipeline, followers }: GroupStatus): string[] {
  const { uncommittedBatches, batchBytesMax, batchEntriesMax, lingerUs } = pipeline;
  const depth = `depth ${depthOf(pipeline)} (${uncommittedBatches} under way)`;
  const sizes = `batches up to ${batchBytesMax / KiB} KiB or ${batchEntriesMax} entries, linger ${lingerUs} µs`;
  const alike = new Map<string, number[]>();
  for (const { id, pipeline: flow } of followers) {
    const line = flowText(flow);
    alike.set(line, [...(alike.get(line) ?? []), id]);
  }
  const flows = [...alike].map(
    ([line, ids]) => `  to ${ids.length === 1 ? 'follower' : 'followers'} ${ids.join(', ')}: ${line}`,
  );
  return [`pipeline of group ${group}`, `  ${depth}, ${sizes}`, ...flows];
}

function flowText({ inflightBytesMax, catchUpBytesPerSecond }: FollowerStatus['pipeline']): string {
  const inflight = `in flight up to ${inflightBytesMax / KiB} KiB`;
  return `${inflight}, catch-up at most ${(catchUpBytesPerSecond / MiB).toFixed(1)} MiB/s`;
}

/** As set, and what it comes to where it is found. */
function depthOf({ depth, depthNow }: { depth: number | 'auto'; depthNow: number }): string {
  return depth === 'auto' ? `auto ${depthNow}` : String(depth);
}

function times({ roundTripMs, syncMs }: { roundTripMs: number; syncMs: number }): string[] {
  return [roundTripMs, syncMs].map((ms) => `${ms.toFixed(1)} ms`);
}

function followerRow(group: GroupStatus, follower: FollowerStatus): string[] {
  const { id, state, match, next, applied, connected, pipeline } = follower;
  const numbers = [match, next, applied, Math.max(0, group.lastIndex - match)].map(String);
  const depth = depthOf(pipeline);
  return [
    String(group.group),
    String(id),
    state,
    ...numbers,
    depth,
    ...times(pipeline),
    connected ? 'yes' : 'no',
  ];
}
