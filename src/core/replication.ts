import { assert } from '../base/assert.js';
import type { LogIndex } from '../base/ids.js';
import { BatchKind, type Configuration } from '../base/messages.js';
import { Progress } from './progress.js';
import { quorumIndex } from './quorum.js';
import { orderOwn, type RaftState, sendTermOnly } from './raft-state.js';
import type { ProposedBatch } from './ready.js';

/** Gives the next indexes to a batch of this leader. `byteLength` counts as uncommitted. */
export function appendOwn(
  state: RaftState,
  kind: BatchKind,
  count: number,
  byteLength: number,
  configuration?: Configuration,
): ProposedBatch {
  assert(state.role === 'leader', 'only a leader appends batches of its own');
  assert(kind === BatchKind.Data || count === 1, 'what is not data stands alone in its batch');
  const { log, term } = state;
  const place = { kind, term, firstIndex: log.lastIndex + 1, prevTerm: log.lastTerm, count };
  const batch = configuration === undefined ? place : { ...place, configuration };
  orderOwn(state, batch);
  state.uncommitted.add(log.lastIndex, count, byteLength);
  return batch;
}

/**
 * One progress for each member of the committed configuration and of later ones: who leaves gets the log until the entry
 * that it leaves by is committed, and who stays keeps its session (A1).
 */
export function followMembers(state: RaftState): void {
  const { progress, log, id: self, outbox } = state;
  const { members } = log;
  for (const [id, gone] of progress) {
    if (members.has(id)) continue;
    gone.close(outbox.sessions);
    progress.delete(id);
  }
  for (const id of members) {
    if (id === self || progress.has(id)) continue;
    const joined = new Progress(id, state.ticks);
    progress.set(id, joined);
    probeAt(state, joined, log.lastIndex);
  }
}

/** Asks a follower, in a new session, whether it agrees at `prevIndex`. */
export function probeAt(state: RaftState, progress: Progress, prevIndex: LogIndex): void {
  const prevTerm = state.log.termAt(prevIndex);
  if (prevTerm === undefined) {
    assert(prevIndex < state.log.baseIndex, 'a probe stays within the log');
    askForSnapshot(state, progress);
    return;
  }
  state.sessionCounter += 1;
  progress.probe(state.outbox.sessions, state.sessionCounter, state.term, prevIndex, prevTerm);
}

/** A newcomer whose log is empty knows no addresses and answers no heartbeat: what failed once is tried again by time alone. */
function maybeAskAgain(state: RaftState, progress: Progress): void {
  const { state: is, snapshotWanted, snapshotAskedAt } = progress;
  const due = snapshotAskedAt + state.options.electionTicksMax;
  if (is === 'snapshot' && !snapshotWanted && state.ticks >= due) askForSnapshot(state, progress);
}

/** The log does not reach back to what a follower needs. */
export function askForSnapshot(state: RaftState, progress: Progress): void {
  progress.snapshot(state.outbox.sessions, state.ticks);
  const { term, log, outbox } = state;
  outbox.snapshots.push({ peer: progress.id, term, index: log.baseIndex });
}

/**
 * Commits what a quorum holds on disk (Raft §5.3), counting this leader only up to its own durable index (H34). Only
 * entries of the own term are committed by counting; earlier ones are committed with them (Raft §5.4.2, H6).
 */
export function maybeCommit(state: RaftState): void {
  const { log } = state;
  const index = heldByQuorum(state, log.durableIndex);
  if (index <= log.commitIndex || log.termAt(index) !== state.term) return;
  log.maybeCommit(index);
  state.uncommitted.commit(log.commitIndex);
}

/** Whether more of this leader's log on its own disk would commit more. */
export function ownDiskHoldsCommit(state: RaftState): boolean {
  return heldByQuorum(state, state.log.lastIndex) > state.log.commitIndex;
}

/** What a quorum holds on disk, if this leader holds everything up to `own`. */
function heldByQuorum({ id, configuration, progress }: RaftState, own: LogIndex): LogIndex {
  return quorumIndex(configuration, (voter) => (voter === id ? own : (progress.get(voter)?.match ?? 0)));
}

/** Of how long a member has been silent, the part after which it gets one more heartbeat. */
const SILENCE_PART = 1 / 8;
/** Of the shortest election timeout, what passes between two heartbeats at most: who hears them and cannot answer goes on to follow. */
const SILENCE_WAIT_MAX = 1 / 3;

/**
 * After how many ticks a member gets its next heartbeat at the earliest. Who has not been heard for an election timeout gets them more and
 * more rarely, up to a bound, also where reads begin one round after the other: what hangs must not have to answer them all when it
 * goes on. All of them again after its first answer (E5).
 */
function heartbeatWait({ ticks, options }: RaftState, { heardAt }: Progress): number {
  const silent = ticks - heardAt;
  if (silent < options.electionTicksMin) return 0;
  return Math.min(Math.ceil(silent * SILENCE_PART), Math.floor(options.electionTicksMin * SILENCE_WAIT_MAX));
}

/** One round of heartbeats to every other member. Nobody is told of a commit that it is not known to hold (H30). */
export function broadcastHeartbeat(state: RaftState): void {
  const { lease } = state.options;
  state.heartbeatElapsed = 0;
  state.round += 1;
  if (lease !== undefined) state.roundTimes.push({ round: state.round, sentAt: lease.now() });
  for (const progress of state.progress.values()) {
    maybeAskAgain(state, progress);
    const wait = heartbeatWait(state, progress);
    if (state.ticks - progress.heartbeatAt < wait) continue;
    progress.heartbeatSent(state.round, state.ticks);
    const commit = Math.min(progress.match, state.log.commitIndex);
    const heartbeat = { type: 'heartbeat', to: progress.id, commit, round: state.round } as const;
    sendTermOnly(state, heartbeat, wait > 0 ? { rare: true } : {});
  }
}
