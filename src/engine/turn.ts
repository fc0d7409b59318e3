import { ErrorCode, type RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId } from '../base/ids.js';
import type { Random } from '../base/prng.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader } from '../codec/batch.js';
import type { RecoveredState } from '../core/options.js';
import type { Leadership } from '../core/ready.js';
import { RingConsumer } from '../ring/consumer.js';
import type { Cursor } from '../ring/cursor.js';
import { RingProducer } from '../ring/producer.js';
import { cursorOf, type EngineMemory, encoderGatesOf, gateOf } from '../workers/memory.js';
import type { StoreFacts } from '../workers/settings.js';
import { ApplySlices } from './apply-slices.js';
import { Calls } from './calls.js';
import type { Clock } from './clock.js';
import { type Counters, readCounters } from './counters.js';
import { Health, handOverUnfit } from './health.js';
import { Hub } from './hub.js';
import { Inbox } from './inbox.js';
import { tickMsOf } from './lease.js';
import { Loop } from './loop.js';
import type { Config, TraceSink } from './options.js';
import { Outgoing } from './outgoing.js';
import { PeerBook, type PeerEvent } from './peer-book.js';
import { Pipelines } from './pipeline.js';
import { ProposalSlots } from './proposal-slots.js';
import { raftOptionsOf, recoveredStateOf } from './raft-options.js';
import { RemoteClients } from './remote-clients.js';
import { RemoteMembers } from './remote-members.js';
import { Replica, type ReplicaEvents } from './replica.js';
import type { SnapshotSettings } from './snapshot-store.js';
import type { EngineStatus } from './status.js';
import { traceInto } from './trace.js';

export interface TurnParts {
  config: Config;
  memory: EngineMemory;
  clock: Clock;
  /** Spreads election timeouts. */
  random: Random;
  recovered: ReadonlyMap<GroupId, Omit<RecoveredState, 'commitIndex'>>;
  facts: StoreFacts;
  /** Where others reach this node; empty where that is not known. */
  address: string;
  /** Whether the encoder has a thread of its own. */
  spread: boolean;
  status: () => EngineStatus;
  /** What open batches may hold, all groups together. Default: unbounded. */
  openBytesMax?: number;
  /** What `batchBytesMax` may be raised to, the sum over all groups. Default: unbounded. */
  batchBytesSumMax?: number;
  /** Without it logs are never compacted. */
  snapshots?: SnapshotSettings;
}

export interface TurnListeners {
  commit: (event: { group: GroupId; index: LogIndex }) => void;
  leadership: (event: Leadership & { group: GroupId }) => void;
  peer: (event: PeerEvent) => void;
  log: (event: { level: 'info' | 'warn' | 'error'; message: string }) => void;
  /** The log would like its next segment to be prepared. */
  spareWanted: () => void;
  failed: (error: RaftlineError) => void;
}

/**
 * The main thread's loop. One turn: take in what arrived, let time pass, seal what is open, apply what is committed,
 * wake whom it concerns. Nothing in it waits.
 */
export class Turn {
  readonly replicas = new Map<GroupId, Replica>();
  /** The pipeline's settings in force. */
  readonly pipelines: Pipelines;
  readonly calls: Calls;
  readonly #parts: TurnParts;
  readonly #loop: Loop;
  readonly #hub: Hub;
  readonly #inbox: Inbox;
  readonly #book: PeerBook;
  readonly #remoteMembers: RemoteMembers;
  readonly #applyRing: RingConsumer;
  /** The record that was polled last in the apply ring is applied in part. */
  #isFeeding = false;
  readonly #slices: ApplySlices;
  /** The newest order that main waits for, or waited. */
  readonly #awaitsDurable: Cursor;
  /** What becomes durable is news now. */
  #isAwaiting = true;
  readonly #clients: RemoteClients;
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #health: Health;
  #listeners: TurnListeners | undefined;
  #tickedMs = 0;
  #durableSeen = 0;
  #spareSeen = 0;

  constructor(parts: TurnParts) {
    const { config, memory, clock, facts, address } = parts;
    const { rings } = memory;
    this.#parts = parts;
    this.#clock = clock;
    this.#tickMs = tickMsOf(config);
    this.#hub = hubOf(parts);
    this.#applyRing = new RingConsumer(rings.apply, 0);
    this.#awaitsDurable = cursorOf(memory, 'mainAwaitsDurable');
    const shared = { self: config.id, hub: this.#hub, replicas: this.replicas };
    this.#book = new PeerBook({ ...shared, address, hints: config.peers, facts });
    const addressOf = (node: NodeId) => this.#book.addressOf(node);
    const clientRing = new RingConsumer(rings.client, 0);
    this.#clients = new RemoteClients(clientRing, this.#hub, this.replicas, addressOf, this.#tickMs);
    this.#remoteMembers = new RemoteMembers(this.#hub, this.replicas, clock);
    this.#inbox = new Inbox({
      ...shared,
      ring: new RingConsumer(rings.inbox, 0),
      status: parts.status,
      onPeer: (event) => this.#notePeer(event),
      onMembers: (record) => this.#remoteMembers.take(record),
      onLog: (event) => this.#listeners?.log(event),
    });
    const { timeoutMsMin, handOverAfterMs } = config.election;
    this.#health = new Health({ lateMs: timeoutMsMin / 2, handOverAfterMs });
    this.pipelines = new Pipelines(config, parts.batchBytesSumMax);
    this.#loop = new Loop({
      clock,
      gate: gateOf(memory, 'main'),
      tickMs: this.#tickMs,
      turn: () => this.#turn(),
      hasWork: () => this.#hasWork(),
    });
    this.calls = new Calls(this.#loop, this.replicas, this.pipelines);
    for (const group of config.groups) this.#addReplica(group);
    const near = [...this.replicas.values()].map((replica) => () => {
      const before = replica.applier.applied;
      return replica.applyNear() ? replica.applier.applied - before : undefined;
    });
    this.#slices = new ApplySlices([this.#applyFed, ...near], clock);
    this.#book.update();
  }

  replica(group: GroupId): Replica {
    return this.replicas.get(group)!;
  }

  get stopped(): RaftlineError | undefined {
    return this.#loop.stopped;
  }

  readonly isConnected = (peer: NodeId): boolean => this.#inbox.isConnected(peer);

  counters(): Counters {
    const { memory, config } = this.#parts;
    return readCounters(memory, this.#hub, this.#health, config.durability);
  }

  start(listeners: TurnListeners): void {
    this.#listeners = listeners;
    this.#tickedMs = this.#clock.nowMs();
    this.#loop.start(listeners.failed);
  }

  /** Rejects everything that waits, with `error`; nothing is acknowledged any more. */
  stop(error: RaftlineError): void {
    if (this.stopped !== undefined) return;
    this.#loop.stop(error);
    for (const replica of this.replicas.values()) replica.abandon(error);
  }

  /** Looks without taking anything. */
  #hasWork(): boolean {
    if (this.#inbox.pending() || this.#applyRing.pending()) return true;
    if (this.#isAwaiting && this.#hub.durable() !== this.#durableSeen) return true;
    if (this.#parts.snapshots?.store.pending() === true) return true;
    return this.#clients.pending();
  }

  /** One pass. Returns whether another one is due at once: what was applied may have made room. */
  #turn(): boolean {
    if (!this.#hub.flush()) {
      this.#awaitDurable();
      this.#hub.wake();
      return false;
    }
    this.#inbox.drain();
    this.#takeSnapshotEvents();
    this.#noteDurable();
    this.#tick();
    this.#clients.drain();
    this.#seal();
    // Before applying: the others' work goes on beside it.
    this.#hub.wake(true);
    const applied = this.#apply();
    this.#noteSpare();
    this.#remoteMembers.poll();
    this.#awaitDurable();
    this.#hub.wake(applied);
    return applied;
  }

  /** Comes back to what waits for company. */
  #seal(): void {
    let lingersMs = Number.POSITIVE_INFINITY;
    for (const { proposals } of this.replicas.values()) {
      const wait = proposals.maybeSeal();
      if (wait > 0 && wait < lingersMs) lingersMs = wait;
    }
    if (lingersMs !== Number.POSITIVE_INFINITY) this.#loop.scheduleIn(lingersMs);
  }

  #takeSnapshotEvents(): void {
    const store = this.#parts.snapshots?.store;
    while (store !== undefined && !this.#hub.blocked) {
      const event = store.take();
      if (event === undefined) break;
      this.replicas.get(event.group)?.takeSnapshotEvent(event);
    }
  }

  /**
   * Before main sleeps it looks at the durable cursor again: what became durable meanwhile is not missed. Who waits for room is told of it
   * by the same word.
   */
  #awaitDurable(): void {
    this.#isAwaiting = this.#hub.blocked;
    for (const replica of this.replicas.values()) this.#isAwaiting ||= replica.awaitsDurable;
    if (this.#isAwaiting) this.#awaitsDurable.store(this.#hub.newestOrder);
  }

  #noteDurable(): void {
    const durable = this.#hub.durable();
    if (durable === this.#durableSeen) return;
    this.#durableSeen = durable;
    for (const replica of this.replicas.values()) replica.durableTo(durable);
  }

  /** After a stall the inbox was drained first, and the gap counts as one tick: nobody campaigns because main slept (T6). */
  #tick(): void {
    const now = this.#clock.nowMs();
    const lateMs = now - this.#tickedMs - this.#tickMs;
    if (lateMs < 0) return;
    this.#tickedMs = now - this.#tickedMs < 2 * this.#tickMs ? this.#tickedMs + this.#tickMs : now;
    for (const replica of this.replicas.values()) replica.tick();
    this.#clients.tick();
    this.#health.tick(now, lateMs, this.#hub.newestOrder, this.#hub.durable());
    const warn = (message: string) => this.#listeners?.log({ level: 'warn', message });
    handOverUnfit(this.#health.complaint(), this.replicas.values(), warn);
  }

  /** Applies for a slice of time; the rest goes on in the next turn, after the inbox. */
  #apply(): boolean {
    const worked = this.#slices.run();
    if (worked) this.#hub.slots.release();
    for (const replica of this.replicas.values()) replica.afterApply();
    return worked;
  }

  /** Nobody here waits for what was not near, but for the few batches that the proposal ring was not kept for. */
  readonly #applyFed = (): number | undefined => {
    const ring = this.#applyRing;
    if (!this.#isFeeding && !ring.poll()) return undefined;
    const header = readBatchHeader(ring.bytes, ring.offset);
    const start = ring.offset + BATCH_PAYLOAD_OFFSET;
    this.#isFeeding = !this.replica(header.group).applyFed(header, ring.bytes, start);
    if (!this.#isFeeding) ring.release();
    return 0;
  };

  #noteSpare(): void {
    const wanted = cursorOf(this.#parts.memory, 'spareWanted').load();
    if (wanted === this.#spareSeen) return;
    this.#spareSeen = wanted;
    this.#listeners!.spareWanted();
  }

  #addReplica(group: Config['groups'][number]): void {
    const { config, recovered, random, snapshots } = this.#parts;
    const trace = config.trace === undefined ? undefined : this.#traceInto(config.trace);
    const { incarnation, joined } = this.#parts.facts;
    const life = { incarnation, joined };
    const options = { ...raftOptionsOf(config, group.id, this.#clock, random, trace), ...life };
    const events: ReplicaEvents = {
      leadership: (replica, leadership) => {
        this.#clients.leadershipChanged(replica);
        this.#listeners?.leadership({ group: replica.group, ...leadership });
      },
      commit: ({ group, commitIndex }) => this.#listeners?.commit({ group, index: commitIndex }),
      sessions: (replica, runs) => this.#clients.report(replica, runs),
    };
    const shared = { config, hub: this.#hub, clock: this.#clock, book: this.#book };
    const parts = { ...shared, pipeline: this.pipelines.of(group.id), events, snapshots };
    const state = recoveredStateOf(recovered.get(group.id)!);
    this.replicas.set(group.id, new Replica(group, parts, options, state));
  }

  #traceInto(sink: TraceSink) {
    return traceInto(sink, this.#clock, (message) => this.#listeners?.log({ level: 'warn', message }));
  }

  /** A member that says that this node was removed ends its campaigns in all groups in which that one has a voice. */
  #notePeer(event: PeerEvent): void {
    this.#book.noteLink(event);
    if (event.code === ErrorCode.MemberRemoved) {
      for (const replica of this.replicas.values()) replica.noteRemoved(event.id);
      this.#listeners?.log({ level: 'error', message: `${event.message} [${event.code}]` });
    }
    this.#listeners?.peer(event);
  }
}

function hubOf({ config, memory, spread, openBytesMax = Number.MAX_SAFE_INTEGER }: TurnParts): Hub {
  const { rings } = memory;
  const slotRing = new RingConsumer(rings.proposal, 1);
  return new Hub({
    orders: new RingProducer(rings.orders),
    commands: new RingProducer(rings.commands),
    proposals: new RingProducer(rings.proposal),
    slots: new ProposalSlots(slotRing),
    slotRing,
    shareBytes: rings.proposal.capacity / config.groups.length,
    outgoing: new Outgoing(),
    durable: cursorOf(memory, 'durable'),
    networkAwaits: cursorOf(memory, 'networkAwaitsDurable'),
    encoded: memory.moreEncoders.length === 0 ? cursorOf(memory, 'encoderBatches') : undefined,
    openBytesMax,
    gates: {
      wal: gateOf(memory, 'wal'),
      network: gateOf(memory, 'network'),
      encoders: spread ? encoderGatesOf(memory) : [gateOf(memory, 'network')],
    },
  });
}
