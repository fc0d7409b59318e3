import type { GroupId, Incarnation, NodeId } from '../base/ids.js';
import type { Configuration, MemberIncarnation } from '../base/messages.js';
import type { Durability } from '../wal/segment.js';

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
  /** The largest payload of one batch of this node. */
  readonly batchRawBytesMax: number;
  /** That of a batch from another leader, as far as the rings hold it; at most what fits into a message. */
  readonly batchTakenBytesMax: number;
  /** The largest message that this node sends and takes. */
  readonly messageBytesMax: number;
  /** The most entries in a batch; the same on every node. */
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
  /** This directory came to a cluster that was there. */
  readonly joined: boolean;
  /** The incarnations of the peers that were met, as remembered. */
  readonly peers: readonly MemberIncarnation[];
}

/** Which programs a thread hosts. */
export type ProgramName = 'wal-writer' | EncoderName | 'network';

/** By number. */
export const ENCODER_NAMES = ['encoder', 'encoder-2', 'encoder-3', 'encoder-4'] as const;
export type EncoderName = (typeof ENCODER_NAMES)[number];
export type ThreadPlan = readonly (readonly ProgramName[])[];

/** How many encoders have a thread of their own; none: the network's thread encodes as well. */
export interface ThreadsWanted {
  readonly encoders: number;
}

/** From so many cores on an encoder has a thread of its own, and from so many on a second one has. */
const CORES_SPREAD = 4;
const CORES_TWO_ENCODERS = 12;

/** Maps programs to threads: the wal-writer always has its own, since it blocks. */
export function planThreads(wanted: 'auto' | 'shared' | 'spread' | ThreadsWanted, cores: number): ThreadPlan {
  const encoders = typeof wanted === 'object' ? wanted.encoders : encodersFor(wanted, cores);
  if (encoders === 0) return [['wal-writer'], ['encoder', 'network']];
  return [['wal-writer'], ...ENCODER_NAMES.slice(0, encoders).map((name) => [name]), ['network']];
}

function encodersFor(wanted: 'auto' | 'shared' | 'spread', cores: number): number {
  if (wanted === 'shared' || (wanted === 'auto' && cores < CORES_SPREAD)) return 0;
  return wanted === 'auto' && cores >= CORES_TWO_ENCODERS ? 2 : 1;
}
