import { type Append, lastIndexOf, type PeerMessage, type VoteRequest } from '../base/messages.js';
import { type RaftState, send } from './raft-state.js';

/**
 * Whether a message may be listened to. Members always are. A stranger (known neither to the committed configuration
 * nor to a later one in our log) neither raises our term nor gets our vote (S2, H60), with one exception: a log that
 * is ahead of ours may hold a configuration that we have not seen, and who was added while we were away must be able to
 * reach us. What a stranger asks in an older term is answered with our term, which changes nothing here. A newcomer knows
 * nobody: any log is ahead of its own, and whoever counts its vote counts one of a member that it is not yet (H61).
 */
export function isAdmitted(state: RaftState, message: PeerMessage): boolean {
  if (state.log.knows(message.from)) return true;
  switch (message.type) {
    case 'vote':
      return message.term < state.term || isVoteForStranger(state, message);
    case 'append':
      return message.term <= state.term || isAheadOf(state, message);
    case 'heartbeat':
      return message.term <= state.term;
    case 'timeoutNow':
      // Whom this node follows was elected, and hands over also when the configuration that removes it is known here already.
      return message.term === state.term && message.from === state.leader;
    default:
      return false;
  }
}

function isVoteForStranger({ log }: RaftState, { lastTerm, lastIndex }: VoteRequest): boolean {
  return log.configurations.length > 0 && log.isBehind(lastTerm, lastIndex);
}

function isAheadOf(state: RaftState, append: Append): boolean {
  const last = append.headers.at(-1);
  if (last === undefined) return state.log.isBehind(append.prevTerm, append.prevIndex);
  return state.log.isBehind(last.term, lastIndexOf(last));
}

/**
 * Who asks for votes although it was removed is told so, once for each time: where it is still a member of another group,
 * nobody refuses its streams, and nothing else would end its campaigns (H60).
 */
export function maybeTellRemoved(state: RaftState, { from: to, preVote }: VoteRequest): void {
  const { removed = [] } = state.log.configurations[0]?.configuration ?? {};
  const tombstone = removed.findLast(({ id }) => id === to);
  if (tombstone === undefined) return;
  send(state, { type: 'voteReply', to, granted: false, preVote, removed: tombstone.incarnation });
}

/**
 * Requests of an older term are answered with ours, so that their sender learns it (H8, Raft §5.1); answers of an
 * older term mean nothing any more (E11).
 */
export function answerOlderTerm(state: RaftState, message: PeerMessage): void {
  const to = message.from;
  switch (message.type) {
    case 'vote':
      send(state, { type: 'voteReply', to, granted: false, preVote: message.preVote, removed: 0 });
      return;
    case 'heartbeat':
      send(state, { type: 'heartbeatReply', to, round: message.round, lastIndex: state.log.lastIndex });
      return;
    case 'append':
      send(state, {
        type: 'appendReply',
        to,
        session: message.session,
        refused: true,
        match: message.prevIndex,
        hintIndex: 0,
        hintTerm: 0,
        applied: 0,
      });
      return;
    default:
  }
}
