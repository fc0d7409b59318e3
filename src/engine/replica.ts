import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId, Term } from '../base/ids.js';
import { FORMAT_VERSION } from '../base/limits.js';
import {
  type AppendReply,
  type BatchHeader,
  BatchKind,
  Codec,
  type ControlMessage,
  type PeerMessage,
} from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, writeBatchHead } from '../codec/batch.js';
import { encodeConfiguration } from '../codec/configuration.js';
import { packEntry, packedEntryBytes } from '../codec/entries.js';
import { encodeEnvelope } from '../codec/envelope.js';
import type { RaftOptions, RecoveredState } from '../core/options.js';
import { Raft } from '../core/raft.js';
import type {
  LocalMessage,
  Outbound,
  ProposedBatch,
  RaftStatus,
  Ready,
  Role,
  SessionCommand,
} from '../core/ready.js';
import { Applier, type SessionRun } from './applier.js';
import type { Clock } from './clock.js';
import { type Hub, OrderMap } from './hub.js';
import { NearSlots } from './near-slots.js';
import { OpenBatch, type Proposed, type Waiter } from './open-batch.js';
import type { Config } from './options.js';
import type { ProposalSlot } from './proposal-slots.js';
import { type ReadPoint, Reads } from './reads.js';
import type { StateMachine } from './state-machine.js';

const TRANSFER_REFUSALS = {
  self: 'it leads already',
  notVoter: 'it is no voter of the configuration in force',
  transferring: 'a transfer is under way',
} as const;

export interface ReplicaEvents {
  leadership: (replica: Replica, leadership: { role: Role; term: Term; leader: NodeId }) => void;
  /** The fate of remote clients' entries. */
  sessions: (replica: Replica, runs: SessionRun[]) => void;
}

/** What one follower said of how far it has applied. */
export type AppliedByPeer = Map<NodeId, LogIndex>;

/**
 * One group on this node: where the core's decisions meet the rings. Seals proposals into batches, carries out what a
 * Ready asks for, applies what is committed.
 */
export class Replica {
  readonly group: GroupId;
  readonly applier: Applier;
  readonly peersApplied: AppliedByPeer = new Map();
  readonly #raft: Raft;
  readonly #hub: Hub;
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #events: ReplicaEvents;
  readonly #orders = new OrderMap();
  readonly #open: OpenBatch;
  /** Own sealed batches not yet applied, ascending and without gaps; emptied when this node stops leading. */
  readonly #near = new NearSlots();
  readonly #reads = new Reads();
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
    parts: { config: Config; hub: Hub; clock: Clock; events: ReplicaEvents },
    options: RaftOptions,
    recovered: RecoveredState,
  ) {
    this.group = group.id;
    this.#hub = parts.hub;
    this.#config = parts.config;
    this.#clock = parts.clock;
    this.#events = parts.events;
    this.#raft = new Raft(options, recovered);
    this.#commit = recovered.commitIndex;
    this.applier = new Applier(group.id, group.stateMachine);
    const { batchBytesMax, batchEntriesMax } = parts.config.pipeline;
    this.#open = new OpenBatch(batchBytesMax, batchEntriesMax);
  }

  get commitIndex(): LogIndex {
    return this.#commit;
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
    this.#carryOut();
    this.#repeatReply();
  }

  /** A message from a peer or from a replicator. For an append, `received` says that its batches stand in the receive ring. */
  step(message: PeerMessage | LocalMessage): void {
    this.#raft.step(message);
    if (message.type === 'append') this.#carryOut(message.headers);
    else this.#carryOut();
  }

  /** Tells the core which of its orders are on disk. */
  durableTo(global: number): void {
    const order = this.#orders.durable(global);
    if (order > 0) this.step({ type: 'durable', order });
  }

  // — taking proposals in ———————————————————————————————————————————————————————————————————————————————————————————

  /** One entry of an in-process caller. Refusals are thrown; then nothing was taken. */
  propose(bytes: Uint8Array, resolve: (proposed: Proposed) => void, reject: (error: Error) => void): void {
    const packed = packedEntryBytes(bytes.length, false);
    this.#refuse(packed, bytes.length);
    if (!this.#makeRoom(packed, 1)) throw this.#overloaded('the proposal ring is full');
    this.#open.add(bytes, resolve, reject);
    if (this.#open.full) this.seal();
  }

  /** Entries of a remote client, packed. False: no room now, try again later; the order of the stream is kept. */
  proposePacked(packed: Buffer, count: number): boolean {
    const used = this.#near.bytes + this.#open.length;
    if (used > 0 && used + packed.length > this.#config.uncommittedBytesMax) return false;
    if (!this.#makeRoom(packed.length, count)) return false;
    this.#open.addPacked(packed, count);
    if (this.#open.full) this.seal();
    return true;
  }

  /** Seals the open batch if the pipeline has room for one more; else it grows. */
  maybeSeal(): void {
    if (this.#open.count > 0 && this.#near.uncommitted(this.#commit) < this.#config.pipeline.depth)
      this.seal();
  }

  /** Closes the open batch and gives it its place in the log. False: the rings are full, it stays open. */
  seal(): boolean {
    const open = this.#open;
    if (open.count === 0) return true;
    const byteLength = BATCH_PAYLOAD_OFFSET + open.length;
    if (this.#hub.blocked || !this.#hub.proposals.claim(byteLength)) return false;
    const batch = this.#raft.propose(open.count, open.length);
    if ('refused' in batch) {
      this.#hub.proposals.abandon();
      // Leadership is being handed over: what is open waits until that is decided, within one election timeout.
      if (batch.refused === 'transferring') return false;
      this.#rejectAll(open.take(), this.#notLeader());
      return true;
    }
    const { bytes, offset } = this.#hub.proposals;
    open.copyTo(bytes, offset + BATCH_PAYLOAD_OFFSET);
    this.#publish(batch, open.length, open.flags, open.take());
    this.#carryOut();
    // Callers may go on proposing for a while before the next turn; the encoder need not wait for it.
    this.#hub.wake();
    return true;
  }

  /**
   * A linearizable read (read-index, dissertation §6.4): resolves once a quorum has confirmed that this node still led after the
   * call, and the state machine here holds all that was committed then.
   */
  read(resolve: (point: ReadPoint) => void, reject: (error: Error) => void): void {
    const patienceMs = 2 * this.#config.election.timeoutMsMax;
    const context = this.#reads.add(resolve, reject, this.#clock.nowMs() + patienceMs);
    const answer = this.#raft.readIndex(context);
    if (answer !== 'pending') {
      const tooMany = this.#overloaded('too many reads wait for a quorum');
      this.#reads.fail(context, answer.refused === 'notLeader' ? this.#notLeader() : tooMany);
      return;
    }
    this.#carryOut();
    this.#hub.wake();
  }

  /** Hands leadership to another voter; the outcome shows as a change of leadership. */
  transferLeadership(to: NodeId): void {
    const answer = this.#raft.transferLeadership(to);
    if (answer !== 'started') {
      if (answer.refused === 'notLeader') throw this.#notLeader();
      const reason = TRANSFER_REFUSALS[answer.refused];
      throw new RaftlineError(ErrorCode.OptionInvalid, `transfer to node ${to}: ${reason}`, { received: to });
    }
    this.#carryOut();
    this.#hub.wake();
  }

  #refuse(packedBytes: number, length: number): void {
    const { entryBytesMax, uncommittedBytesMax } = this.#config;
    if (length > entryBytesMax) {
      const message = `entry: expected at most ${entryBytesMax} bytes (entryBytesMax), received ${length}`;
      throw new RaftlineError(ErrorCode.EntryTooLarge, message, { limit: entryBytesMax, received: length });
    }
    if (this.role !== 'leader') throw this.#notLeader();
    const used = this.#near.bytes + this.#open.length;
    if (used > 0 && used + packedBytes > uncommittedBytesMax) {
      throw this.#overloaded(
        `${used} bytes are not committed yet (uncommittedBytesMax ${uncommittedBytesMax})`,
      );
    }
  }

  /** Room in the open batch, if need be by sealing it. */
  #makeRoom(packedBytes: number, entries: number): boolean {
    return this.#open.fits(packedBytes, entries) || this.seal();
  }

  #overloaded(reason: string): RaftlineError {
    return new RaftlineError(ErrorCode.Overloaded, `group ${this.group}: ${reason}; try again later`, {
      reason,
    });
  }

  #notLeader(): RaftlineError {
    const known = this.leader === 0 ? 'no leader is known' : `node ${this.leader} leads`;
    const leaderAddress = this.#config.peers.get(this.leader);
    return new RaftlineError(ErrorCode.NotLeader, `group ${this.group}: this node does not lead; ${known}`, {
      leader: this.leader,
      leaderAddress,
    });
  }

  #rejectAll(waiters: Waiter[], error: RaftlineError): void {
    for (const waiter of waiters) waiter.reject(error);
  }

  /** Writes the head of a batch whose payload stands in the claimed slot, and publishes it. */
  #publish(batch: ProposedBatch, rawLength: number, flags: number, waiters: Waiter[]): void {
    const { proposals } = this.#hub;
    const byteLength = BATCH_PAYLOAD_OFFSET + rawLength;
    const { kind, term, firstIndex, prevTerm, count } = batch;
    const place = { group: this.group, kind, flags, term, firstIndex, count, prevTerm };
    const form = { formatVersion: FORMAT_VERSION, codec: Codec.None, rawLength, byteLength, checksum: 0 };
    writeBatchHead(proposals.bytes, proposals.offset, {
      ...place,
      ...form,
      leaderTimeMs: this.#clock.wallMs(),
    });
    proposals.publish(byteLength);
    const ring = this.#hub.takeSlot();
    const start = ring.offset + BATCH_PAYLOAD_OFFSET;
    const slot: ProposalSlot = {
      group: this.group,
      term,
      firstIndex,
      count,
      kind,
      flags,
      start,
      end: start + rawLength,
      ringEnd: ring.end,
      waiters,
      done: false,
    };
    this.#hub.slots.add(slot);
    this.#near.add(slot);
  }

  // — carrying out what the core decided ————————————————————————————————————————————————————————————————————————————

  /** `received`: heads of batches that stand in the receive ring, in order; each is written or dropped, in order. */
  #carryOut(received: readonly BatchHeader[] = []): void {
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
    for (const session of ready.sessions) this.#session(session);
    for (const outbound of ready.messages) this.#send(outbound);
    if (ready.leadership !== undefined) this.#changeLeadership(ready.leadership);
    if (ready.commitMoved) this.#commitMoved(ready.commitIndex);
    for (const { context, index } of ready.readStates) this.#reads.confirmed(context, index);
    for (const context of ready.readsFailed) this.#reads.fail(context, this.#notLeader());
  }

  #order(order: Ready['orders'][number]): void {
    const global = this.#hub.nextOrder();
    this.#orders.add(order.id, global);
    const { group } = this;
    switch (order.type) {
      case 'own': {
        const { batch } = order;
        if (batch.kind !== BatchKind.Data) this.#hub.inOrder(() => this.#publishOwn(batch));
        const { firstIndex, term } = batch;
        this.#hub.order({ type: 'own', order: global, group, firstIndex, term });
        break;
      }
      case 'append': {
        const { firstIndex, term } = order.header;
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
    }
  }

  /** A no-op or a configuration: one entry, alone in its batch. False: the proposal ring is full. */
  #publishOwn(batch: ProposedBatch): boolean {
    const content =
      batch.configuration === undefined ? Buffer.alloc(0) : encodeConfiguration(batch.configuration);
    const rawLength = packedEntryBytes(content.length, false);
    const { proposals } = this.#hub;
    if (!proposals.claim(BATCH_PAYLOAD_OFFSET + rawLength)) return false;
    packEntry(proposals.bytes, proposals.offset + BATCH_PAYLOAD_OFFSET, content);
    this.#publish(batch, rawLength, 0, []);
    return true;
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
    this.#hub.command({ type: 'control', peer: message.to, after, body });
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
    const deposed = this.role === 'leader' && (leadership.role !== 'leader' || leadership.term !== this.term);
    this.#lastReply = undefined;
    this.role = leadership.role;
    this.term = leadership.term;
    this.leader = leadership.leader;
    if (deposed) {
      this.#rejectAll(this.#open.take(), this.#notLeader());
      // Check-quorum ends a leadership within its term: then nothing of it stays.
      this.#dropNear(leadership.role === 'leader' ? leadership.term : 0);
      this.peersApplied.clear();
    }
    this.#events.leadership(this, leadership);
  }

  /** From here on the applier reads back from the log. Slots of `term`, a new leadership's, stay; 0: none does. */
  #dropNear(term: Term): void {
    const outcome = new RaftlineError(
      ErrorCode.OutcomeUnknown,
      `group ${this.group}: leadership was lost while the entry was being replicated; it may be committed or not`,
    );
    for (const slot of this.#near.takeOthers(term)) this.#abandonSlot(slot, outcome);
  }

  #abandonSlot(slot: ProposalSlot, error: RaftlineError): void {
    this.#rejectAll(slot.waiters, error);
    this.#near.finish(slot);
  }

  #commitMoved(commit: LogIndex): void {
    this.#commit = commit;
    if (this.role !== 'leader') return;
    this.#hub.command({ type: 'commit', group: this.group, term: this.term, commit });
  }

  // — applying ——————————————————————————————————————————————————————————————————————————————————————————————————————

  /** Applies the next committed batch if it is near. False: nothing near is due. */
  applyNear(): boolean {
    const slot = this.#near.first();
    if (slot === undefined || slot.firstIndex !== this.applier.applied + 1) return false;
    if (slot.firstIndex + slot.count - 1 > this.#applicable()) return false;
    // A slot sealed in a term that was lost may have been overtaken; then the log says what stands there.
    if (this.#raft.termAt(slot.firstIndex) === slot.term) {
      const runs = this.applier.apply({ ...slot, bytes: this.#hub.slots.bytes }, slot);
      if (runs.length > 0) this.#events.sessions(this, runs);
    } else this.#rejectAll(slot.waiters, this.#notLeader());
    // Only now: had the state machine failed, whoever waits for this batch would have to be told so.
    this.#near.shift();
    this.#near.finish(slot);
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
    this.#askFeeder();
    const { applied } = this.applier;
    this.#reads.settle(applied, this.#clock.nowMs());
    if (applied === this.#appliedTold) return;
    this.#appliedTold = applied;
    this.#hub.command({ type: 'applied', group: this.group, applied });
  }

  #askFeeder(): void {
    const first = this.#near.first()?.firstIndex ?? Number.MAX_SAFE_INTEGER;
    const to = Math.min(this.#applicable(), first - 1);
    if (to <= this.applier.applied || to <= this.#fedTo) return;
    this.#fedTo = to;
    this.#hub.command({ type: 'feed', group: this.group, from: this.applier.applied + 1, to });
  }

  /** Ends everything that waits: the engine closes or has failed. */
  abandon(error: RaftlineError): void {
    this.#reads.failAll(error);
    this.#rejectAll(this.#open.take(), error);
    for (const slot of this.#near.takeOthers(0)) this.#abandonSlot(slot, error);
  }
}
