import type { GroupId, LogIndex, SessionCounter, Term } from '../base/ids.js';
import type { SessionMode } from '../base/messages.js';
import type { AppendReplyEnvelope } from '../codec/envelope-types.js';
import { CatchUp } from './catch-up.js';
import { SendWindow } from './send-window.js';
import type { FollowerFlow } from './settings.js';

/** One leader's replication of one group to one follower. Lives within one stream; its counter says whose acknowledgements count. */
export interface Session {
  readonly group: GroupId;
  readonly counter: SessionCounter;
  readonly term: Term;
  /** `ended`: refused, or its stream broke; waits for main to open the next one. */
  mode: SessionMode | 'ended';
  /** The position right before `next`; its term goes with the next message as `prevTerm`. */
  prevIndex: LogIndex;
  prevTerm: Term;
  next: LogIndex;
  /** Something was sent in it: if the stream breaks now, main must be told. */
  started: boolean;
  /** The leader's commit index, and the highest that was sent. */
  commit: LogIndex;
  commitSent: LogIndex;
  /** Messages sent, and whether something has waited for room while few were in flight since the last of them. */
  messages: number;
  pressed: boolean;
  /** Since when `commit` could have gone alone; undefined: it was sent. */
  commitHeldSinceMs: number | undefined;
  /** How far the follower has received what was sent, and how far it is durable there, as heard since the last poll. */
  received: LogIndex;
  durable: LogIndex;
  /** What the follower has applied, as any of its acknowledgements in this session said; main hears of it with the next one that it is told. */
  applied: LogIndex;
  /** The newest durable or refused acknowledgement that main has not been told of. */
  reply: AppendReplyEnvelope | undefined;
  broken: boolean;
  /** Where a batch begins that fits into no message: it is not read again. */
  tooLargeAt: LogIndex | undefined;
  /** The settings in force. */
  flow: FollowerFlow;
  readonly window: SendWindow;
  readonly catchUp: CatchUp;
  /** What it lacks next has to come from the disk, as far as is known. */
  far: boolean;
  /** Bytes of all batches ever sealed in the group, as of its last turn. */
  grown: number;
}

/** What main says when it opens one: the position before what the follower may lack. */
export interface SessionOpening {
  group: GroupId;
  session: SessionCounter;
  term: Term;
  prevIndex: LogIndex;
  prevTerm: Term;
}

export function openSession(
  { group, session: counter, term, prevIndex, prevTerm }: SessionOpening,
  commit: LogIndex,
  flow: FollowerFlow,
  grown: number,
): Session {
  return {
    group,
    counter,
    term,
    mode: 'probe',
    prevIndex,
    prevTerm,
    next: prevIndex + 1,
    started: false,
    commit,
    commitSent: 0,
    commitHeldSinceMs: undefined,
    messages: 0,
    pressed: false,
    received: 0,
    durable: 0,
    applied: 0,
    reply: undefined,
    broken: false,
    tooLargeAt: undefined,
    catchUp: new CatchUp(),
    far: false,
    grown,
    flow,
    window: new SendWindow(flow),
  };
}

/** What was heard since the last poll makes room. */
export function takeIn(session: Session, nowMs: number): void {
  if (session.received > 0) session.window.received(session.received, nowMs);
  if (session.durable > 0) session.window.durable(session.durable, nowMs);
  session.received = 0;
  session.durable = 0;
}
