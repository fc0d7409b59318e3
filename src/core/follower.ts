import type { LogIndex } from '../base/ids.js';
import { type Append, BatchKind, type Heartbeat, lastIndexOf } from '../base/messages.js';
import { isConsistent } from './append-check.js';
import { noteLeader, orderAppend, orderTruncate, type RaftState, send, sendTermOnly } from './raft-state.js';

/**
 * Takes in a leader's batches (Raft §5.3). Whole batches or nothing; what the log holds already is skipped (H20), what
 * contradicts it is replaced from that batch's border on (H21). The reply waits for the newest order, so `match` is
 * durable here when it leaves (H31).
 */
export function handleAppend(state: RaftState, append: Append): void {
  const { followed, log } = state;
  noteLeader(state);
  // Late, from a stream that its leader has given up: nobody waits for the answer.
  if (append.session < followed.session) return;
  if (append.session > followed.session) state.followed = { session: append.session, match: 0 };
  if (!isConsistent(append) || contradictsVerified(state, append)) {
    state.invalidMessages += 1;
    refuse(state, append);
    return;
  }
  if (!agreesBefore(state, append)) {
    refuse(state, append);
    return;
  }
  takeBatches(state, append);
  const end = endOf(append);
  // Below the base everything is committed, and committed entries are the same on every leader.
  const verified = append.prevIndex < log.baseIndex ? Math.max(end, log.commitIndex) : end;
  state.followed.match = Math.max(state.followed.match, verified);
  // Not further than this message proves: behind it a dead leader's entries may stand (H22).
  log.maybeCommit(Math.min(append.commit, end));
  send(state, {
    type: 'appendReply',
    to: append.from,
    session: append.session,
    refused: false,
    match: state.followed.match,
    hintIndex: 0,
    hintTerm: 0,
    applied: 0,
  });
}

/**
 * Moves no log; the commit only up to what was verified in the leader's session (H30). The answer says that this node is alive and in
 * this term, so it waits for the term's record alone: a follower whose disk is slow, not gone, is still part of the quorum that keeps a
 * leader. `lastIndex` is no acknowledgement: it may only show that something is missing.
 */
export function handleHeartbeat(state: RaftState, heartbeat: Heartbeat): void {
  noteLeader(state);
  state.log.maybeCommit(Math.min(heartbeat.commit, state.followed.match));
  sendTermOnly(state, {
    type: 'heartbeatReply',
    to: heartbeat.from,
    round: heartbeat.round,
    lastIndex: state.log.lastIndex,
  });
}

function endOf(append: Append): LogIndex {
  const last = append.headers.at(-1);
  return last === undefined ? append.prevIndex : lastIndexOf(last);
}

function agreesBefore(state: RaftState, append: Append): boolean {
  if (append.prevIndex < state.log.baseIndex) return true;
  return state.log.termAt(append.prevIndex) === append.prevTerm;
}

/**
 * What no correct leader sends: a batch that would replace an entry that is committed or that the leader itself has
 * sent in this session, or a batch of which this log has only a part.
 * Looked at before anything is touched, so that an append is taken as a whole or refused as a whole.
 */
function contradictsVerified(state: RaftState, append: Append): boolean {
  const { log } = state;
  const settled = Math.max(log.commitIndex, state.followed.match);
  for (const header of append.headers) {
    const last = lastIndexOf(header);
    if (last <= log.baseIndex) continue;
    if (log.termAt(header.firstIndex) === header.term) {
      if (log.termAt(last) !== header.term) return true;
    } else if (header.firstIndex <= settled) {
      return true;
    }
  }
  return false;
}

function takeBatches(state: RaftState, append: Append): void {
  const { log } = state;
  let configuration = 0;
  for (const header of append.headers) {
    const decoded =
      header.kind === BatchKind.Configuration ? append.configurations[configuration++] : undefined;
    if (lastIndexOf(header) <= log.baseIndex || log.termAt(header.firstIndex) === header.term) continue;
    if (header.firstIndex <= log.lastIndex) orderTruncate(state, header.firstIndex);
    orderAppend(state, header, decoded);
  }
}

/**
 * Says where both logs may agree: not above the own end, not at or above what was refused, and not in a term later
 * than the leader has there. So each refusal skips a term at least (H27). Committed entries always agree.
 */
function refuse(state: RaftState, append: Append): void {
  const { log } = state;
  const highest = Math.min(log.lastIndex, append.prevIndex - 1);
  const hintIndex = Math.max(log.lastAtMost(highest, append.prevTerm), log.commitIndex);
  send(state, {
    type: 'appendReply',
    to: append.from,
    session: append.session,
    refused: true,
    match: append.prevIndex,
    hintIndex,
    hintTerm: log.termAt(hintIndex) ?? 0,
    applied: 0,
  });
}
