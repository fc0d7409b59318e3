import { ErrorCode, type RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId, Term } from '../base/ids.js';
import type { Configuration } from '../base/messages.js';
import type { Lz4Implementations } from '../codec/compression.js';
import type { FollowerFlow } from '../workers/settings.js';
import type { Counters, DiskStatus, EncoderStatus, Held, RingStatus } from './counters.js';
import type { HealthStatus } from './health.js';
import type { MemoryParts } from './memory-plan.js';
import type { CompressionPolicy, Config } from './options.js';
import type { GroupPipeline, Pipelines } from './pipeline.js';
import type { Replica } from './replica.js';

/** The leader's view of one follower. */
export interface FollowerStatus {
  id: NodeId;
  state: 'probe' | 'replicate' | 'snapshot';
  /** Known to be durable there. */
  match: LogIndex;
  next: LogIndex;
  /** What its state machine has taken, as its acknowledgements said; goes back only if it starts anew. */
  applied: LogIndex;
  /** Whether the append stream to it is up. */
  connected: boolean;
  /**
   * How much may be in flight to it, as set; `depthNow` messages at this moment. What it is judged by where it is 'auto', the shortest of late:
   * the round trip, and on top of it what the follower takes to write and sync, ms.
   */
  pipeline: FollowerFlow & { depthNow: number; roundTripMs: number; syncMs: number };
}

export interface GroupStatus {
  group: GroupId;
  role: 'follower' | 'candidate' | 'leader';
  term: Term;
  /** 0: not known. */
  leader: NodeId;
  lastIndex: LogIndex;
  durableIndex: LogIndex;
  commitIndex: LogIndex;
  appliedIndex: LogIndex;
  entriesApplied: number;
  /** Entries that the session table turned away. */
  duplicates: number;
  configuration: Configuration;
  /** What this node is in it. `waiting`: to be added, or its log does not say yet. `removed`: its peers say so; it takes no part any more. */
  membership: 'voter' | 'learner' | 'waiting' | 'removed';
  /**
   * The settings in force; `depthNow` batches may be uncommitted at this moment, and so many are. `commitMs`: the shortest of late that a
   * batch took from being sealed to its commit.
   */
  pipeline: GroupPipeline & { depthNow: number; uncommittedBatches: number; commitMs: number };
  followers: FollowerStatus[];
}

/** What an engine holds, and may hold, of payload: `memory.budgetBytes`. */
export interface MemoryStatus {
  budgetBytes: number;
  /** What is reserved, and what open batches and queues hold at the moment. */
  usedBytes: number;
  parts: Record<keyof MemoryParts, { usedBytes: number; limitBytes: number }>;
}

/** What holds of an engine from its start to its end. */
export interface EngineFacts {
  readonly config: Config;
  readonly incarnation: number;
  readonly lz4: Lz4Implementations;
  /** Programs by worker thread. */
  readonly plan: readonly (readonly string[])[];
  readonly parts: MemoryParts;
}

export interface EngineStatus {
  /** `failed`: it ended by itself, and `failure` says why. */
  state: 'running' | 'closed' | 'failed';
  failure?: { code: string; message: string };
  id: NodeId;
  cluster: string;
  address: string;
  incarnation: number;
  /** The option, of what this node seals where it leads; groups may allow less (`configuration.compressionLevel`). Missing: the node is older. */
  compression?: CompressionPolicy;
  /** Who compresses on this node, where it leads, and who decompresses. */
  lz4: Lz4Implementations;
  /** Programs by thread. */
  threads: Record<string, string[]>;
  disk: DiskStatus;
  health: HealthStatus;
  memory: MemoryStatus;
  /** How full the rings between the threads are. */
  rings: RingStatus;
  encoder: EncoderStatus;
  rssBytes: number;
  /** Processor time of the whole process since it started, all threads, ms. */
  cpuMs: number;
  groups: GroupStatus[];
  /** Groups that a remote client was not told of; missing where it was told of all. A client asks again for what a message had no room for. */
  groupsLeftOut?: number;
}

export function groupStatus(
  replica: Replica,
  { isConnected, pipelines }: Pick<StatusSource, 'isConnected' | 'pipelines'>,
): GroupStatus {
  const { role, term, leader, lastIndex, durableIndex, commitIndex, configuration, progress } =
    replica.status();
  const { applied, entriesApplied, duplicates } = replica.applier;
  return {
    group: replica.group,
    role,
    term,
    leader,
    lastIndex,
    durableIndex,
    commitIndex,
    appliedIndex: applied,
    entriesApplied,
    duplicates,
    configuration: configuration.configuration,
    membership: membershipOf(replica, configuration.configuration),
    pipeline: pipelineOf(replica),
    followers: progress.map(({ id, state, match, next }) => ({
      id,
      state,
      match,
      next,
      applied: replica.followersSeen.of(id).applied,
      connected: isConnected(id),
      pipeline: { ...pipelines.ofFollower(replica.group, id), ...flowSeen(replica, id) },
    })),
  };
}

function pipelineOf({ proposals }: Replica): GroupStatus['pipeline'] {
  const { pipeline, depth: depthNow, commitMs, near } = proposals;
  return { ...pipeline, depthNow, uncommittedBatches: near.uncommitted, commitMs };
}

function flowSeen({ followersSeen }: Replica, id: NodeId) {
  const { depth: depthNow, roundTripMs, durableMs } = followersSeen.of(id);
  return { depthNow, roundTripMs, syncMs: Math.max(0, durableMs - roundTripMs) };
}

function membershipOf(
  { retired, id }: Replica,
  { voters, votersOutgoing, learners }: Configuration,
): GroupStatus['membership'] {
  if (retired) return 'removed';
  if (voters.includes(id) || votersOutgoing.includes(id)) return 'voter';
  return learners.includes(id) ? 'learner' : 'waiting';
}

/** Where an engine's status is read from. */
export interface StatusSource {
  readonly replicas: ReadonlyMap<GroupId, Replica>;
  counters(): Counters;
  isConnected: (peer: NodeId) => boolean;
  readonly pipelines: Pick<Pipelines, 'of' | 'ofFollower'>;
  /** Why it stopped; undefined while it runs. */
  readonly stopped: RaftlineError | undefined;
}

export function engineStatus(turn: StatusSource, about: EngineFacts, address: string): EngineStatus {
  const { held, ...counters } = turn.counters();
  const { user, system } = process.cpuUsage();
  const threads: Record<string, string[]> = { main: ['turn'] };
  about.plan.forEach((programs, at) => {
    threads[`worker-${at + 1}`] = [...programs];
  });
  return {
    ...stateOf(turn.stopped),
    id: about.config.id,
    cluster: about.config.cluster,
    address,
    incarnation: about.incarnation,
    compression: about.config.compression,
    lz4: about.lz4,
    threads,
    ...counters,
    memory: memoryStatus(about.parts, held, about.config.memory.budgetBytes),
    rssBytes: process.memoryUsage.rss(),
    cpuMs: (user + system) / 1000,
    groups: [...turn.replicas.values()].map((replica) => groupStatus(replica, turn)),
  };
}

function memoryStatus(limits: MemoryParts, held: Held, budgetBytes: number): MemoryStatus {
  const used: MemoryParts = { ...limits, ...held };
  const names = Object.keys(limits) as (keyof MemoryParts)[];
  const part = (name: keyof MemoryParts) => [name, { usedBytes: used[name], limitBytes: limits[name] }];
  const parts = Object.fromEntries(names.map(part)) as MemoryStatus['parts'];
  return { budgetBytes, usedBytes: names.reduce((sum, name) => sum + used[name], 0), parts };
}

function stateOf(stopped: RaftlineError | undefined): Pick<EngineStatus, 'state' | 'failure'> {
  if (stopped === undefined) return { state: 'running' };
  if (stopped.code === ErrorCode.Closed) return { state: 'closed' };
  return { state: 'failed', failure: { code: stopped.code, message: stopped.message } };
}
