import { assert } from '../base/assert.js';
import type { ReadIndexReply, ReadIndexRequest } from '../base/messages.js';
import { randomInteger } from '../base/prng.js';
import { type RaftState, sendTermOnly } from './raft-state.js';
import { READS_PENDING_MAX, requestRead } from './read-index.js';

/** Ticks that a read waits for a leader's word, in longest election timeouts: long enough for one election and a question. */
const PATIENCE_TIMEOUTS = 3;

/** Takes a read in on a member that does not lead, or knows no leader yet. */
export function queueRead(state: RaftState, context: number, lease: boolean): boolean {
  const { waiting } = state.followerReads;
  if (waiting.length >= READS_PENDING_MAX) return false;
  waiting.push({ context, lease, since: state.ticks });
  return true;
}

/**
 * Asks the leader of this term on behalf of all that waits, in one question, unless one is under way (etcd forwards so, one
 * message a read). Whoever leads by now answers itself.
 */
export function maybeAskLeader(state: RaftState): void {
  const { followerReads, role, leader, term } = state;
  const { waiting, question } = followerReads;
  if (waiting.length === 0) return;
  if (role === 'leader') {
    takeOver(state);
    return;
  }
  if (leader === 0 || question?.term === term) return;
  followerReads.lastQuestion = nextQuestion(state);
  followerReads.question = {
    context: followerReads.lastQuestion,
    covered: waiting.length,
    lease: waiting.every((read) => read.lease),
    term,
    askedAt: state.ticks,
  };
  sendQuestion(state);
}

function takeOver(state: RaftState): void {
  const { followerReads, outbox } = state;
  followerReads.question = undefined;
  for (const { context, lease } of followerReads.waiting.splice(0)) {
    if (requestRead(state, { context, lease }) !== 'pending') outbox.readsFailed.push(context);
  }
}

function nextQuestion(state: RaftState): number {
  const last = state.followerReads.lastQuestion ?? randomInteger(state.options.random, 1, 2 ** 50);
  return last + 1;
}

function sendQuestion(state: RaftState): void {
  const { question } = state.followerReads;
  assert(question !== undefined, 'there is a question');
  const { context, lease } = question;
  sendTermOnly(state, { type: 'readIndex', to: state.leader, context, lease });
}

/**
 * A question that was lost is asked again, under the same name: either answer was given after the reads came. Reads that wait
 * for too long are told so; nothing here waits for ever (H66).
 */
export function tickFollowerReads(state: RaftState): void {
  const { followerReads, options, ticks, term, leader } = state;
  const { waiting, question } = followerReads;
  const oldest = ticks - PATIENCE_TIMEOUTS * options.electionTicksMax;
  let expired = 0;
  while ((waiting[expired]?.since ?? ticks) <= oldest) expired += 1;
  if (expired > 0) {
    for (const { context } of waiting.splice(0, expired)) state.outbox.readsFailed.push(context);
    if (question !== undefined) question.covered = Math.max(0, question.covered - expired);
  }
  if (question === undefined || question.term !== term || leader === 0) return;
  if (ticks - question.askedAt < options.heartbeatTicks) return;
  question.askedAt = ticks;
  sendQuestion(state);
}

/** A member asks. A leader that has too many reads already says nothing: it will be asked again. */
export function handleReadRequest(state: RaftState, request: ReadIndexRequest): void {
  const { context, lease, from } = request;
  requestRead(state, { context, lease, peer: from });
}

export function handleReadReply(state: RaftState, reply: ReadIndexReply): void {
  const { followerReads, outbox } = state;
  const { question, waiting } = followerReads;
  // An answer of an earlier leader's term never gets here; one to an earlier question says too little.
  if (question?.context !== reply.context || reply.from !== state.leader) return;
  followerReads.question = undefined;
  for (const { context } of waiting.splice(0, question.covered)) {
    outbox.readStates.push({ context, index: reply.index, byLease: false });
  }
}
