import type { LogIndex, NodeId, OrderId, SessionCounter, Term } from '../base/ids.js';
import type { AppendReply, BatchHeader, Configuration, ControlMessage, HardState } from '../base/messages.js';
import { randomInteger } from '../base/prng.js';
import { PRIORITY_MAX, type RaftOptions, type RecoveredState, type Settings, settingsOf } from './options.js';
import { Outbox } from './outbox.js';
import type { Progress } from './progress.js';
import { RaftLog } from './raft-log.js';
import type { Outbound, ProposedBatch } from './ready.js';
import { Uncommitted } from './uncommitted.js';

/** Who asks for a read point: a caller here, or a member. `lease`: the lease's word is enough. */
export interface ReadRequest {
  context: number;
  lease: boolean;
  peer?: NodeId;
}

/** A read that waits: for the commit of `index`, and for a quorum to answer a round that began after it. */
export interface PendingRead extends ReadRequest {
  index: LogIndex;
  round: number;
}

/** What a member that does not lead asks its leader: one question at a time; reads that come meanwhile share the next. */
export interface FollowerReads {
  /** In the order in which they came. `since`: the tick at which. */
  readonly waiting: { context: number; lease: boolean; since: number }[];
  /** Under way: answers the first `covered` of `waiting`. Good for the leader of `term` only. */
  question: { context: number; covered: number; lease: boolean; term: Term; askedAt: number } | undefined;
  /**
   * The newest question's name. The first is random, so that an answer to a question of an earlier life of this process is not
   * taken for one of this life: its index may be too old.
   */
  lastQuestion: number | undefined;
}

/**
 * A `precandidate` asks who would vote for it, in its old term and without voting itself; to the outside it is a candidate.
 */
export type StateRole = 'follower' | 'precandidate' | 'candidate' | 'leader';

/** All that one member of one group knows. The roles are modules of functions over it; only `transitions` changes `role`. */
export class RaftState {
  readonly options: Settings;
  readonly log: RaftLog;
  readonly outbox = new Outbox();

  role: StateRole = 'follower';
  /** Never goes back. */
  term: Term;
  /** Whom this node voted for in `term`, 0: nobody. Changes only from 0, or with the term. */
  vote: NodeId;
  /** Who leads `term`, 0 while unknown. */
  leader: NodeId = 0;

  /** Ticks since the start. */
  ticks = 0;
  /** Ticks since the election timer was reset; while a leader is known, since it was last heard. */
  electionElapsed = 0;
  electionTimeout = 0;
  /** Followers: the connection to the leader broke and nothing was heard of it since. */
  leaderUnreachable = false;
  heartbeatElapsed = 0;

  /** Candidates and pre-candidates: who answered, and how. Voters are counted, not messages (H4). */
  readonly votes = new Map<NodeId, boolean>();

  /** Leaders: every other member. Empty on others. */
  readonly progress = new Map<NodeId, Progress>();
  readonly uncommitted = new Uncommitted();
  /** Grows with every session opened in this process life. */
  sessionCounter: SessionCounter = 0;
  /** Grows with every round of heartbeats. */
  round = 0;
  /** Leaders with a lease: when each round was sent, from the newest confirmed one on. Check-quorum bounds it. */
  readonly roundTimes: { round: number; sentAt: number }[] = [];
  /** Leaders: the first index of this leadership. */
  termStart: LogIndex = 0;
  /** Leaders: reads that wait, in order; their indexes and rounds never fall. */
  readonly reads: PendingRead[] = [];
  /** Followers and candidates: reads for which a leader is to be asked. */
  readonly followerReads: FollowerReads = { waiting: [], question: undefined, lastQuestion: undefined };
  /** Leaders: a hand-over under way; proposals wait. Never outlives the leadership (H15). */
  transfer: { target: NodeId; elapsed: number; ordered: boolean } | undefined;
  /** Leaders: somebody was ordered to campaign in this term, so no lease is to be trusted any more. */
  leaseForfeited = false;
  /** Leaders: index of the newest committed configuration whose consequences were drawn. */
  settledConfiguration: LogIndex = 0;
  /** Leaders: a committed configuration leaves this one out; it leads only until it has handed over (H58). */
  removed = false;

  /** This node was told that it is no member any more: it does not campaign. */
  retired = false;

  /** The tick at which a leader was heard last, whichever it was. */
  leaderHeardAt = Number.NEGATIVE_INFINITY;
  /** Followers: the newest session of this term's leader, and the highest index verified in it. */
  followed: { session: SessionCounter; match: LogIndex } = { session: 0, match: 0 };

  invalidMessages = 0;

  /** What the disk was last told to hold, and the order that tells it. */
  orderedHardState: HardState;
  hardStateOrder: OrderId = 0;

  constructor(options: RaftOptions, recovered: RecoveredState) {
    this.options = settingsOf(options);
    this.log = new RaftLog(recovered);
    const { term, vote } = recovered.hardState;
    // The bootstrap configuration stands in the log before any hard state does. Nobody votes in its term.
    const known = term >= this.log.lastTerm;
    this.term = known ? term : this.log.lastTerm;
    this.vote = known ? vote : 0;
    this.orderedHardState = { term: this.term, vote: this.vote };
    drawElectionTimeout(this);
  }

  get id(): NodeId {
    return this.options.id;
  }

  /** Whether this node may ask for votes: a voter, as far as it knows (H16), in this life of its directory (H61). */
  get mayCampaign(): boolean {
    return !this.retired && this.log.mayLead(this.options);
  }

  /** The configuration in force. */
  get configuration(): Configuration {
    return this.log.configuration.configuration;
  }
}

/**
 * How long to wait for a leader before standing for election. A tick more than the voters wait who heard it at the same time, since
 * clocks do not tick together: who asks sooner is refused (dissertation §4.2.3).
 */
export function drawElectionTimeout(state: RaftState): void {
  const { electionTicksMin, electionTicksMax } = state.options;
  drawTimeout(state, Math.min(electionTicksMin + 1, electionTicksMax), electionTicksMax);
}

/**
 * How long a campaign may take before the next one. It waits for answers and not for a leader's next heartbeat, so half as long
 * will do: a vote that was split, or asked for a moment too early, costs less than a whole election timeout more.
 */
export function drawCampaignTimeout(state: RaftState): void {
  const { electionTicksMin } = state.options;
  drawTimeout(state, Math.ceil(electionTicksMin / 2), electionTicksMin);
}

function drawTimeout(state: RaftState, min: number, max: number): void {
  state.electionTimeout = randomInteger(state.options.random, min, max) + handicapOf(state);
}

/** Ticks for which a member of lower priority leaves elections to others. */
function handicapOf({ options: { electionTicksMax, priority } }: RaftState): number {
  return (PRIORITY_MAX - priority) * electionTicksMax;
}

/**
 * Whether it is time to campaign. A leader whose connection broke is most likely gone: then the part of the wait that only
 * spreads candidates is halved.
 */
export function isElectionDue(state: RaftState): boolean {
  const { electionElapsed, electionTimeout, leaderUnreachable, options } = state;
  const spread = electionTimeout - handicapOf(state) - options.electionTicksMin - 1;
  const saved = leaderUnreachable && spread > 0 ? Math.ceil(spread / 2) : 0;
  return electionElapsed >= electionTimeout - saved;
}

/** The leader of this term is alive. */
export function noteLeader(state: RaftState): void {
  state.electionElapsed = 0;
  state.leaderHeardAt = state.ticks;
  state.leaderUnreachable = false;
}

/**
 * Orders the hard state written if it changed. Before anything else leaves in a step, so that a term and the vote in
 * it are one record (H1) and precede the log writes and the answers that depend on them (H2, E1).
 */
export function flushHardState(state: RaftState): void {
  const { term, vote, orderedHardState, outbox } = state;
  if (orderedHardState.term === term && orderedHardState.vote === vote) return;
  state.orderedHardState = { term, vote };
  state.hardStateOrder = outbox.nextOrder();
  outbox.orders.push({ id: state.hardStateOrder, type: 'hardState', hardState: { term, vote } });
}

export function orderOwn(state: RaftState, batch: ProposedBatch): void {
  flushHardState(state);
  const id = state.outbox.nextOrder();
  state.log.append(id, batch.term, batch.count, batch.configuration);
  state.outbox.orders.push({ id, type: 'own', batch });
}

export function orderAppend(
  state: RaftState,
  header: BatchHeader,
  configuration: Configuration | undefined,
): void {
  flushHardState(state);
  const id = state.outbox.nextOrder();
  state.log.append(id, header.term, header.count, configuration);
  state.outbox.orders.push({ id, type: 'append', header });
}

export function orderTruncate(state: RaftState, from: LogIndex): void {
  flushHardState(state);
  state.log.truncate(from);
  state.outbox.orders.push({ id: state.outbox.nextOrder(), type: 'truncate', from });
}

type Unaddressed<M> = M extends unknown ? Omit<M, 'group' | 'from' | 'term'> : never;

/**
 * Sends in the current term. Waits for the newest order, also if this step wrote nothing: what the message asserts
 * may rest on a write of an earlier step that is still under way.
 */
export function send(state: RaftState, message: Unaddressed<ControlMessage | AppendReply>): void {
  sendAs(state, state.term, message);
}

/** As `send`, in a term that the sender has not taken: a pre-vote's. */
export function sendAs(
  state: RaftState,
  term: Term,
  message: Unaddressed<ControlMessage | AppendReply>,
): void {
  flushHardState(state);
  push(state, term, message, state.outbox.newestOrder);
}

/**
 * Sends what asserts the term and nothing of the log: it waits for the term's record alone, so that a leader with a
 * slow disk is still heard.
 */
export function sendTermOnly(
  state: RaftState,
  message: Unaddressed<ControlMessage>,
  flags: Pick<Outbound, 'rare'> = {},
): void {
  flushHardState(state);
  push(state, state.term, message, state.hardStateOrder, flags);
}

function push(
  state: RaftState,
  term: Term,
  message: Unaddressed<ControlMessage | AppendReply>,
  after: OrderId,
  flags: Pick<Outbound, 'rare'> = {},
): void {
  const { group, id } = state.options;
  state.outbox.messages.push({ message: { ...message, group, from: id, term }, after, ...flags });
}
