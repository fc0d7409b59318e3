import { assert } from '../base/assert.js';
import type { LogIndex, NodeId, Term } from '../base/ids.js';
import { BatchKind, type ConfigurationAt, type PeerMessage } from '../base/messages.js';
import { answerOlderTerm, isAdmitted, maybeTellRemoved } from './admission.js';
import { handleDurable, handleTimeoutNow, handleVoteReply, tickElection } from './candidate.js';
import { changeConfiguration, settleConfiguration } from './configuration-change.js';
import { handleAppend, handleHeartbeat } from './follower.js';
import {
  handleReadReply,
  handleReadRequest,
  maybeAskLeader,
  queueRead,
  tickFollowerReads,
} from './follower-reads.js';
import { Invariants } from './invariants.js';
import {
  handleAppendReply,
  handleHeartbeatReply,
  handleSessionBroken,
  handleUnreachable,
  tickLeader,
} from './leader.js';
import type { RaftOptions, RecoveredState } from './options.js';
import { flushHardState, RaftState } from './raft-state.js';
import { answerReads, leaseHolds, maybeBeginRound, requestRead } from './read-index.js';
import type {
  ConfigurationRefusal,
  ConfigurationTarget,
  Leadership,
  LocalMessage,
  ProposedBatch,
  ProposeRefusal,
  RaftStatus,
  ReadRefusal,
  Ready,
  TransferRefusal,
} from './ready.js';
import { appendOwn, maybeCommit, ownDiskHoldsCommit } from './replication.js';
import { handleCompacted, handleSnapshotResult, installSnapshot, noteSnapshotChunk } from './snapshot.js';
import { Trace } from './trace.js';
import type { TraceDoor } from './trace-event.js';
import { startTransfer } from './transfer.js';
import { becomeFollower } from './transitions.js';
import { handlePreVoteRequest, handleVoteRequest, isHeldBack, refuseVote } from './voter.js';

/**
 * One member of one group: Raft's decisions over batch headers. No I/O, no clock, no payload bytes, no await; the same
 * state and the same input give the same output. Feed it through `tick`, `step` and `propose`, then take `ready()`.
 *
 * Append messages are not among its output: the replicators send them, as the session commands of a Ready say.
 */
export class Raft {
  readonly #state: RaftState;
  readonly #invariants: Invariants;
  #reportedCommit: LogIndex;
  #reportedLeadership: Leadership;
  readonly #trace: Trace | undefined;

  /** Starts as a follower. Throws `RAFTLINE_OPTION_INVALID`, or `RAFTLINE_INTERNAL` for a recovered state that cannot be. */
  constructor(options: RaftOptions, recovered: RecoveredState) {
    this.#state = new RaftState(options, recovered);
    this.#invariants = new Invariants(this.#state);
    this.#reportedCommit = recovered.commitIndex;
    this.#reportedLeadership = leadershipOf(this.#state);
    if (options.trace !== undefined) this.#trace = new Trace(this.#state, options.trace);
  }

  /** One tick of time has passed. */
  tick(): void {
    this.#state.ticks += 1;
    if (this.#state.role === 'leader') tickLeader(this.#state);
    else tickElection(this.#state);
    tickFollowerReads(this.#state);
    this.#endStep('tick');
  }

  /** Takes in what a peer sent, or what happened on this node. Nothing that a peer sends makes it throw. */
  step(message: PeerMessage | LocalMessage): void {
    const state = this.#state;
    switch (message.type) {
      case 'durable':
        assert(message.order <= state.outbox.newestOrder, 'only what was ordered is durable');
        state.log.markDurable(message.order);
        if (state.role === 'leader') maybeCommit(state);
        else handleDurable(state);
        break;
      case 'sessionBroken':
        handleSessionBroken(state, message.peer, message.session);
        break;
      case 'retired':
        retire(state);
        break;
      case 'unreachable':
        handleUnreachable(state, message.peer);
        break;
      case 'compacted':
        handleCompacted(state, message.index);
        break;
      case 'snapshotResult':
        handleSnapshotResult(state, message.peer, message.index, message.ok);
        break;
      case 'snapshotChunk':
        noteSnapshotChunk(state, message.from, message.term);
        break;
      case 'snapshotReceived':
        installSnapshot(state, message);
        break;
      default:
        stepPeer(state, message);
    }
    this.#endStep('step', message);
  }

  /**
   * Gives the next indexes to a data batch of `count` ≥ 1 entries; `byteLength` is what it counts as uncommitted.
   * Everything that may refuse for room was asked before: afterwards the batch must be written.
   */
  propose(count: number, byteLength: number): ProposedBatch | ProposeRefusal {
    const { role, leader, transfer } = this.#state;
    if (role !== 'leader') return { refused: 'notLeader', leader };
    if (transfer !== undefined) return { refused: 'transferring', leader };
    const batch = appendOwn(this.#state, BatchKind.Data, count, byteLength);
    this.#endStep('propose');
    return batch;
  }

  /**
   * Hands leadership to another voter: it is told to campaign once it holds the whole log. Whether it worked shows as a
   * change of leadership within `electionTicksMax`; until then proposals are refused, afterwards they are taken again.
   */
  transferLeadership(to: NodeId): 'started' | TransferRefusal {
    const result = startTransfer(this.#state, to);
    this.#endStep('transfer');
    return result;
  }

  /**
   * Begins a change of members, from the configuration at `expectedIndex` (that of `status().configuration`) to `next`:
   * compare-and-set. It takes effect as soon as it stands in the log; it is done when a configuration without outgoing
   * voters is committed, and undone if its entry is truncated.
   */
  proposeConfiguration(
    next: ConfigurationTarget,
    expectedIndex: LogIndex,
  ): ProposedBatch | ConfigurationRefusal {
    const batch = changeConfiguration(this.#state, next, expectedIndex);
    this.#endStep('configure');
    return batch;
  }

  /**
   * Asks for a linearizable read. `pending`: `context` comes back exactly once, in a Ready's `readStates` or `readsFailed`.
   * All reads between two calls of `ready()` share one round of heartbeats. A member that does not lead asks its leader, in
   * one question for all of them, or waits for a leader: for three of the longest election timeouts at most.
   * `lease`: whether a leader's lease, where there is one, is enough.
   */
  readIndex(context: number, lease = this.#state.options.lease !== undefined): 'pending' | ReadRefusal {
    const state = this.#state;
    const isLeader = state.role === 'leader';
    const taken = isLeader
      ? requestRead(state, { context, lease }) === 'pending'
      : queueRead(state, context, lease);
    this.#trace?.note('read');
    return taken ? 'pending' : { refused: 'overloaded', leader: state.leader };
  }

  /** Whether this leader's lease holds now. A read that was answered `byLease` is good only if it still does afterwards. */
  leaseHolds(): boolean {
    return leaseHolds(this.#state);
  }

  /** Everything to be done since the last call, or undefined. What it returns is not returned again. */
  ready(): Ready | undefined {
    maybeAskLeader(this.#state);
    maybeBeginRound(this.#state);
    this.#trace?.taken();
    const { outbox, log } = this.#state;
    const commitMoved = log.commitIndex > this.#reportedCommit;
    const leadership = leadershipOf(this.#state);
    const changed = !isSameLeadership(leadership, this.#reportedLeadership);
    if (outbox.isEmpty && !commitMoved && !changed) return undefined;
    this.#reportedCommit = log.commitIndex;
    this.#reportedLeadership = leadership;
    const ready: Ready = { ...outbox.take(), commitIndex: log.commitIndex, commitMoved };
    return changed ? { ...ready, leadership } : ready;
  }

  status(): RaftStatus {
    const { id, vote, log, progress, uncommitted, invalidMessages } = this.#state;
    return {
      ...leadershipOf(this.#state),
      id,
      vote,
      lastIndex: log.lastIndex,
      durableIndex: log.durableIndex,
      commitIndex: log.commitIndex,
      configuration: log.configuration,
      progress: [...progress.values()].map((follower) => follower.status()),
      uncommittedEntries: uncommitted.entries,
      uncommittedBytes: uncommitted.bytes,
      transferTo: this.#state.transfer?.target ?? 0,
      readsPending: this.#state.reads.length + this.#state.followerReads.waiting.length,
      preVoting: this.#state.role === 'precandidate',
      invalidMessages,
    };
  }

  /** The connection to the leader of this term broke, and nothing was heard of it since. */
  get leaderUnreachable(): boolean {
    return this.#state.leaderUnreachable;
  }

  /** The last committed configuration and every later one in the log, ascending; the last one is in force. */
  get configurations(): readonly ConfigurationAt[] {
    return this.#state.log.configurations;
  }

  /** Known to be committed. */
  get commitIndex(): LogIndex {
    return this.#state.log.commitIndex;
  }

  /** What this node's own disk holds of its log for certain. */
  get durableIndex(): LogIndex {
    return this.#state.log.durableIndex;
  }

  /** Whether what this node's own disk does next may commit something, or lets it go on otherwise. What a follower answers waits by itself. */
  get awaitsDurable(): boolean {
    const { role, log } = this.#state;
    if (log.commitIndex > log.durableIndex) return true;
    return role === 'leader' ? ownDiskHoldsCommit(this.#state) : role !== 'follower';
  }

  /** The term of an entry; 0 at index 0 of a whole log; undefined beyond the log's ends. */
  termAt(index: LogIndex): Term | undefined {
    return this.#state.log.termAt(index);
  }

  #endStep(door: TraceDoor, message?: PeerMessage | LocalMessage): void {
    settleConfiguration(this.#state);
    answerReads(this.#state);
    flushHardState(this.#state);
    this.#invariants.check();
    this.#trace?.note(door, message);
  }
}

/** The cluster goes on without this node. One that leads all the same has a quorum, and knows better. */
function retire(state: RaftState): void {
  if (state.role === 'leader') return;
  state.retired = true;
  if (state.role !== 'follower') becomeFollower(state, state.term, 0);
}

function leadershipOf(state: RaftState): Leadership {
  const { role, term, leader } = state;
  return { role: role === 'precandidate' ? 'candidate' : role, term, leader };
}

function isSameLeadership(a: Leadership, b: Leadership): boolean {
  return a.role === b.role && a.term === b.term && a.leader === b.leader;
}

/** What holds for every role: who is listened to, and whose term counts (Raft §5.1). */
function stepPeer(state: RaftState, message: PeerMessage): void {
  const { group, id } = state.options;
  if (message.group !== group || message.to !== id || message.from === id) {
    state.invalidMessages += 1;
    return;
  }
  if (!isAdmitted(state, message)) {
    if (message.type === 'vote') maybeTellRemoved(state, message);
    return;
  }
  if (message.term < state.term) {
    answerOlderTerm(state, message);
    return;
  }
  if (message.type === 'vote' && isHeldBack(state, message)) {
    refuseVote(state, message);
    return;
  }
  // A pre-vote's term is one that nobody has taken yet, so it must not become ours, asked for or granted.
  if (message.type === 'vote' && message.preVote) {
    handlePreVoteRequest(state, message);
    return;
  }
  if (message.type === 'voteReply' && message.preVote && message.granted) {
    if (message.term === state.term + 1) handleVoteReply(state, message);
    return;
  }
  if (message.term > state.term) becomeFollower(state, message.term, 0);
  stepCurrentTerm(state, message);
}

function stepCurrentTerm(state: RaftState, message: PeerMessage): void {
  switch (message.type) {
    case 'vote':
      handleVoteRequest(state, message);
      return;
    case 'voteReply':
      handleVoteReply(state, message);
      return;
    case 'append':
      if (follows(state, message.from)) handleAppend(state, message);
      return;
    case 'heartbeat':
      if (follows(state, message.from)) handleHeartbeat(state, message);
      return;
    case 'appendReply':
      if (state.role === 'leader') handleAppendReply(state, message);
      return;
    case 'heartbeatReply':
      if (state.role === 'leader') handleHeartbeatReply(state, message);
      return;
    case 'timeoutNow':
      handleTimeoutNow(state, message);
      return;
    case 'readIndex':
      if (state.role === 'leader') handleReadRequest(state, message);
      return;
    case 'readIndexReply':
      handleReadReply(state, message);
      return;
  }
}

/** Whoever sends appends or heartbeats in a term leads it: candidates give way. A second leader cannot be. */
function follows(state: RaftState, sender: number): boolean {
  if (state.leader === sender) return true;
  if (state.leader !== 0) {
    state.invalidMessages += 1;
    return false;
  }
  becomeFollower(state, state.term, sender);
  return true;
}
