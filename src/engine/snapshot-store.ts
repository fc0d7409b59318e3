import type { GroupId, LogIndex, NodeId, Term } from '../base/ids.js';
import type { ConfigurationAt } from '../base/messages.js';
import type { SessionRecord } from '../base/session-table.js';
import type { StateMachine } from './state-machine.js';

/** Where a snapshot ends: the last entry that it holds, a batch's last. */
export interface SnapshotEnd {
  index: LogIndex;
  term: Term;
}

/** All that a replica knows up to and including one entry, so that it can go on from there without the log before it. */
export interface Snapshot extends SnapshotEnd {
  /** The configuration in force at `index`: the latest at or below it, so never an uncommitted one (H51). */
  configuration: ConfigurationAt;
  /** The session table: part of the replicated state (H71). */
  sessions: readonly SessionRecord[];
  /** What the state machine wrote down. */
  state: Uint8Array;
}

/** A state machine that can be written down and read back. Both are synchronous and see the state between two batches. */
export interface SnapshotMachine extends StateMachine {
  /** The state as of the last batch that was applied. The bytes are the caller's. */
  takeSnapshot(): Uint8Array;
  /** Becomes what `takeSnapshot` wrote down, whatever it was before. */
  restoreSnapshot(state: Uint8Array): void;
}

/** What a store has to tell. */
export type SnapshotEvent =
  /** A snapshot of this node is on its disk and survives a loss of power; or it is not, and what was there before still is. */
  | { type: 'saved'; group: GroupId; index: LogIndex; ok: boolean }
  /** How sending ended. `ok`: the peer has said that all of it is on its disk. Exactly once for each `send` in one life. */
  | { type: 'sent'; group: GroupId; peer: NodeId; index: LogIndex; ok: boolean }
  /** A piece came from the leader of `term`. */
  | { type: 'chunk'; group: GroupId; from: NodeId; term: Term }
  /** A whole snapshot came, was checked and is on this node's disk. */
  | { type: 'received'; group: GroupId; snapshot: Snapshot };

/**
 * Keeps snapshots on disk and carries them between nodes. Nothing here waits: what is asked for is done beside the main thread, and
 * told by `take`; whoever has something to tell wakes the main thread. A snapshot that is not complete is as good as none (H50).
 */
export interface SnapshotStore {
  /** At start: the newest complete snapshot of the group that `fits`; undefined: there is none. */
  load(group: GroupId, fits: (end: SnapshotEnd) => boolean): Snapshot | undefined;
  /** Writes a snapshot down; older ones stay. One at a time in a group. */
  save(group: GroupId, snapshot: Snapshot): void;
  /** Snapshots that end below `index` are not needed any more. */
  forgetBefore(group: GroupId, index: LogIndex): void;
  /** Sends the newest snapshot, which ends at `atLeast` or later, on behalf of the leader of `term`. */
  send(group: GroupId, peer: NodeId, term: Term, atLeast: LogIndex): void;
  /** What happened next, in order; undefined: nothing more. */
  take(): SnapshotEvent | undefined;
  /** Whether `take` has something. */
  pending(): boolean;
}

/** Snapshots in an engine. Without them a log is never compacted. */
export interface SnapshotSettings {
  store: SnapshotStore;
  machine: (group: GroupId) => SnapshotMachine;
  /** One is taken when so many entries were applied since the last. At least 1. */
  everyEntries: number;
  /** So many entries before a snapshot stay in the log at least, for followers that are only a little behind. */
  keepEntries: number;
}
