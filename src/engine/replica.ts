import type { RaftlineError } from '../base/errors.js';
import type { GroupId, Incarnation, LogIndex, NodeId, Term } from '../base/ids.js';
import { type BatchHeader, CompressionLevel, type PeerMessage } from '../base/messages.js';
import { NO_CONFIGURATION } from '../core/membership.js';
import type { RaftOptions, RecoveredState } from '../core/options.js';
import { Raft } from '../core/raft.js';
import type {
  ConfigurationTarget,
  Leadership as CoreLeadership,
  LocalMessage,
  RaftStatus,
  Role,
} from '../core/ready.js';
import { Applier, type SessionRun } from './applier.js';
import { ApplyPace } from './apply-pace.js';
import type { Clock } from './clock.js';
import { Feed } from './feed.js';
import { FollowersSeen } from './followers-seen.js';
import type { Hub } from './hub.js';
import { LogHooks } from './log-hooks.js';
import { Members } from './members.js';
import type { Config } from './options.js';
import { Orders } from './orders.js';
import type { PeerBook } from './peer-book.js';
import { PeerMessages } from './peer-messages.js';
import type { GroupPipeline, Pipelines } from './pipeline.js';
import { type Leadership, Proposals } from './proposals.js';
import { type ReadOptions, type ReadPoint, Reads } from './reads.js';
import { notLeader, transferRefused } from './refusals.js';
import type { Snapshot, SnapshotEvent, SnapshotSettings } from './snapshot-store.js';
import { Snapshots, snapshotToStartFrom } from './snapshots.js';
import type { StateMachine } from './state-machine.js';

export interface ReplicaEvents {
  /** Its commit index has grown. */
  commit: (replica: Replica) => void;
  leadership: (replica: Replica, leadership: CoreLeadership) => void;
  /** The fate of remote clients' entries. */
  sessions: (replica: Replica, runs: SessionRun[]) => void;
}

export interface ReplicaParts {
  readonly config: Config;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly book: PeerBook;
  readonly pipeline: GroupPipeline;
  readonly events: ReplicaEvents;
  readonly snapshots: SnapshotSettings | undefined;
}

/**
 * One group on this node: where the core's decisions meet the rings. Carries out what a Ready asks for, applies what is
 * committed.
 */
export class Replica implements Leadership {
  readonly group: GroupId;
  readonly applier: Applier;
  readonly proposals: Proposals;
  readonly followersSeen = new FollowersSeen();
  readonly members: Members;
  readonly #book: PeerBook;
  /** The configurations as the book was told of them: the first, the last, and whether the first was committed. */
  #configurationsTold: readonly unknown[] = [];
  #retired = false;
  readonly #raft: Raft;
  readonly #hub: Hub;
  readonly #config: Config;
  readonly #events: ReplicaEvents;
  readonly #orders: Orders;
  readonly #hooks: LogHooks | undefined;
  readonly #messages: PeerMessages;
  readonly #reads: Reads;
  readonly #feed: Feed;
  readonly #pace: ApplyPace;
  readonly #snapshots: Snapshots | undefined;
  role: Role = 'follower';
  term: Term = 0;
  leader: NodeId = 0;

  constructor(
    { id: group, stateMachine }: { id: GroupId; stateMachine: StateMachine },
    parts: ReplicaParts,
    options: RaftOptions,
    recovered: RecoveredState,
  ) {
    const { config, hub, clock, book, events } = parts;
    this.group = group;
    this.#hub = hub;
    this.#config = config;
    this.#events = events;
    this.#book = book;
    const start = snapshotToStartFrom(group, parts.snapshots, recovered);
    const commitIndex = Math.max(recovered.commitIndex, start?.index ?? 0);
    const raft = new Raft(options, { ...recovered, commitIndex });
    this.#raft = raft;
    const applier = new Applier(group, stateMachine);
    this.applier = applier;
    const pace = new ApplyPace();
    this.#pace = pace;
    this.#hooks = LogHooks.of(group, stateMachine, recovered, start?.index ?? 0);
    const proposals = new Proposals(this, parts);
    this.proposals = proposals;
    this.members = new Members(this, book, clock);
    const refusal = { notLeader: () => this.notLeader() };
    this.#reads = new Reads({ group, raft, clock, config, ...refusal, leaderKnown: () => this.leader !== 0 });
    this.#snapshots = this.#snapshotsOf(parts, recovered, start);
    const shared = { group, hub, snapshots: this.#snapshots };
    this.#orders = new Orders({ ...shared, publishOwn: (batch) => proposals.publishOwn(batch) });
    const applied = () => applier.applied;
    this.#messages = new PeerMessages({
      ...{ group, hub, orders: this.#orders, applied },
      commitIndex: () => this.commitIndex,
    });
    const sessions = (runs: SessionRun[]) => events.sessions(this, runs);
    const urgent = (): boolean => this.leads || this.#reads.pending;
    const feeding = { ...shared, ...refusal, applier, pace, clock, proposals, log: raft, urgent, sessions };
    this.#feed = new Feed(feeding, commitIndex);
  }

  #snapshotsOf(
    { hub, snapshots: settings }: ReplicaParts,
    { base }: RecoveredState,
    start: Snapshot | undefined,
  ): Snapshots | undefined {
    if (settings === undefined) return undefined;
    const { group, applier } = this;
    const parts = {
      ...{ group, settings, hub, applier, base: base.index },
      step: (message: LocalMessage) => this.step(message),
      termAt: (index: LogIndex) => this.termAt(index),
      durableIndex: () => this.durableIndex,
    };
    return new Snapshots(parts, start);
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

  get batchEntriesInTime(): number {
    return this.#pace.batchEntriesInTime;
  }

  /** The lowest of the configurations that may be in force: the committed one, and those that may follow it. */
  get compressionLevel(): number {
    let level: number = CompressionLevel.Deflate;
    for (const { configuration } of this.configurations)
      level = Math.min(level, configuration.compressionLevel);
    return level;
  }

  /** The cluster has removed this node, as a peer says or its own log. */
  get retired(): boolean {
    const [{ index, configuration } = NO_CONFIGURATION] = this.configurations;
    const { removed = [] } = configuration;
    const own = this.#incarnation;
    return (
      this.#retired ||
      (index <= this.commitIndex &&
        removed.some(({ id, incarnation }) => id === this.id && incarnation === own))
    );
  }

  /** Of this node's data directory. */
  get #incarnation(): Incarnation {
    return this.#book.incarnationOf(this.id);
  }

  /** A peer says that this node was removed. Only who has a voice in the group is believed; and who leads knows better. */
  noteRemoved(by: NodeId): void {
    const { voters, votersOutgoing } = this.members.view();
    if (this.leads || ![...voters, ...votersOutgoing].includes(by)) return;
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

  /** Something here goes on as soon as more is durable. What a follower answers waits for that on the network thread. */
  get awaitsDurable(): boolean {
    return this.#raft.awaitsDurable || this.#snapshots?.installing === true;
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
    this.proposals.tick();
    this.#messages.repeatReply();
  }

  /** A message from a peer or from a replicator. For an append, `received` says that its batches stand in the receive ring. */
  step(message: PeerMessage | LocalMessage): void {
    this.#raft.step(message);
    if (message.type === 'append') this.carryOut(message.headers);
    else this.carryOut();
    if (message.type === 'voteReply' && message.removed !== 0 && message.removed === this.#incarnation)
      this.noteRemoved(message.from);
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

  /** From now on the group's pipeline is what `pipelines` says. */
  tune(pipelines: Pipelines): void {
    this.proposals.tune(pipelines.of(this.group));
    const body = Buffer.from(JSON.stringify(pipelines.flow(this.group)));
    this.#hub.command({ type: 'flow', group: this.group, body });
    this.#hub.wake();
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
    if (answer !== 'started')
      throw answer.refused === 'notLeader' ? this.notLeader() : transferRefused(to, answer.refused);
    this.carryOut();
    this.#hub.wake();
  }

  // — carrying out what the core decided ————————————————————————————————————————————————————————————————————————————

  /** `received`: heads of batches that stand in the receive ring, in order; each is written or dropped, in order. */
  carryOut(received: readonly BatchHeader[] = []): void {
    const ready = this.#raft.ready();
    this.#orders.give(ready?.orders ?? [], received);
    if (ready === undefined) return;
    // Before the sessions: whom one is opened to must be known to the network thread.
    this.#tellMembers();
    for (const session of ready.sessions) this.#messages.session(session);
    for (const wanted of ready.snapshots) this.#snapshots?.send(wanted);
    for (const outbound of ready.messages) this.#messages.send(outbound);
    if (ready.leadership !== undefined) this.#changeLeadership(ready.leadership);
    if (ready.commitMoved) this.#commitMoved(ready.commitIndex);
    this.#reads.take(ready);
    // Callers' code comes last: what it asks for is carried out before it returns.
    this.#hooks?.take(ready.orders);
    if (ready.leadership !== undefined) this.#events.leadership(this, ready.leadership);
    if (ready.commitMoved) this.#events.commit(this);
  }

  #tellMembers(): void {
    const { configurations, commitIndex } = this.#raft;
    const [first] = configurations;
    const told = [first, configurations.at(-1), (first?.index ?? 0) <= commitIndex];
    if (told.every((part, at) => part === this.#configurationsTold[at])) return;
    this.#configurationsTold = told;
    this.#book.update();
  }

  /** No longer the leader of the term in which they were made: what is still open was certainly not done, what is sealed may be. */
  #changeLeadership(leadership: CoreLeadership): void {
    const deposed = this.leads && (leadership.role !== 'leader' || leadership.term !== this.term);
    this.#messages.forgetReply();
    this.role = leadership.role;
    this.term = leadership.term;
    this.leader = leadership.leader;
    if (deposed) {
      // In the order of the entries: first what is sealed. Check-quorum ends a leadership within its term: then nothing of it stays.
      this.proposals.dropNear(leadership.role === 'leader' ? leadership.term : 0);
      this.proposals.rejectOpen(this.notLeader());
      this.followersSeen.forget();
    }
  }

  #commitMoved(commit: LogIndex): void {
    this.#feed.committed(commit);
    if (!this.leads) return;
    this.proposals.committed(commit);
    this.#hub.command({ type: 'commit', group: this.group, term: this.term, commit });
  }

  // — applying ——————————————————————————————————————————————————————————————————————————————————————————————————————

  /** Applies the next committed batch if it is near. False: nothing near is due. */
  applyNear(): boolean {
    return this.#feed.applyNear();
  }

  /** A batch that the feeder read back. */
  applyFed(header: BatchHeader, bytes: Buffer, start: number): boolean {
    return this.#feed.applyFed(header, bytes, start);
  }

  /** After what was due is applied: whoever waited for it is told, and more is asked for. */
  afterApply(): void {
    this.#snapshots?.afterApply();
    this.#feed.ask();
    this.members.poll();
    this.#settleReads();
    this.#feed.tell();
  }

  #settleReads(): void {
    if (this.#reads.settle(this.applier.applied)) this.carryOut();
  }

  /** Ends everything that waits: the engine closes or has failed. */
  abandon(error: RaftlineError): void {
    this.#reads.failAll(error);
    this.members.abandon(error);
    this.proposals.abandonNear(0, error);
    this.proposals.rejectOpen(error);
  }
}
