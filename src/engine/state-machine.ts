import type { GroupId, LogIndex, Term } from '../base/ids.js';

/**
 * A run of committed entries of one group and one term, in log order. The bytes are views into shared memory that is
 * reused once `apply` has returned: copy what is to be kept.
 */
export interface CommittedBatch {
  readonly group: GroupId;
  readonly term: Term;
  /** Entries that reach the state machine: those of the batch, less the ones that the session table turned away. */
  readonly count: number;
  /** Calls `visit` for each entry in order, without copying. `position` counts from 0 to `count` − 1. */
  forEach(visit: (bytes: Uint8Array, index: LogIndex, position: number) => void): void;
  /**
   * As `forEach`, for state machines that read in place: the entry is `payload` from `start` to before `end`. No view is made
   * for it, which is most of what an entry costs in `forEach`. Nothing else of `payload` means anything.
   */
  scan(visit: (payload: Buffer, start: number, end: number, index: LogIndex, position: number) => void): void;
}

/** What the engine replicates for: the same batches, in the same order, on every replica. */
export interface StateMachine {
  /**
   * Takes committed entries. Must be deterministic and synchronous. May return an array with one answer per entry
   * (by position); it becomes `result` of the proposal on the node that proposed it.
   *
   * An error thrown here ends the engine with `RAFTLINE_STATE_MACHINE_FAILED`: going on would let replicas differ.
   */
  apply(batch: CommittedBatch): readonly (Uint8Array | undefined)[] | undefined;
}
