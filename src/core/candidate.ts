import type { TimeoutNow, VoteReply } from '../base/messages.js';
import { otherVoters, votesAlone } from './membership.js';
import { voteResult } from './quorum.js';
import { isElectionDue, type RaftState, sendAs } from './raft-state.js';
import { becomeCandidate, becomeFollower, becomeLeader, becomePrecandidate } from './transitions.js';

/**
 * The election timer of followers and candidates. Learners and nodes outside the configuration do not campaign (H16), they
 * only forget a leader that is silent; who votes alone need not wait for anybody (E10, H18).
 */
export function tickElection(state: RaftState): void {
  state.electionElapsed += 1;
  const alone = state.role === 'follower' && state.leader === 0 && votesAlone(state.configuration, state.id);
  if (!isElectionDue(state) && !alone) return;
  if (!state.mayCampaign) {
    state.electionElapsed = 0;
    becomeFollower(state, state.term, 0);
  } else if (state.options.preVote) {
    askBefore(state);
  } else {
    campaign(state, false);
  }
}

/** Asks who would vote for this node in the next term; neither asker nor asked commits to anything (dissertation §9.6). */
function askBefore(state: RaftState): void {
  becomePrecandidate(state);
  askVoters(state, true, false);
  maybeEnd(state);
}

/** Asks every other voter; the requests leave once the own vote is durable (H2). */
function campaign(state: RaftState, transfer: boolean): void {
  becomeCandidate(state);
  askVoters(state, false, transfer);
  maybeEnd(state);
}

function askVoters(state: RaftState, preVote: boolean, transfer: boolean): void {
  const { lastIndex, lastTerm } = state.log;
  for (const to of otherVoters(state.configuration, state.id)) {
    const term = preVote ? state.term + 1 : state.term;
    sendAs(state, term, { type: 'vote', to, lastIndex, lastTerm, preVote, transfer });
  }
}

/**
 * An answer to what is being asked now: of this term (earlier ones never get here, H3), or of the next one where a
 * pre-vote is granted. A grant that an earlier pre-vote of the same term was given is as good.
 */
export function handleVoteReply(state: RaftState, reply: VoteReply): void {
  if (state.role !== (reply.preVote ? 'precandidate' : 'candidate')) return;
  // A voter has one vote: what it said first stands (H4).
  if (!state.votes.has(reply.from)) state.votes.set(reply.from, reply.granted);
  maybeEnd(state);
}

/** The leader hands over: campaigns at once, and leases do not hold the voters back (dissertation §3.10). */
export function handleTimeoutNow(state: RaftState, order: TimeoutNow): void {
  if (state.leader !== order.from || state.role === 'leader') return;
  if (state.mayCampaign) campaign(state, true);
}

/** The own vote may have become durable. */
export function handleDurable(state: RaftState): void {
  if (state.role === 'candidate') maybeEnd(state);
}

function maybeEnd(state: RaftState): void {
  const result = voteResult(state.configuration, state.votes);
  // Somebody's answer proves that the own vote is on disk, since the request waited for it. Who is elected by nobody else
  // must look: after a crash it could lead the same term again, and give other entries the same places (H2, H23).
  if (state.role === 'candidate' && state.votes.size === 1 && !isVoteDurable(state)) return;
  if (result === 'lost') becomeFollower(state, state.term, 0);
  else if (result === 'won' && state.role === 'precandidate') campaign(state, false);
  else if (result === 'won') becomeLeader(state);
}

function isVoteDurable(state: RaftState): boolean {
  const { orderedHardState, term, log, hardStateOrder } = state;
  return orderedHardState.term === term && log.durableOrder >= hardStateOrder;
}
