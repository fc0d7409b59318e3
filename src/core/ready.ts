import type { LogIndex, NodeId, OrderId, SessionCounter, Term } from '../base/ids.js';
import type {
  AppendReply,
  BatchHeader,
  BatchKind,
  Configuration,
  ConfigurationAt,
  ControlMessage,
  HardState,
} from '../base/messages.js';

/** What happens on this node and not in a peer's message. */
export type LocalMessage =
  /** Every order up to and including this one is on disk. */
  | { type: 'durable'; order: OrderId }
  /** The stream under a session ended; nothing sent in it counts any more. */
  | { type: 'sessionBroken'; peer: NodeId; session: SessionCounter }
  /** The cluster has removed this node for good: it does not campaign any more (H60). Until the process ends. */
  | { type: 'retired' }
  /** The peer cannot be reached: it is probed again before anything is streamed to it (B13). */
  | { type: 'unreachable'; peer: NodeId }
  /** Log and segments up to `index` are gone here: applied, durable, and covered by a snapshot of this node. */
  | { type: 'compacted'; index: LogIndex }
  /** The snapshot that was asked for was sent, and acknowledged as complete, up to `index`; or it was not. */
  | { type: 'snapshotResult'; peer: NodeId; index: LogIndex; ok: boolean }
  /** A piece of a snapshot came from the leader of `term` (H53). */
  | { type: 'snapshotChunk'; from: NodeId; term: Term }
  /**
   * A whole snapshot is on this node's disk, and checked: everything up to `index`, whose entry had `term`, and the
   * configuration in force there. The core says in an order of type `snapshot` whether it takes it.
   */
  | { type: 'snapshotReceived'; index: LogIndex; term: Term; configuration: ConfigurationAt };

/** Indexes that a leader gave to a batch of its own. The engine seals the bytes. */
export interface ProposedBatch {
  kind: BatchKind;
  term: Term;
  firstIndex: LogIndex;
  prevTerm: Term;
  count: number;
  /** Present when `kind` is Configuration. */
  configuration?: Configuration;
}

/** Why nothing was done. `leader`: who leads, 0 when unknown. */
export interface Refusal<Reason extends string> {
  refused: Reason;
  leader: NodeId;
}

/** `transferring`: this leader is handing over; if that fails, proposals are taken again within an election timeout. */
export type ProposeRefusal = Refusal<'notLeader' | 'transferring'>;
export type TransferRefusal = Refusal<'notLeader' | 'self' | 'notVoter' | 'transferring'>;
/**
 * `conflict`: the configuration in force stands at another index. `pending`: a change is under way. `noOwnCommit`: this
 * leadership has committed nothing yet; try again. `lagging`: a voter-to-be is no learner that has caught up.
 * `incarnation`: a member may not change its own; it must be removed first. `removed`: a member-to-be was removed once, and
 * comes back with the same data directory. `invalid`: no such configuration can be.
 */
export type ConfigurationRefusal = Refusal<
  | 'notLeader'
  | 'transferring'
  | 'noOwnCommit'
  | 'conflict'
  | 'pending'
  | 'invalid'
  | 'incarnation'
  | 'removed'
  | 'lagging'
>;
/** Where a change of members leads to. Members whose incarnation or address is not given keep what is known. */
export type ConfigurationTarget = Pick<
  Configuration,
  'voters' | 'learners' | 'incarnations' | 'addresses' | 'compressionLevel'
>;
/** `overloaded`: 65,536 reads wait already. */
export type ReadRefusal = Refusal<'overloaded'>;

/** A read that may be answered once `index` is applied. */
export interface ReadState {
  context: number;
  index: LogIndex;
  /** Answered without asking: whoever read must look at `leaseHolds()` once more, after reading (H67). */
  byLease: boolean;
}

/** A disk write asked for. Done in order; ids are 1, 2, 3 … without gaps in one life of a `Raft`. */
export type Order =
  /** A batch of this leader: data, no-op or configuration. */
  | { id: OrderId; type: 'own'; batch: ProposedBatch }
  /** A leader's batch. `header` is the very object of the append message, so that its bytes can be found by it. */
  | { id: OrderId; type: 'append'; header: BatchHeader }
  /** Everything from this index on goes. */
  | { id: OrderId; type: 'truncate'; from: LogIndex }
  /** Term and vote, one record (H1). */
  | { id: OrderId; type: 'hardState'; hardState: HardState }
  /** The received snapshot takes the place of the log up to `index`; without `keepsSuffix` of what follows it, too (H47). */
  | {
      id: OrderId;
      type: 'snapshot';
      index: LogIndex;
      term: Term;
      keepsSuffix: boolean;
      configuration: ConfigurationAt;
    };

/** A message, and the order that must be durable before it leaves; 0: nothing to wait for. */
export interface Outbound {
  message: ControlMessage | AppendReply;
  after: OrderId;
  /** A heartbeat to a member that does not answer: it comes rarely on purpose, and nobody repeats it in the meantime. */
  rare?: true;
}

/**
 * What a leader wants from its replicators. A peer has at most one session; every session that was opened is closed
 * exactly once, before the peer's next one is opened.
 */
export type SessionCommand =
  /** Send empty appends at (prevIndex, prevTerm), one at a time, until one is answered. */
  | {
      type: 'open';
      peer: NodeId;
      session: SessionCounter;
      term: Term;
      mode: 'probe';
      prevIndex: LogIndex;
      prevTerm: Term;
    }
  /** The probe was accepted in this session: send everything from `next` on, rounded down to a batch's start. */
  | { type: 'stream'; peer: NodeId; session: SessionCounter; term: Term; next: LogIndex }
  /** Send nothing more in this session, and freeze its commit index. */
  | { type: 'close'; peer: NodeId; session: SessionCounter };

/**
 * A follower needs a snapshot that reaches to `index` at least. Once for each need: answer with `snapshotResult`. Void as
 * soon as this node does not lead `term` any more, or the follower's progress has another state.
 */
export interface SnapshotCommand {
  peer: NodeId;
  term: Term;
  index: LogIndex;
}

export type Role = 'follower' | 'candidate' | 'leader';

export interface Leadership {
  role: Role;
  term: Term;
  /** Who leads this term, 0 while unknown. */
  leader: NodeId;
}

/** All that must happen now. Orders are written in their order; messages leave when their `after` is durable. */
export interface Ready {
  orders: Order[];
  messages: Outbound[];
  sessions: SessionCommand[];
  snapshots: SnapshotCommand[];
  commitIndex: LogIndex;
  /** Whether `commitIndex` grew since the last Ready. */
  commitMoved: boolean;
  /** Present when any of its fields changed since the last Ready. */
  leadership?: Leadership;
  readStates: ReadState[];
  /** Contexts of reads that this node cannot answer: it stopped leading, or no leader answered in time (H66). */
  readsFailed: number[];
}

/**
 * How a leader sends to a follower: `probe` looks for the last common entry, `replicate` streams, `snapshot` means
 * that what the follower needs is not in the log any more.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export interface ProgressStatus {
  id: NodeId;
  state: ProgressState;
  /** Highest index known to be durable there; what counts for the commit. */
  match: LogIndex;
  /** The first index that it is not known to hold. */
  next: LogIndex;
  /** The session in force, 0 when there is none. */
  session: SessionCounter;
}

export interface RaftStatus extends Leadership {
  id: NodeId;
  vote: NodeId;
  lastIndex: LogIndex;
  durableIndex: LogIndex;
  commitIndex: LogIndex;
  /** The configuration in force: the latest in the log, committed or not. */
  configuration: ConfigurationAt;
  /** A leader's followers; empty on others. */
  progress: ProgressStatus[];
  /** Entries and bytes that this leader proposed in its term and that are not committed. */
  uncommittedEntries: number;
  uncommittedBytes: number;
  /** Whom this leader is handing over to, 0: nobody. */
  transferTo: NodeId;
  /** Reads that wait for a quorum, or for the leader's word. */
  readsPending: number;
  /** A candidate that only asks yet whether it could win (pre-vote). */
  preVoting: boolean;
  /** Messages since the start that no correct peer sends; they were dropped or refused, and changed nothing. */
  invalidMessages: number;
}
