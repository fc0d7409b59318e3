import type { GroupId, LogIndex, Term } from '../base/ids.js';

/**
 * A run of committed entries of one group and one term, in log order. The bytes are views into shared memory that is
 * reused once `apply` has returned: copy what is to be kept.
 */
export interface CommittedBatch {
  readonly group: GroupId;
  readonly term: Term;
  /** Entries that reach the state machine now: those of the run, less the ones that the session table turned away. */
  readonly count: number;
  /** Calls `visit` for each entry in order, without copying. `position` counts from 0 to `count` − 1. */
  forEach(visit: (bytes: Uint8Array, index: LogIndex, position: number) => void): void;
  /**
   * As `forEach`, for state machines that read in place: the entry is `payload` from `start` to before `end`. No view is made
   * for it, which is most of what an entry costs in `forEach`. Nothing else of `payload` means anything.
   */
  scan(visit: (payload: Buffer, start: number, end: number, index: LogIndex, position: number) => void): void;
}

/** What the engine replicates for: the same entries, in the same order, on every replica. */
export interface StateMachine {
  /**
   * Takes committed entries. Must be deterministic and synchronous. Where one call ends and the next begins means nothing, and differs from replica to
   * replica: a call has as many entries of a batch as take about 2 ms, as it was of late, and one at the least. May return an array with one answer per entry
   * (by position); it becomes `result` of the proposal on the node that proposed it.
   *
   * An error thrown here ends the engine with `RAFTLINE_STATE_MACHINE_FAILED`: going on would let replicas differ.
   */
  apply(batch: CommittedBatch): readonly (Uint8Array | undefined)[] | undefined;
  /**
   * Entries entered this node's log; they may never be committed. In log order and always before `apply` of them, on a leader as
   * they are sealed, on a follower as they arrive, and after a restart for what the log holds and is not applied. Every entry
   * of the log counts, also those that never reach `apply` (a leader's empty first entry, configurations, retries). Their bytes are not
   * at hand before they are committed: on followers they never pass through this thread till then. What is proposed in the call comes after them.
   *
   * An error thrown here ends the engine, as in `apply`. Source: jraft's preCommit.
   */
  preCommit?(run: LogRun): void;
  /**
   * A conflict, or a snapshot in place of the log, took every entry from `from` on out of the log again: none of them was committed
   * here, and their places will be given to others. Comes before `preCommit` of what takes their place. Source: jraft's rollback.
   */
  rollback?(cut: { readonly group: GroupId; readonly from: LogIndex }): void;
}

/** A run of entries of one term that entered the log: `firstIndex` to `firstIndex` + `count` − 1. */
export interface LogRun {
  readonly group: GroupId;
  readonly term: Term;
  readonly firstIndex: LogIndex;
  readonly count: number;
}
