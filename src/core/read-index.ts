import type { LogIndex, NodeId } from '../base/ids.js';
import { quorumIndex } from './quorum.js';
import { type RaftState, type ReadRequest, sendTermOnly } from './raft-state.js';
import { broadcastHeartbeat } from './replication.js';

/** Reads that may wait at a member at a time, for a quorum or for a leader's word. */
export const READS_PENDING_MAX = 65_536;

/**
 * Takes in a linearizable read (dissertation §6.4). Its index is what is committed now, and not less than this leadership's
 * first entry: before that one is committed, earlier leaders' commits may be unknown here (H65).
 */
export function requestRead(state: RaftState, request: ReadRequest): 'pending' | 'overloaded' {
  const { reads, log } = state;
  if (request.lease && leaseHolds(state)) {
    answer(state, request, log.commitIndex, true);
    return 'pending';
  }
  if (reads.length >= READS_PENDING_MAX) return 'overloaded';
  reads.push({ ...request, index: Math.max(log.commitIndex, state.termStart), round: state.round + 1 });
  return 'pending';
}

/** To a caller here, or to the member that asked. */
function answer(state: RaftState, { context, peer }: ReadRequest, index: LogIndex, byLease: boolean): void {
  if (peer === undefined) state.outbox.readStates.push({ context, index, byLease });
  else sendTermOnly(state, { type: 'readIndexReply', to: peer, context, index });
}

/**
 * Begins a round for reads that no round covers yet, unless one for earlier reads is still under way: what comes
 * meanwhile shares the next one. A lost round is made up for by the next heartbeat.
 */
export function maybeBeginRound(state: RaftState): void {
  const { reads, round } = state;
  const [first] = reads;
  const last = reads.at(-1);
  if (first === undefined || last === undefined || last.round <= round) return;
  if (first.round <= round && confirmedRound(state) < round) return;
  broadcastHeartbeat(state);
  answerReads(state);
}

export function answerReads(state: RaftState): void {
  const { reads, log } = state;
  if (reads.length === 0) return;
  const confirmed = confirmedRound(state);
  let done = 0;
  for (const read of reads) {
    if (read.round > confirmed || read.index > log.commitIndex) break;
    answer(state, read, read.index, false);
    done += 1;
  }
  reads.splice(0, done);
}

/** The newest round that a quorum answered: nobody else had been elected when it was sent. */
function confirmedRound(state: RaftState): number {
  const { progress, id, round } = state;
  const answered = (voter: NodeId) => (voter === id ? round : (progress.get(voter)?.roundAnswered ?? 0));
  return quorumIndex(state.configuration, answered);
}

/**
 * Whether nobody else can have been elected yet, by the clock: a quorum answered a round that was sent less than
 * a lease ago, and refuses votes for longer than that (dissertation §6.4.1). Not before the own first commit (H65), and not
 * any more in a term in which this leader ordered somebody else to campaign.
 */
export function leaseHolds(state: RaftState): boolean {
  const { lease } = state.options;
  if (lease === undefined || state.role !== 'leader' || state.leaseForfeited) return false;
  if (state.log.commitIndex < state.termStart) return false;
  const sent = confirmedRoundTime(state);
  return sent !== undefined && lease.now() - sent < lease.length;
}

/** When the newest confirmed round was sent. What is older is forgotten. */
export function confirmedRoundTime(state: RaftState): number | undefined {
  const confirmed = confirmedRound(state);
  const { roundTimes } = state;
  while ((roundTimes[0]?.round ?? confirmed) < confirmed) roundTimes.shift();
  const [newest] = roundTimes;
  return newest?.round === confirmed ? newest.sentAt : undefined;
}
