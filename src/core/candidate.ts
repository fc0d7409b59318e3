import type { VoteReply } from '../base/messages.js';
import { isVoter, otherVoters, votesAlone } from './membership.js';
import { voteResult } from './quorum.js';
import { type RaftState, send } from './raft-state.js';
import { becomeCandidate, becomeFollower, becomeLeader } from './transitions.js';

/**
 * The election timer of followers and candidates. Learners and nodes outside the configuration never campaign (H16);
 * who votes alone need not wait for anybody (E10, H18).
 */
export function tickElection(state: RaftState): void {
  state.electionElapsed += 1;
  const alone = state.leader === 0 && votesAlone(state.configuration, state.id);
  if (state.electionElapsed < state.electionTimeout && !alone) return;
  if (isVoter(state.configuration, state.id)) campaign(state);
  else state.electionElapsed = 0;
}

/** Asks every other voter; the requests leave once the own vote is durable (H2). */
function campaign(state: RaftState): void {
  becomeCandidate(state);
  for (const voter of otherVoters(state.configuration, state.id)) {
    send(state, {
      type: 'vote',
      to: voter,
      lastIndex: state.log.lastIndex,
      lastTerm: state.log.lastTerm,
      preVote: false,
      transfer: false,
    });
  }
  maybeEnd(state);
}

/** A reply of this term: replies of earlier ones never get here (H3). Pre-votes are not asked for, so not counted. */
export function handleVoteReply(state: RaftState, reply: VoteReply): void {
  if (state.role !== 'candidate' || reply.preVote) return;
  // A voter has one vote: what it said first stands (H4).
  if (!state.votes.has(reply.from)) state.votes.set(reply.from, reply.granted);
  maybeEnd(state);
}

function maybeEnd(state: RaftState): void {
  const result = voteResult(state.configuration, state.votes);
  if (result === 'won') becomeLeader(state);
  else if (result === 'lost') becomeFollower(state, state.term, 0);
}
