import type { AppendReply } from '../../src/base/messages.js';
import type { TraceMessage } from '../../src/core/trace-event.js';
import type { TracedStep } from './trace-rules.js';

type Came<Type extends TraceMessage['type']> = Extract<TraceMessage, { type: Type }>;

/** H32: what is on its way to the disk, or stands where a write under way will, is not there yet. */
export function diskRules({ event, life, fault }: TracedStep): void {
  const { durableIndex } = event.state;
  if (durableIndex >= life.firstUnderWay)
    fault(`H32: durable up to ${durableIndex}, and ${life.firstUnderWay} is still being written`);
}

/** What a leader must do by itself to get its log to the others. */
export function leaderRules(step: TracedStep): void {
  const { event, before, life, fault } = step;
  const { state, sends, sessions, message } = event;
  if (state.role !== 'leader') return;
  const { match, lastIndex, commitIndex, firstIndex } = state;
  for (const { message: sent } of sends) {
    if (sent.type === 'timeoutNow' && match[sent.to] !== lastIndex)
      fault(`H14: node ${sent.to} is to lead, and has only ${match[sent.to]} of ${lastIndex}`);
    if (sent.type === 'heartbeat' && sent.commit > Math.min(match[sent.to] ?? 0, commitIndex))
      fault(`H30: node ${sent.to} is told of commit ${sent.commit}, and holds ${match[sent.to]}`);
  }
  if (before.role === 'leader' && message?.type === 'appendReply') answered(step, message);
  if (before.role === 'leader' && before.term === state.term) acknowledged(step);
  if (message?.type === 'sessionBroken' && life.sessionTo(message.peer)?.session === message.session) {
    const closed = sessions.some(({ type, peer }) => type === 'close' && peer === message.peer);
    if (!closed) fault(`H28: the stream to node ${message.peer} broke, and its session goes on`);
  }
  for (const command of sessions) {
    if (command.type === 'open' && command.prevIndex < firstIndex - 1)
      fault(
        `H48: node ${command.peer} is asked at ${command.prevIndex}, and the log begins at ${firstIndex}`,
      );
  }
  if (message?.type === 'compacted') behindCompaction(step);
}

/** A4, H48: who needs what is gone has no session any more. */
function behindCompaction({ event, life, fault }: TracedStep): void {
  const { state, sessions } = event;
  for (const [peer, { session, mode, prevIndex }] of life.sessions) {
    const asksAt = mode === 'probe' ? prevIndex : (state.match[peer] ?? 0);
    const closed = sessions.some((command) => command.type === 'close' && command.peer === peer);
    if (session !== 0 && asksAt < state.firstIndex - 1 && !closed)
      fault(
        `H48: the stream to node ${peer} goes on at ${asksAt}, and the log begins at ${state.firstIndex}`,
      );
  }
}

/** A4: only a follower's own word says what is on its disk, not a snapshot that was sent. */
function acknowledged({ event, before, fault }: TracedStep): void {
  const { state, message } = event;
  const from = message?.type === 'appendReply' && !message.refused ? message.from : 0;
  for (const [peer, match] of Object.entries(state.match)) {
    if (match > (before.match[Number(peer)] ?? 0) && Number(peer) !== from)
      fault(`A4: node ${peer} counts up to ${match}, and has not said so`);
  }
}

function answered({ event, before, life, fault }: TracedStep, reply: AppendReply): void {
  const { state, sessions } = event;
  const { from, term, session, refused, match: at, hintIndex, hintTerm } = reply;
  if (term !== before.term) return;
  const known = life.sessionTo(from);
  const told = sessions.filter(({ peer }) => peer === from);
  if (known === undefined || session !== known.session) {
    if (told.length > 0 || state.match[from] !== before.match[from])
      fault(`A1 H26: an answer in session ${session} counts in ${known?.session ?? 'none'}`);
    return;
  }
  const opened = told.find((command) => command.type === 'open');
  if (!refused) {
    if (known.mode === 'probe' && at < known.prevIndex && told.length > 0)
      fault(`A2: asked at ${known.prevIndex}, answered at ${at}, and taken for an answer`);
    return;
  }
  if (opened?.type !== 'open' || (known.mode === 'probe' && at !== known.prevIndex)) return;
  known.refusals += 1;
  if (hintIndex >= 0 && hintIndex < at && hintTerm >= 0 && hintTerm <= term && opened.prevIndex > hintIndex)
    fault(`E3: the hint was ${hintIndex}, and it asks at ${opened.prevIndex}`);
  // Each refusal leaves a term behind, at least.
  if (known.refusals > before.lastTerm + 1) fault(`H27: ${known.refusals} refusals in a row in term ${term}`);
}

/** What a follower must do by itself with what its leader sends. */
export function followerRules(step: TracedStep): void {
  const { event, before, life, fault } = step;
  const { message, state } = event;
  if (message?.type === 'append') appendTaken(step, message);
  const { verified } = life;
  if (message?.type === 'heartbeat' && state.commitIndex > before.commitIndex) {
    const shown = verified.term === message.term ? verified.match : 0;
    if (state.commitIndex > Math.min(message.commit, shown))
      fault(
        `H30: a heartbeat of commit ${message.commit} commits ${state.commitIndex}, verified is ${shown}`,
      );
  }
  if (message?.type === 'snapshotReceived' && message.index <= before.commitIndex) {
    if (event.orders.some(({ type }) => type === 'snapshot'))
      fault(
        `H46: a snapshot to ${message.index} takes the place of what is committed to ${before.commitIndex}`,
      );
  }
}

function appendTaken({ event, before, life, fault }: TracedStep, append: Came<'append'>): void {
  const { state, sends, orders } = event;
  const sent = sends.find(({ message }) => message.type === 'appendReply' && message.to === append.from);
  if (sent === undefined || append.term !== state.term) return;
  const reply = sent.message as AppendReply;
  if (reply.refused) {
    if (orders.some(({ type }) => type === 'append' || type === 'truncate'))
      fault('an append was refused, and changed the log');
    return;
  }
  const last = append.batches.at(-1);
  const end = last === undefined ? append.prevIndex : last.firstIndex + last.count - 1;
  // Below the log's beginning everything is committed, and the same everywhere.
  const shown = append.prevIndex < before.firstIndex - 1 ? Math.max(end, before.commitIndex) : end;
  const { verified } = life;
  const goesOn = verified.term === append.term && verified.session === append.session;
  const match = Math.max(shown, goesOn ? verified.match : 0);
  life.verified = { term: append.term, session: append.session, match };
  if (reply.match > match) fault(`H26: ${reply.match} is acknowledged, this session has shown ${match}`);
  if (sent.after < life.newestOrder) fault('H31: an acknowledgement that does not wait for the newest write');
  if (state.commitIndex > Math.max(before.commitIndex, Math.min(append.commit, end)))
    fault(`H22: an append to ${end} with commit ${append.commit} commits ${state.commitIndex}`);
}
