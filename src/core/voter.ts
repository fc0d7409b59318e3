import type { VoteRequest } from '../base/messages.js';
import { type RaftState, send } from './raft-state.js';

/**
 * Answers a request of the current term, in any role. One vote a term, given again to whoever asks again (H5), and
 * only to a log that is not behind the own one (Raft §5.4.1, H7). Learners answer too: one may have been promoted
 * without knowing yet (H17). Only a grant resets the election timer (H13).
 */
export function handleVoteRequest(state: RaftState, request: VoteRequest): void {
  const free = state.vote === 0 && state.leader === 0;
  const granted = (free || state.vote === request.from) && isUpToDate(state, request);
  if (granted) {
    state.vote = request.from;
    state.electionElapsed = 0;
  }
  send(state, { type: 'voteReply', to: request.from, granted, preVote: false });
}

function isUpToDate(state: RaftState, request: VoteRequest): boolean {
  const { log } = state;
  if (request.lastTerm === log.lastTerm) return request.lastIndex >= log.lastIndex;
  return request.lastTerm > log.lastTerm;
}
