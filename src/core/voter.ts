import type { VoteRequest } from '../base/messages.js';
import { drawElectionTimeout, type RaftState, send, sendAs } from './raft-state.js';

/**
 * Whether no vote may be given, whatever the request's term: a leader is alive, as far as this node knows (dissertation
 * §4.2.3). A leader itself would have stepped down if it had lost its quorum. Whoever campaigns on its leader's order is
 * not held back.
 */
export function isHeldBack(state: RaftState, request: VoteRequest): boolean {
  const { checkQuorum, lease } = state.options;
  if (request.transfer || !checkQuorum) return false;
  if (lease !== undefined && mayHoldLease(state)) return true;
  return state.leader !== 0 && (state.role === 'leader' || hasHeardLeader(state));
}

/**
 * Where reads rest on leases, an answered heartbeat is a promise that holds whatever is learned afterwards (a higher term,
 * say, in a late answer to an old message); and after a start one does not know what one had promised.
 */
function mayHoldLease(state: RaftState): boolean {
  return state.ticks < state.options.electionTicksMax || hasHeardLeader(state);
}

function hasHeardLeader(state: RaftState): boolean {
  return state.ticks - state.leaderHeardAt < state.options.electionTicksMin;
}

/** The request's term is not taken on: otherwise the refusal would be worth nothing. */
export function refuseVote(state: RaftState, request: VoteRequest): void {
  send(state, { type: 'voteReply', to: request.from, granted: false, preVote: request.preVote, removed: 0 });
}

/**
 * Answers a request of the current term, in any role. One vote a term, given again to whoever asks again (H5), and
 * only to a log that is not behind the own one (Raft §5.4.1, H7). Learners answer too: one may have been promoted
 * without knowing yet (H17). Only a grant resets the election timer (H13).
 */
export function handleVoteRequest(state: RaftState, request: VoteRequest): void {
  const granted = isFreeFor(state, request) && isUpToDate(state, request);
  if (granted) {
    state.vote = request.from;
    state.electionElapsed = 0;
    drawElectionTimeout(state);
  }
  send(state, { type: 'voteReply', to: request.from, granted, preVote: false, removed: 0 });
}

/**
 * Says whether it would vote so, and records nothing. A grant carries the term that was asked for, which may be any
 * above ours; a refusal carries ours, so that one who is behind learns it (H8).
 */
export function handlePreVoteRequest(state: RaftState, request: VoteRequest): void {
  const free = request.term > state.term || isFreeFor(state, request);
  const granted = free && isUpToDate(state, request);
  const reply = { type: 'voteReply', to: request.from, granted, preVote: true, removed: 0 } as const;
  sendAs(state, granted ? request.term : state.term, reply);
}

function isFreeFor(state: RaftState, request: VoteRequest): boolean {
  return state.vote === request.from || (state.vote === 0 && state.leader === 0);
}

function isUpToDate(state: RaftState, request: VoteRequest): boolean {
  const { log } = state;
  if (request.lastTerm === log.lastTerm) return request.lastIndex >= log.lastIndex;
  return request.lastTerm > log.lastTerm;
}
