import type { VoteRequest } from '../../src/base/messages.js';
import type { TraceEvent, TraceMessage, TraceState } from '../../src/core/trace-event.js';
import type { TraceLife } from './trace-life.js';

/** What the trace does not say of how its members were started. */
export interface TraceGuards {
  /** All of them check their quorum, and refuse votes while they hear a leader. */
  checkQuorum: boolean;
  /** Reads may go by lease. */
  lease: boolean;
}

/** One event of one member, and what it was before. */
export interface TracedStep {
  event: TraceEvent;
  before: TraceState;
  life: TraceLife;
  guards: TraceGuards;
  fault: (what: string) => void;
}

type Reply = Extract<TraceEvent['sends'][number]['message'], { type: 'voteReply' }>;

/** What each member must do by itself in elections, whatever the others do. */
export function electionRules(step: TracedStep): void {
  const { event, before, life, fault } = step;
  const { state, message } = event;
  const campaigns = state.role === 'candidate' || state.role === 'precandidate';
  if (campaigns && before.role !== state.role && life.mayLead(event.node) === false)
    fault('H16: it campaigns and is no voter');
  if (state.role === 'precandidate' && state.leader !== 0) fault('H10: it asks for votes and has a leader');
  if (state.role === 'leader' && before.role !== 'leader') elected(step);
  if (message === undefined || !('from' in message) || message.type === 'snapshotChunk') return;
  if (message.type === 'vote') voteAsked(step, message);
  if (life.knows(message.from) === true) termsTold(step, message);
  else if (life.knows(message.from) === false) strangerHeard(step, message);
}

/** H3, H4, H35: by votes of this term, one a voter, of a majority of each half. H2, H23: its own one on disk. */
function elected({ event, before, life, fault }: TracedStep): void {
  const { node, state } = event;
  const { voters, votersOutgoing } = before.configuration;
  for (const half of [voters, votersOutgoing]) {
    const granted = half.filter((id) => id === node || life.grants.has(id));
    if (half.length > 0 && granted.length * 2 <= half.length)
      fault(`H3 H4 H35: elected with ${granted.length} votes of ${half.length}`);
  }
  const { term, vote } = life.durable;
  const alone = voters.length === 1 && votersOutgoing.length === 0;
  if (alone && (term !== state.term || vote !== node)) fault('H2: it leads, and its own vote is not on disk');
}

function voteAsked({ event, before, life, guards, fault }: TracedStep, request: VoteRequest): void {
  const { sends, state } = event;
  const sent = sends.find(({ message }) => message.type === 'voteReply' && message.to === request.from);
  if (sent === undefined) {
    if (life.knows(request.from) === true) fault('H8 H17: it was asked for its vote, and says nothing');
    return;
  }
  const { granted, term } = sent.message as Reply;
  const { from, lastTerm, lastIndex, preVote, transfer } = request;
  const behind = lastTerm < before.lastTerm || (lastTerm === before.lastTerm && lastIndex < before.lastIndex);
  if (granted && behind) fault('H7: a vote for a log that is behind');
  if (granted && !preVote && (state.vote !== from || state.term !== request.term))
    fault('a vote that it does not remember');
  if (granted && !preVote && sent.after < life.newestOrder) fault('H1: a vote that waits for no disk');
  if (!granted && term !== state.term) fault('H8: a refusal that does not tell the own term');
  if (granted && guards.checkQuorum && !transfer && before.role === 'leader')
    fault('H12: a leader votes for another one');
  const again = !preVote && before.vote === from && before.term === request.term && before.leader === 0;
  if (again && !behind && !granted && !guards.lease) fault('H5: it refuses whom it gave its vote');
}

/** E11, H8, H9: a later term is learned, an earlier one is corrected. */
function termsTold({ event, before, fault }: TracedStep, message: TraceMessage): void {
  if (!('term' in message) || !('from' in message)) return;
  const { state, sends } = event;
  const asks =
    message.type === 'vote' || (message.type === 'voteReply' && message.preVote && message.granted);
  if (message.term > before.term && !asks && state.term < message.term)
    fault(`E11 H9: it heard of term ${message.term} and stays in ${state.term}`);
  const request = message.type === 'append' || message.type === 'heartbeat';
  const told = sends.some(({ message: sent }) => sent.to === message.from && sent.term === state.term);
  if (request && message.term < before.term && !told) fault('H8: an earlier leader is not told of its end');
}

/** H60: who is no member raises no term and gets no vote, unless its log is ahead and may know better. */
function strangerHeard({ event, before, fault }: TracedStep, message: TraceMessage): void {
  if (!('term' in message) || !('from' in message)) return;
  const { state, sends } = event;
  const granted = sends.some(({ message: sent }) => sent.type === 'voteReply' && sent.granted);
  if (mayKnowBetter(message, before) || (state.term === before.term && !granted)) return;
  fault(`H60: node ${message.from} is no member, and was listened to`);
}

function mayKnowBetter(message: TraceMessage, { lastTerm, lastIndex }: TraceState): boolean {
  const isAhead = (term: number, index: number) =>
    term > lastTerm || (term === lastTerm && index > lastIndex);
  if (message.type === 'vote') return isAhead(message.lastTerm, message.lastIndex);
  if (message.type !== 'append') return message.type === 'timeoutNow';
  const last = message.batches.at(-1);
  if (last === undefined) return isAhead(message.prevTerm, message.prevIndex);
  return isAhead(last.term, last.firstIndex + last.count - 1);
}
