import type { RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { type BatchHeader, BatchKind } from '../base/messages.js';
import type { Applier, RawBatch, SessionRun } from './applier.js';
import type { ApplyPace } from './apply-pace.js';
import type { Clock } from './clock.js';
import type { Hub } from './hub.js';
import type { ProposalSlot } from './proposal-slots.js';
import type { Proposals } from './proposals.js';
import type { Snapshots } from './snapshots.js';
import type { Waiters } from './waiters.js';

export interface FeedParts {
  readonly group: GroupId;
  readonly hub: Hub;
  readonly applier: Applier;
  readonly pace: ApplyPace;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly proposals: Proposals;
  readonly snapshots: Snapshots | undefined;
  readonly log: { termAt(index: LogIndex): Term | undefined; readonly durableIndex: LogIndex };
  readonly notLeader: () => RaftlineError;
  /** Whether somebody waits for what is applied next. */
  readonly urgent: () => boolean;
  /** The fate of remote clients' entries. */
  readonly sessions: (runs: SessionRun[]) => void;
}

/**
 * What the state machine of one group is given next: what is committed and still near, in the proposal ring of the leader that sealed it, or
 * what the feeder reads back from the log: also what the ring was not kept for, whose callers wait none the less.
 */
export class Feed {
  readonly #parts: FeedParts;
  #commit: LogIndex;
  /** How far the feeder was asked to feed. */
  #fedTo: LogIndex = 0;
  #appliedTold: LogIndex = 0;

  constructor(parts: FeedParts, commit: LogIndex) {
    this.#parts = parts;
    this.#commit = commit;
  }

  committed(commit: LogIndex): void {
    this.#commit = commit;
  }

  /** Applies the next part of the next committed batch if that is near. False: nothing near is due. */
  applyNear(): boolean {
    const { hub, applier, proposals, log } = this.#parts;
    const slot = proposals.near.first();
    if (slot === undefined || !slot.kept || slot.firstIndex !== applier.applied + 1) return false;
    if (slot.firstIndex + slot.count - 1 > this.#applicable()) return false;
    // A slot sealed in a term that was lost may have been overtaken; then the log says what stands there.
    if (log.termAt(slot.firstIndex) === slot.term) {
      hub.slots.inUse = slot;
      const isDone = this.#apply({ ...slot, bytes: hub.slots.bytes }, slot.waiters);
      hub.slots.inUse = undefined;
      if (!isDone) return true;
    } else slot.waiters.reject(this.#parts.notLeader(), 'none');
    this.#finish(slot);
    return true;
  }

  /**
   * Applies the next part of a batch that the feeder read back. What was applied already (it came near) is passed over. False: there is more of it, for
   * which this is to be called again.
   */
  applyFed(header: BatchHeader, bytes: Buffer, start: number): boolean {
    if (header.firstIndex <= this.#parts.applier.applied) return true;
    const { term, firstIndex, count, kind, flags, rawLength } = header;
    const slot = this.#parts.proposals.near.first();
    const own = slot?.firstIndex === firstIndex ? slot : undefined;
    if (own !== undefined && own.term !== term) own.waiters.reject(this.#parts.notLeader(), 'none');
    const waiters = own?.term === term ? own.waiters : undefined;
    const batch = { term, firstIndex, count, kind, flags, bytes, start, end: start + rawLength };
    const isDone = this.#apply(batch, waiters);
    if (isDone && own !== undefined) this.#finish(own);
    return isDone;
  }

  /** Only when it is applied: should the state machine fail, whoever waits for this batch has to be told so. */
  #finish(slot: ProposalSlot): void {
    const { near } = this.#parts.proposals;
    near.shift();
    near.finish(slot);
  }

  /** Asks the feeder for what is committed and not near. */
  ask(): void {
    const { group, hub, applier, proposals, snapshots, log, urgent } = this.#parts;
    if (snapshots?.installing === true) return;
    const first = proposals.near.firstKept()?.firstIndex ?? Number.MAX_SAFE_INTEGER;
    const to = Math.min(this.#applicable(), first - 1);
    if (to <= applier.applied || to <= this.#fedTo) return;
    this.#fedTo = to;
    const term = log.termAt(to) ?? 0;
    hub.command({ type: 'feed', group, from: applier.applied + 1, to, term, urgent: urgent() ? 1 : 0 });
  }

  /** Says how far this replica is, if it has come further. */
  tell(): void {
    const { group, hub, applier, pace } = this.#parts;
    const { applied } = applier;
    if (applied === this.#appliedTold) return;
    this.#appliedTold = applied;
    hub.command({ type: 'applied', group, applied, ahead: pace.fedEntriesInTime });
  }

  /** As much of it as takes no longer than it may. Returns whether all of it is applied. */
  #apply(batch: RawBatch, waiters: Waiters | undefined): boolean {
    const { applier, pace, clock, snapshots, sessions } = this.#parts;
    const startedMs = clock.nowMs();
    const before = applier.reached;
    // A snapshot can be taken between two batches only, and a turn of a slow state machine would seldom end there.
    const entriesMax = snapshots?.isDue === true ? batch.count : pace.partEntries;
    const runs = applier.apply(batch, waiters, entriesMax);
    if (runs !== undefined && runs.length > 0) sessions(runs);
    // What is not data never reaches the state machine, and says nothing of its pace.
    if (batch.kind === BatchKind.Data) pace.note(applier.reached - before, clock.nowMs() - startedMs);
    return runs !== undefined;
  }

  /** Committed, and on this node's own disk: a state machine never knows what its own log could lose. */
  #applicable(): LogIndex {
    return Math.min(this.#commit, this.#parts.log.durableIndex);
  }
}
