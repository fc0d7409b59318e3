import type { GroupId, Incarnation, NodeId } from '../base/ids.js';
import type { Configuration, MemberIncarnation } from '../base/messages.js';
import type { Durability } from '../wal/wal.js';

/** How much may be in flight to one follower in one group. */
export interface FollowerFlow {
  /** Messages; 'auto': as many as the follower can use. */
  readonly depth: number | 'auto';
  readonly inflightBytesMax: number;
  /** How fast it gains on the log from the disk. */
  readonly catchUpBytesPerSecond: number;
}

/** Of one group: what holds for every follower, and what is different for some. */
export interface GroupFlow {
  readonly every: FollowerFlow;
  readonly followers: Readonly<Record<NodeId, Partial<FollowerFlow>>>;
}

/** What holds for one follower. */
export function flowOf({ every, followers }: GroupFlow, follower: NodeId): FollowerFlow {
  return { ...every, ...followers[follower] };
}

/** What the threads of an engine are started with: plain, since it crosses a thread border. */
export interface WorkerSettings {
  readonly id: NodeId;
  readonly cluster: string;
  readonly dataDirectory: string;
  readonly listen: string;
  readonly peers: readonly { id: NodeId; address: string }[];
  readonly groups: readonly GroupId[];
  readonly insecure: boolean;
  readonly compression: 'auto' | 'lz4' | 'deflate' | 'none';
  readonly lz4: 'auto' | 'native' | 'pure';
  readonly entryBytesMax: number;
  /** The largest payload of one batch, and the most entries in it; the same on every node. */
  readonly batchRawBytesMax: number;
  readonly batchEntriesMax: number;
  /** By group: how much may be in flight. */
  readonly flows: Readonly<Record<GroupId, GroupFlow>>;
  readonly durability: Durability;
  readonly segmentBytes: number;
  readonly heartbeatIntervalMs: number;
  /** How long a heartbeat of main's may be repeated in its name. */
  readonly heartbeatLifeMs: number;
  /** See `Self`. */
  readonly leaseMs: number;
  readonly receiveWindowBytes: number;
  /** What one stream, and all together, may have queued to be sent. */
  readonly streamQueueBytes: number;
  readonly sendingBytesMax: number;
  readonly clientStreams: number;
  readonly tailStreams: number;
  /** Begins with an empty log and waits to be contacted, instead of writing `bootstrap`. */
  readonly join: boolean;
  /** What the first start writes into an empty log. */
  readonly bootstrap: Configuration;
}

/** What of the data directory the network thread tells the peers. */
export interface StoreFacts {
  readonly incarnation: Incarnation;
  readonly bootstrapChecksum: number;
  /** The incarnations of the peers that were met, as remembered. */
  readonly peers: readonly MemberIncarnation[];
}

/** Which programs a thread hosts. */
export type ProgramName = 'wal-writer' | 'encoder' | 'network';
export type ThreadPlan = readonly (readonly ProgramName[])[];

/** Maps programs to threads: the wal-writer always has its own, since it blocks. */
export function planThreads(wanted: 'auto' | 'shared' | 'spread', cores: number): ThreadPlan {
  const spread = wanted === 'spread' || (wanted === 'auto' && cores >= 4);
  return spread ? [['wal-writer'], ['encoder'], ['network']] : [['wal-writer'], ['encoder', 'network']];
}
