import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId, Term } from '../base/ids.js';
import {
  type AppendReply,
  type BatchHeader,
  BatchKind,
  CompressionLevel,
  type ControlMessage,
  type PeerMessage,
} from '../base/messages.js';
import { encodeEnvelope } from '../codec/envelope.js';
import { NO_CONFIGURATION } from '../core/membership.js';
import type { RaftOptions, RecoveredState } from '../core/options.js';
import { Raft } from '../core/raft.js';
import type {
  ConfigurationTarget,
  LocalMessage,
  Outbound,
  RaftStatus,
  Ready,
  Role,
  SessionCommand,
} from '../core/ready.js';
import { Applier, type SessionRun } from './applier.js';
import type { Clock } from './clock.js';
import { type Hub, OrderMap } from './hub.js';
import { LogHooks } from './log-hooks.js';
import { Members } from './members.js';
import type { Config } from './options.js';
import type { PeerBook } from './peer-book.js';
import type { GroupPipeline } from './pipeline.js';
import { type Leadership, Proposals } from './proposals.js';
import { type ReadOptions, type ReadPoint, Reads } from './reads.js';
import { notLeader } from './refusals.js';
import type { SnapshotEvent, SnapshotSettings } from './snapshot-store.js';
import { Snapshots, snapshotToStartFrom } from './snapshots.js';
import type { StateMachine } from './state-machine.js';

const TRANSFER_REFUSALS = {
  self: 'it leads already',
  notVoter: 'it is no voter of the configuration in force',
  transferring: 'a transfer is under way',
} as const;

export interface ReplicaEvents {
  /** Its commit index has grown. */
  commit: (replica: Replica) => void;
  leadership: (replica: Replica, leadership: { role: Role; term: Term; leader: NodeId }) => void;
  /** The fate of remote clients' entries. */
  sessions: (replica: Replica, runs: SessionRun[]) => void;
}

/** What the window to one follower has come to: messages that may be in flight, and the shortest times of late, ms. */
export interface FlowSeen {
  depth: number;
  roundTripMs: number;
  /** Until it was durable there. */
  durableMs: number;
}

/** What one follower said of how far it has applied. */
export type AppliedByPeer = Map<NodeId, LogIndex>;

/**
 * One group on this node: where the core's decisions meet the rings. Carries out what a Ready asks for, applies what is
 * committed.
 */
export class Replica implements Leadership {
  readonly group: GroupId;
  readonly applier: Applier;
  readonly proposals: Proposals;
  readonly peersApplied: AppliedByPeer = new Map();
  readonly peersFlow = new Map<NodeId, FlowSeen>();
  readonly members: Members;
  readonly #book: PeerBook;
  /** The configurations as the book was told of them: the first, the last, and whether the first was committed. */
  #configurationsTold: readonly unknown[] = [];
  #firstChecksum = 0;
  #retired = false;
  readonly #raft: Raft;
  readonly #hub: Hub;
  readonly #config: Config;
  readonly #events: ReplicaEvents;
  readonly #orders = new OrderMap();
  readonly #reads: Reads;
  readonly #hooks: LogHooks | undefined;
  readonly #snapshots: Snapshots | undefined;
  #commit: LogIndex;
  /** How far the feeder was asked to feed. */
  #fedTo: LogIndex = 0;
  #appliedTold: LogIndex = 0;
  /** What this follower said last to the leader of this term; forgotten with the leadership. */
  #lastReply: { reply: AppendReply; after: number; applied: LogIndex } | undefined;
  role: Role = 'follower';
  term: Term = 0;
  leader: NodeId = 0;

  constructor(
    group: { id: GroupId; stateMachine: StateMachine },
    parts: {
      config: Config;
      hub: Hub;
      clock: Clock;
      book: PeerBook;
      pipeline: GroupPipeline;
      events: ReplicaEvents;
      snapshots?: SnapshotSettings | undefined;
    },
    options: RaftOptions,
    recovered: RecoveredState,
  ) {
    this.group = group.id;
    this.#hub = parts.hub;
    this.#config = parts.config;
    this.#events = parts.events;
    const start = snapshotToStartFrom(group.id, parts.snapshots, recovered);
    this.#commit = Math.max(recovered.commitIndex, start?.index ?? 0);
    this.#raft = new Raft(options, { ...recovered, commitIndex: this.#commit });
    this.applier = new Applier(group.id, group.stateMachine);
    const { preCommit, rollback } = group.stateMachine;
    if (preCommit !== undefined || rollback !== undefined)
      this.#hooks = new LogHooks(group.id, group.stateMachine, recovered, start?.index ?? 0);
    this.proposals = new Proposals(this, parts);
    this.#reads = new Reads({
      ...{ group: group.id, raft: this.#raft, clock: parts.clock, config: parts.config },
      notLeader: () => this.notLeader(),
      leaderKnown: () => this.leader !== 0,
    });
    this.#book = parts.book;
    this.members = new Members(this, parts.book, parts.clock);
    if (parts.snapshots === undefined) return;
    const { hub, snapshots: settings } = parts;
    this.#snapshots = new Snapshots(
      {
        group: group.id,
        settings,
        hub,
        applier: this.applier,
        step: (message) => this.step(message),
        termAt: (index) => this.termAt(index),
        durableIndex: () => this.#raft.durableIndex,
        base: recovered.base.index,
      },
      start,
    );
  }

  /** The connection to the leader broke, and nothing was heard of it since. */
  get leaderUnreachable(): boolean {
    return this.#raft.leaderUnreachable;
  }

  get commitIndex(): LogIndex {
    return this.#raft.commitIndex;
  }

  /** Whether this leader's lease holds now, if reads may rest on one. */
  get leaseHolds(): boolean {
    return this.#raft.leaseHolds();
  }

  get configurations(): Raft['configurations'] {
    return this.#raft.configurations;
  }

  /** The lowest of the configurations that may be in force: the committed one, and those that may follow it. */
  get compressionLevel(): number {
    let level: number = CompressionLevel.Deflate;
    for (const { configuration } of this.configurations)
      level = Math.min(level, configuration.compressionLevel);
    return level;
  }

  get firstChecksum(): number {
    return this.#firstChecksum;
  }

  /** The cluster has removed this node, as a peer says or its own log. */
  get retired(): boolean {
    const [{ index, configuration } = NO_CONFIGURATION] = this.configurations;
    const { removed = [] } = configuration;
    const own = this.#book.incarnationOf(this.id);
    return (
      this.#retired ||
      (index <= this.commitIndex &&
        removed.some(({ id, incarnation }) => id === this.id && incarnation === own))
    );
  }

  /** A peer whose word counts says that this node was removed. */
  retire(): void {
    if (this.leads) return;
    this.#retired = true;
    this.step({ type: 'retired' });
  }

  /** Begins a change of members; what the core wants done about it is done. */
  placeConfiguration(
    target: ConfigurationTarget,
    expectedIndex: LogIndex,
  ): ReturnType<Raft['proposeConfiguration']> {
    const placed = this.#raft.proposeConfiguration(target, expectedIndex);
    this.carryOut();
    this.#hub.wake();
    return placed;
  }

  /** This node. */
  get id(): NodeId {
    return this.#config.id;
  }

  /** What this node's own disk holds of the log for certain. */
  get durableIndex(): LogIndex {
    return this.#raft.durableIndex;
  }

  get leads(): boolean {
    return this.role === 'leader';
  }

  notLeader(): RaftlineError {
    return notLeader(this.group, this.leader, this.#book.addressOf(this.leader));
  }

  place(entries: number, bytes: number): ReturnType<Raft['propose']> {
    return this.#raft.propose(entries, bytes);
  }

  status(): RaftStatus {
    return this.#raft.status();
  }

  /** The term of an entry of the log as ordered, for whoever watches from outside; undefined beyond the log's ends. */
  termAt(index: LogIndex): Term | undefined {
    return this.#raft.termAt(index);
  }

  tick(): void {
    this.#raft.tick();
    this.carryOut();
    this.#repeatReply();
  }

  /** A message from a peer or from a replicator. For an append, `received` says that its batches stand in the receive ring. */
  step(message: PeerMessage | LocalMessage): void {
    this.#raft.step(message);
    if (message.type === 'append') this.carryOut(message.headers);
    else this.carryOut();
  }

  /** Tells the core which of its orders are on disk. */
  durableTo(global: number): void {
    const order = this.#orders.durable(global);
    if (order > 0) this.step({ type: 'durable', order });
  }

  /** What the snapshot store has to tell of this group. */
  takeSnapshotEvent(event: SnapshotEvent): void {
    this.#snapshots?.take(event);
  }

  // — asking the core —————————————————————————————————————————————————————————————————————————————————————————————

  /** A linearizable read, on any member (`Group.read`). Refusals are thrown. */
  read(options: ReadOptions, resolve: (point: ReadPoint) => void, reject: (error: Error) => void): void {
    this.#reads.add(options, resolve, reject);
    this.carryOut();
    // By a lease it may be due already.
    this.#settleReads();
    this.#hub.wake();
  }

  /** Hands leadership to another voter; the outcome shows as a change of leadership. */
  transferLeadership(to: NodeId): void {
    const answer = this.#raft.transferLeadership(to);
    if (answer !== 'started') {
      if (answer.refused === 'notLeader') throw this.notLeader();
      const reason = TRANSFER_REFUSALS[answer.refused];
      throw new RaftlineError(ErrorCode.OptionInvalid, `transfer to node ${to}: ${reason}`, { received: to });
    }
    this.carryOut();
    this.#hub.wake();
  }

  // — carrying out what the core decided ————————————————————————————————————————————————————————————————————————————

  /** `received`: heads of batches that stand in the receive ring, in order; each is written or dropped, in order. */
  carryOut(received: readonly BatchHeader[] = []): void {
    const ready = this.#raft.ready();
    let taken = 0;
    for (const order of ready?.orders ?? []) {
      if (order.type === 'append') {
        while (received[taken] !== order.header) {
          this.#hub.order({ type: 'drop', group: this.group });
          taken++;
        }
        taken++;
      }
      this.#order(order);
    }
    for (; taken < received.length; taken++) this.#hub.order({ type: 'drop', group: this.group });
    if (ready === undefined) return;
    // Before the sessions: whom one is opened to must be known to the network thread.
    this.#tellMembers();
    for (const session of ready.sessions) this.#session(session);
    for (const wanted of ready.snapshots) this.#snapshots?.send(wanted);
    for (const outbound of ready.messages) this.#send(outbound);
    if (ready.leadership !== undefined) this.#changeLeadership(ready.leadership);
    if (ready.commitMoved) this.#commitMoved(ready.commitIndex);
    this.#reads.take(ready);
  }

  #order(order: Ready['orders'][number]): void {
    this.#hooks?.take(order);
    const global = this.#hub.nextOrder();
    this.#orders.add(order.id, global);
    const { group } = this;
    switch (order.type) {
      case 'own': {
        const { batch } = order;
        if (batch.kind !== BatchKind.Data) this.#hub.inOrder(() => this.proposals.publishOwn(batch));
        const { firstIndex, term } = batch;
        this.#hub.order({ type: 'own', order: global, group, firstIndex, term });
        break;
      }
      case 'append': {
        const { firstIndex, term, checksum } = order.header;
        if (firstIndex === 1) this.#firstChecksum = checksum;
        this.#hub.order({ type: 'received', order: global, group, firstIndex, term });
        break;
      }
      case 'truncate':
        this.#hub.order({ type: 'truncate', order: global, group, from: order.from });
        break;
      case 'hardState': {
        const { term, vote } = order.hardState;
        this.#hub.order({ type: 'hardState', order: global, group, term, vote });
        break;
      }
      case 'snapshot':
        this.#snapshots?.order(order, global);
        break;
    }
  }

  #tellMembers(): void {
    const { configurations, commitIndex } = this.#raft;
    const [first] = configurations;
    const told = [first, configurations.at(-1), (first?.index ?? 0) <= commitIndex];
    if (told.every((part, at) => part === this.#configurationsTold[at])) return;
    this.#configurationsTold = told;
    this.#book.update();
  }

  #session(command: SessionCommand): void {
    const { group } = this;
    const { peer, session } = command;
    if (command.type === 'close') {
      this.#hub.command({ type: 'sessionClose', group, peer, session });
    } else if (command.type === 'stream') {
      const { term, next } = command;
      this.#hub.command({ type: 'sessionStream', group, peer, session, term, next });
    } else {
      const { term, prevIndex, prevTerm } = command;
      this.#hub.command({ type: 'sessionOpen', group, peer, session, term, prevIndex, prevTerm });
      this.#hub.command({ type: 'commit', group, term, commit: this.#raft.commitIndex });
    }
  }

  #send({ message, after }: Outbound): void {
    const global = this.#orders.globalOf(after);
    if (message.type === 'appendReply') this.#sendReply(message, global);
    else this.#sendControl(message, global);
  }

  #sendControl(message: ControlMessage, after: number): void {
    const body = encodeEnvelope({ type: 'control', message }).bytes;
    const heartbeatOf = message.type === 'heartbeat' ? this.group : 0;
    this.#hub.command({ type: 'control', peer: message.to, after, heartbeatOf, body });
  }

  /** What was applied since the last reply is told again with it, so that the leader's view of an idle follower comes up to date. */
  #repeatReply(): void {
    const last = this.#lastReply;
    if (last !== undefined && last.applied < this.applier.applied) this.#sendReply(last.reply, last.after);
  }

  #sendReply(reply: AppendReply, after: number): void {
    const { group, to: peer, term, session, match, hintIndex, hintTerm } = reply;
    const refused = reply.refused ? 1 : 0;
    const { applied } = this.applier;
    this.#lastReply = reply.refused ? undefined : { reply, after, applied };
    const record = {
      type: 'appendReply',
      group,
      peer,
      term,
      session,
      refused,
      match,
      hintIndex,
      hintTerm,
    } as const;
    this.#hub.command({ ...record, applied, after });
  }

  /** No longer the leader of the term in which they were made: what is still open was certainly not done, what is sealed may be. */
  #changeLeadership(leadership: { role: Role; term: Term; leader: NodeId }): void {
    const deposed = this.leads && (leadership.role !== 'leader' || leadership.term !== this.term);
    this.#lastReply = undefined;
    this.role = leadership.role;
    this.term = leadership.term;
    this.leader = leadership.leader;
    if (deposed) {
      // In the order of the entries: first what is sealed. Check-quorum ends a leadership within its term: then nothing of it stays.
      this.proposals.dropNear(leadership.role === 'leader' ? leadership.term : 0);
      this.proposals.rejectOpen(this.notLeader());
      this.peersApplied.clear();
      this.peersFlow.clear();
    }
    this.#events.leadership(this, leadership);
  }

  #commitMoved(commit: LogIndex): void {
    this.#commit = commit;
    this.#events.commit(this);
    if (!this.leads) return;
    this.proposals.committed(commit);
    this.#hub.command({ type: 'commit', group: this.group, term: this.term, commit });
  }

  // — applying ——————————————————————————————————————————————————————————————————————————————————————————————————————

  /** Applies the next committed batch if it is near. False: nothing near is due. */
  applyNear(): boolean {
    const slot = this.proposals.near.first();
    if (slot === undefined || slot.firstIndex !== this.applier.applied + 1) return false;
    if (slot.firstIndex + slot.count - 1 > this.#applicable()) return false;
    // A slot sealed in a term that was lost may have been overtaken; then the log says what stands there.
    if (this.#raft.termAt(slot.firstIndex) === slot.term) {
      const runs = this.applier.apply({ ...slot, bytes: this.#hub.slots.bytes }, slot.waiters);
      if (runs.length > 0) this.#events.sessions(this, runs);
    } else slot.waiters.reject(this.notLeader(), 'none');
    // Only now: had the state machine failed, whoever waits for this batch would have to be told so.
    this.proposals.near.shift();
    this.proposals.near.finish(slot);
    return true;
  }

  /** Committed, and on this node's own disk: a state machine never knows what its own log could lose. */
  #applicable(): LogIndex {
    return Math.min(this.#commit, this.#raft.durableIndex);
  }

  /** A batch that the feeder read back. What was applied already (it came near) is passed over. */
  applyFed(header: BatchHeader, bytes: Buffer, start: number): void {
    if (header.firstIndex <= this.applier.applied) return;
    const { term, firstIndex, count, kind, flags, rawLength } = header;
    const batch = { term, firstIndex, count, kind, flags, bytes, start, end: start + rawLength };
    const runs = this.applier.apply(batch, undefined);
    if (runs.length > 0) this.#events.sessions(this, runs);
  }

  /** Asks for what is committed and not near, and says how far this replica is. */
  afterApply(): void {
    this.#snapshots?.afterApply();
    this.#askFeeder();
    const { applied } = this.applier;
    this.members.poll();
    this.#settleReads();
    if (applied === this.#appliedTold) return;
    this.#appliedTold = applied;
    this.#hub.command({ type: 'applied', group: this.group, applied });
  }

  #settleReads(): void {
    if (this.#reads.settle(this.applier.applied)) this.carryOut();
  }

  #askFeeder(): void {
    if (this.#snapshots?.installing === true) return;
    const first = this.proposals.near.first()?.firstIndex ?? Number.MAX_SAFE_INTEGER;
    const to = Math.min(this.#applicable(), first - 1);
    if (to <= this.applier.applied || to <= this.#fedTo) return;
    this.#fedTo = to;
    const term = this.termAt(to) ?? 0;
    this.#hub.command({ type: 'feed', group: this.group, from: this.applier.applied + 1, to, term });
  }

  /** Ends everything that waits: the engine closes or has failed. */
  abandon(error: RaftlineError): void {
    this.#reads.failAll(error);
    this.members.abandon(error);
    this.proposals.abandonNear(0, error);
    this.proposals.rejectOpen(error);
  }
}
