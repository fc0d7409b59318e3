import type { LogIndex, NodeId, SessionCounter } from '../base/ids.js';
import type { AppendReply, HeartbeatReply } from '../base/messages.js';
import type { Progress } from './progress.js';
import { quorumIndex } from './quorum.js';
import type { RaftState } from './raft-state.js';
import { confirmedRoundTime } from './read-index.js';
import { askForSnapshot, broadcastHeartbeat, maybeCommit, probeAt } from './replication.js';
import { maybeOrderElection, tickTransfer } from './transfer.js';
import { becomeFollower } from './transitions.js';

export function tickLeader(state: RaftState): void {
  if (state.options.checkQuorum && hasLostQuorum(state)) {
    becomeFollower(state, state.term, 0);
    return;
  }
  tickTransfer(state);
  state.heartbeatElapsed += 1;
  if (state.role === 'leader' && state.heartbeatElapsed >= state.options.heartbeatTicks)
    broadcastHeartbeat(state);
}

/** For a whole election timeout no quorum has been heard: somebody else may lead by now, or could (H11, H12). */
function hasLostQuorum(state: RaftState): boolean {
  const { progress, ticks, id, options } = state;
  const heardAt = (voter: NodeId) => (voter === id ? ticks : (progress.get(voter)?.heardAt ?? 0));
  return ticks - quorumIndex(state.configuration, heardAt) >= options.electionTicksMax;
}

/** An answer of this term to what a replicator sent. Only the session in force counts (A1, H26, H36). */
export function handleAppendReply(state: RaftState, reply: AppendReply): void {
  const progress = state.progress.get(reply.from);
  if (progress === undefined) return;
  progress.heardAt = state.ticks;
  if (progress.session === 0 || reply.session !== progress.session) return;
  if (reply.refused) handleRefused(state, progress, reply);
  else handleAccepted(state, progress, reply.match);
  maybeOrderElection(state);
}

function handleAccepted(state: RaftState, progress: Progress, match: LogIndex): void {
  if (match > state.log.lastIndex) {
    state.invalidMessages += 1;
    return;
  }
  if (progress.state === 'probe') {
    if (match < progress.probeIndex) return;
    progress.replicate(state.outbox.sessions, state.term, match);
    maybeCommit(state);
  } else if (progress.acknowledge(match)) {
    maybeCommit(state);
  }
}

/**
 * A refusal ends its session, and the next session asks further down, so two refusals of one session move the probe
 * once (H25). A follower that refuses what it had acknowledged has lost its log (A2).
 */
function handleRefused(state: RaftState, progress: Progress, reply: AppendReply): void {
  const refusedAt = reply.match;
  if (progress.state === 'probe' && refusedAt !== progress.probeIndex) return;
  if (refusedAt < 1 || refusedAt > state.log.lastIndex) {
    // Every log agrees at 0, and nobody was asked beyond the end.
    state.invalidMessages += 1;
    return;
  }
  if (refusedAt <= progress.match) progress.forget();
  const below = isUsableHint(state, reply) ? agreementBelow(state, reply) : halve(progress.match, refusedAt);
  if (below < progress.match) progress.forget();
  probeAt(state, progress, below);
}

function isUsableHint(state: RaftState, reply: AppendReply): boolean {
  const { hintIndex, hintTerm, match: refusedAt } = reply;
  return hintIndex >= 0 && hintIndex < refusedAt && hintTerm >= 0 && hintTerm <= state.term;
}

/** Straight to the hint (E3), and from there below the own terms that the follower cannot have there (H27). */
function agreementBelow(state: RaftState, reply: AppendReply): LogIndex {
  return state.log.lastAtMost(reply.hintIndex, reply.hintTerm);
}

/** A3: halves the range above `match`, in steps of eight entries; a short range is not worth another question. */
function halve(match: LogIndex, refusedAt: LogIndex): LogIndex {
  return match + Math.floor((refusedAt - match) / 16) * 8;
}

/** Moves nothing but may reveal a follower that lost its log, or one that can be served from the log again. */
export function handleHeartbeatReply(state: RaftState, reply: HeartbeatReply): void {
  const progress = state.progress.get(reply.from);
  if (progress === undefined) return;
  if (reply.round < 0 || reply.round > state.round) {
    state.invalidMessages += 1;
    return;
  }
  progress.heardAt = state.ticks;
  progress.roundAnswered = Math.max(progress.roundAnswered, reply.round);
  confirmedRoundTime(state);
  if (progress.state === 'snapshot') {
    if (reply.lastIndex >= state.log.baseIndex)
      probeAt(state, progress, Math.min(reply.lastIndex, state.log.lastIndex));
    else if (!progress.snapshotWanted) askForSnapshot(state, progress);
  } else if (progress.revealsLoss(reply.round, reply.lastIndex)) {
    progress.forget();
    probeAt(state, progress, reply.lastIndex);
  }
}

/** The stream under the session in force ended: ask again, from what is known to be there. */
export function handleSessionBroken(state: RaftState, peer: NodeId, session: SessionCounter): void {
  const progress = state.progress.get(peer);
  if (progress === undefined || progress.session === 0 || progress.session !== session) return;
  probeAt(state, progress, progress.probeIndex);
}

/**
 * A stream to a peer that cannot be reached goes back to asking (B13). One that asks already goes on. To a follower whose leader
 * it is it says that there may be none any more; the next heartbeat says otherwise.
 */
export function handleUnreachable(state: RaftState, peer: NodeId): void {
  if (state.leader === peer) state.leaderUnreachable = true;
  const progress = state.progress.get(peer);
  if (progress?.state === 'replicate') probeAt(state, progress, progress.probeIndex);
}
