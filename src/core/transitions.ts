import { assert } from '../base/assert.js';
import type { NodeId, Term } from '../base/ids.js';
import { BatchKind } from '../base/messages.js';
import { drawCampaignTimeout, drawElectionTimeout, type RaftState } from './raft-state.js';
import { appendOwn, broadcastHeartbeat, followMembers } from './replication.js';

/**
 * Any role → follower of `term`, led by `leader` (0: not known yet). A leader's sessions are closed at once. The
 * election timer goes on: a term alone is no reason to wait longer for a leader (H13).
 */
export function becomeFollower(state: RaftState, term: Term, leader: NodeId): void {
  assert(term >= state.term, 'the term never goes back');
  if (state.role === 'leader') {
    for (const progress of state.progress.values()) progress.close(state.outbox.sessions);
    state.progress.clear();
    state.uncommitted.clear();
    forgetLeadership(state);
    state.electionElapsed = 0;
  }
  // A campaign's shorter timeout ends with it.
  if (state.role === 'leader' || leader !== 0) drawElectionTimeout(state);
  if (term > state.term) {
    state.term = term;
    state.vote = 0;
    state.followed = { session: 0, match: 0 };
  }
  state.role = 'follower';
  state.leader = leader;
  state.leaderUnreachable = false;
  state.votes.clear();
}

/** What was promised or under way ends with the leadership: reads fail at once (H66), a hand-over is over (H15). */
function forgetLeadership(state: RaftState): void {
  for (const { peer, context } of state.reads) if (peer === undefined) state.outbox.readsFailed.push(context);
  state.reads.length = 0;
  state.roundTimes.length = 0;
  state.transfer = undefined;
  state.leaseForfeited = false;
  state.removed = false;
  state.settledConfiguration = 0;
}

/**
 * Follower or candidate → pre-candidate, in the term that it has. It forgets its leader: what it asks others to forget
 * must not hold itself back either (H10).
 */
export function becomePrecandidate(state: RaftState): void {
  assert(state.role !== 'leader', 'a leader does not campaign');
  state.role = 'precandidate';
  state.leader = 0;
  startVotes(state);
}

function startVotes(state: RaftState): void {
  assert(state.mayCampaign, 'only a voter campaigns');
  state.leaderUnreachable = false;
  state.votes.clear();
  state.votes.set(state.id, true);
  state.electionElapsed = 0;
  drawCampaignTimeout(state);
}

/** Follower or candidate → candidate of a new term, with its own vote (Raft §5.2). */
export function becomeCandidate(state: RaftState): void {
  assert(state.role !== 'leader', 'a leader does not campaign');
  state.role = 'candidate';
  state.term += 1;
  state.vote = state.id;
  state.leader = 0;
  state.followed = { session: 0, match: 0 };
  startVotes(state);
}

/**
 * Candidate → leader. Every follower is asked first whether it holds the whole log, which nearly all do; then a no-op
 * of the new term makes it possible to commit what earlier leaders left (Raft §5.4.2, §8).
 */
export function becomeLeader(state: RaftState): void {
  assert(state.role === 'candidate', 'only a candidate is elected');
  state.role = 'leader';
  state.leader = state.id;
  state.votes.clear();
  state.termStart = state.log.lastIndex + 1;
  followMembers(state);
  appendOwn(state, BatchKind.NoOp, 1, 0);
  broadcastHeartbeat(state);
}
