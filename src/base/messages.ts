import type { GroupId, Incarnation, LogIndex, NodeId, SessionCounter, Term } from './ids.js';

/** What a batch carries. Whatever is not `Data` stands alone in its batch. The numbers are on disk: never change one. */
export const BatchKind = { Data: 1, NoOp: 2, Configuration: 3, Session: 4 } as const;
export type BatchKind = (typeof BatchKind)[keyof typeof BatchKind];

/** How a batch's payload is stored. The numbers are on disk: never change one. */
export const Codec = { None: 0, Lz4: 1, Deflate: 2 } as const;
export type Codec = (typeof Codec)[keyof typeof Codec];

/**
 * What a configuration allows its leaders to compress with, each level with those below it; every node reads all codecs of its format
 * version. The numbers are in the log: never change one.
 */
export const CompressionLevel = { None: 0, Lz4: 1, Deflate: 2 } as const;

/** Bits of `BatchHeader.flags`. `Sessions`: at least one entry carries (client id, sequence). */
export const BatchFlag = { Sessions: 1 } as const;

/** The head of every batch, the same numbers in memory, on disk and on the wire. */
export interface BatchHeader {
  formatVersion: number;
  group: GroupId;
  kind: BatchKind;
  flags: number;
  /** The term of the leader that sealed the batch. */
  term: Term;
  /** Index of the first entry; the last is `firstIndex + count − 1`. */
  firstIndex: LogIndex;
  /** Number of entries, ≥ 1. */
  count: number;
  /** The term of the entry at `firstIndex − 1`; 0 when there is none. */
  prevTerm: Term;
  codec: Codec;
  /** Length of the payload once decompressed, in bytes. */
  rawLength: number;
  /** Length of the whole batch as stored, header included, in bytes. */
  byteLength: number;
  /** The leader's wall clock when it sealed the batch, ms since 1970; information only, nothing decides on it. */
  leaderTimeMs: number;
  /** CRC-32 of the batch from the field after this one to the end. */
  checksum: number;
}

/** The last index that a batch holds. */
export function lastIndexOf(header: Pick<BatchHeader, 'firstIndex' | 'count'>): LogIndex {
  return header.firstIndex + header.count - 1;
}

/** A data directory's life under a node id. */
export interface MemberIncarnation {
  id: NodeId;
  incarnation: Incarnation;
}

/** `host:port` where a member is reached by its peers and by clients. */
export interface MemberAddress {
  id: NodeId;
  address: string;
}

/**
 * Who votes. `voters` is the configuration in force; `votersOutgoing` is non-empty only in a joint configuration
 * (Raft §6). Each member names the incarnation that it joined with, 0 where that is not known yet (bootstrap).
 */
export interface Configuration {
  voters: NodeId[];
  votersOutgoing: NodeId[];
  learners: NodeId[];
  learnersNext: NodeId[];
  incarnations: MemberIncarnation[];
  /** Absent where no member's address is known: the bootstrap configuration names none. Ascending by id. */
  addresses?: MemberAddress[];
  /**
   * Tombstones: who was a member and was removed, in the order of their going; the newest `TOMBSTONES_MAX`. Absent
   * where there is none. Whoever comes back as one of them is told so and listened to no more.
   */
  removed?: MemberIncarnation[];
  /** Which codecs a leader may use: see `CompressionLevel`. */
  compressionLevel: number;
}

/** A configuration together with the log position that it stands at. */
export interface ConfigurationAt {
  index: LogIndex;
  term: Term;
  configuration: Configuration;
}

/** Raft's durable pair (figure 2): one record on disk, synced before any reply that depends on it. `vote` 0: none. */
export interface HardState {
  term: Term;
  vote: NodeId;
}

interface Addressed {
  group: GroupId;
  from: NodeId;
  to: NodeId;
  /** The sender's current term. */
  term: Term;
}

/** RequestVote (figure 2). With `preVote` the term is the one that the candidate would take, and nothing is recorded. */
export interface VoteRequest extends Addressed {
  type: 'vote';
  lastIndex: LogIndex;
  lastTerm: Term;
  preVote: boolean;
  /** The candidate campaigns on a leader's order (leadership transfer): leases do not hold a voter back. */
  transfer: boolean;
}

export interface VoteReply extends Addressed {
  type: 'voteReply';
  granted: boolean;
  preVote: boolean;
  /** The incarnation under which the asker was removed from the group, as its committed configuration says; else 0. */
  removed: Incarnation;
}

/** Sent by the leader's main thread on the control lane. Moves no log; `commit` is at most the peer's match. */
export interface Heartbeat extends Addressed {
  type: 'heartbeat';
  commit: LogIndex;
  /** Round number for read-index and check-quorum; grows with each round in a term. */
  round: number;
}

export interface HeartbeatReply extends Addressed {
  type: 'heartbeatReply';
  round: number;
  /** The follower's last index: reveals one that lost its log (A2). */
  lastIndex: LogIndex;
}

/** Told to the target of a leadership transfer once it has everything. */
export interface TimeoutNow extends Addressed {
  type: 'timeoutNow';
}

/** A member that does not lead asks for a read point (dissertation §6.4), for as many reads as waited there. */
export interface ReadIndexRequest extends Addressed {
  type: 'readIndex';
  /** Names the question; no other question of this sender has it, in earlier lives of its process neither. */
  context: number;
  /** May be answered by the leader's lease; otherwise only after a round. */
  lease: boolean;
}

/** What was committed at some moment after the question had arrived is at most `index`. Says nothing of the asker's log. */
export interface ReadIndexReply extends Addressed {
  type: 'readIndexReply';
  context: number;
  index: LogIndex;
}

export type ControlMessage =
  | VoteRequest
  | VoteReply
  | Heartbeat
  | HeartbeatReply
  | TimeoutNow
  | ReadIndexRequest
  | ReadIndexReply;

/**
 * AppendEntries (figure 2) as the core sees it: headers only, the bytes stay in a ring. `headers` may be empty: a
 * probe, or a commit index that moved alone.
 */
export interface Append extends Addressed {
  type: 'append';
  session: SessionCounter;
  prevIndex: LogIndex;
  prevTerm: Term;
  commit: LogIndex;
  headers: BatchHeader[];
  /** For each header of kind Configuration, in their order, its decoded content. */
  configurations: Configuration[];
}

/**
 * A follower's answer to an append, leaving once what it depends on is durable. Cumulative within its session.
 * `refused` ends the session.
 */
export interface AppendReply extends Addressed {
  type: 'appendReply';
  session: SessionCounter;
  refused: boolean;
  /** Accepted: the highest index verified in this session and (when the reply leaves) durable. Refused: the append's prevIndex. */
  match: LogIndex;
  /** Refused only: the highest index at which the follower may agree, and its term there; index 0 is a usable hint. */
  hintIndex: LogIndex;
  hintTerm: Term;
  applied: LogIndex;
}

/** Everything that `Raft.step` takes from other nodes. */
export type PeerMessage = ControlMessage | Append | AppendReply;

/** How a leader's session to a follower sends. `probe`: one empty append at a time; `stream`: everything from `next` on. */
export type SessionMode = 'probe' | 'stream';
