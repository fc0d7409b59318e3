import type { GroupId, NodeId } from '../base/ids.js';
import { type FollowerFlow, flowOf, type GroupFlow } from '../workers/settings.js';
import { invalid } from './option-checks.js';
import { batchBytesCeiling, type Config } from './options.js';
import {
  checkFollowers,
  checkPipeline,
  type FollowerPipelineOptions,
  type PipelineOptions,
} from './pipeline-options.js';

/** What of a group's pipeline the main thread goes by. */
export interface GroupPipeline {
  readonly depth: number | 'auto';
  readonly inflightBytesMax: number;
  readonly catchUpBytesPerSecond: number;
  readonly batchBytesMax: number;
  readonly batchEntriesMax: number;
  readonly lingerUs: number;
}

/**
 * The pipeline's settings in force. The narrower the place that says something, the more it counts: what a group says of a
 * follower, what the engine says of it, what the group says, what the engine says.
 */
export class Pipelines {
  readonly #batchBytesCeiling: number;
  /** Of all groups together: each has a batch open. */
  readonly #batchBytesSumMax: number;
  #engine: Required<PipelineOptions>;
  readonly #groups: Map<GroupId, PipelineOptions>;

  /** `batchBytesSumMax`: what the `batchBytesMax` of all groups may come to; those of `config` do not exceed it. */
  constructor(config: Config, batchBytesSumMax = Number.MAX_SAFE_INTEGER) {
    this.#batchBytesSumMax = batchBytesSumMax;
    this.#engine = config.pipeline;
    this.#groups = new Map(
      config.groups.map(({ id, pipeline = {} }) => [id, checkPipeline('pipeline', pipeline)]),
    );
    this.#batchBytesCeiling = Math.max(config.entryBytesMax, batchBytesCeiling(config));
  }

  of(group: GroupId): GroupPipeline {
    const { followers: _, ...settings } = { ...this.#engine, ...this.#groups.get(group) };
    return settings;
  }

  /** Of one follower of a group. */
  ofFollower(group: GroupId, follower: NodeId): FollowerFlow {
    return flowOf(this.flow(group), follower);
  }

  /** What the network thread is to go by in a group. */
  flow(group: GroupId): GroupFlow {
    const { depth, inflightBytesMax, catchUpBytesPerSecond } = this.of(group);
    const followers: Record<NodeId, FollowerPipelineOptions> = {};
    for (const level of [this.#engine.followers, this.#groups.get(group)?.followers ?? {}]) {
      for (const [id, settings] of Object.entries(level)) {
        followers[Number(id)] = { ...followers[Number(id)], ...settings };
      }
    }
    return { every: { depth, inflightBytesMax, catchUpBytesPerSecond }, followers };
  }

  /**
   * Changes what is given and leaves the rest, of one group or of the engine. All or nothing.
   * @throws RaftlineError `RAFTLINE_OPTION_INVALID`
   */
  tune(group: GroupId | undefined, given: PipelineOptions): void {
    const changes = checkPipeline('pipeline', given);
    const { batchBytesMax = 0 } = changes;
    if (batchBytesMax > this.#batchBytesCeiling) {
      const expected = `at most ${this.#batchBytesCeiling}, the largest batch or entry that the engine was opened for`;
      throw invalid('pipeline.batchBytesMax', expected, batchBytesMax);
    }
    if (this.#batchBytesWith(group, changes) > this.#batchBytesSumMax) {
      const expected = `no more than makes ${this.#batchBytesSumMax} over all groups, which is what memory.budgetBytes leaves for their open batches`;
      throw invalid('pipeline.batchBytesMax', expected, batchBytesMax);
    }
    const next = merged(group === undefined ? this.#engine : (this.#groups.get(group) ?? {}), changes);
    checkFollowers('pipeline', next.followers);
    if (group === undefined) this.#engine = { ...this.#engine, ...next };
    else this.#groups.set(group, next);
  }

  /** The `batchBytesMax` of all groups together after such a change. */
  #batchBytesWith(tuned: GroupId | undefined, { batchBytesMax }: PipelineOptions): number {
    let bytes = 0;
    for (const [group, own] of this.#groups) {
      const isTuned = tuned === undefined ? own.batchBytesMax === undefined : tuned === group;
      bytes += (isTuned ? batchBytesMax : undefined) ?? this.of(group).batchBytesMax;
    }
    return bytes;
  }
}

function merged(level: PipelineOptions, { followers = {}, ...changes }: PipelineOptions): PipelineOptions {
  const both: Record<NodeId, FollowerPipelineOptions> = { ...level.followers };
  for (const [id, settings] of Object.entries(followers))
    both[Number(id)] = { ...both[Number(id)], ...settings };
  return { ...level, ...changes, followers: both };
}
