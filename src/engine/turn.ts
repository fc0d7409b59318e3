import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId } from '../base/ids.js';
import type { Random } from '../base/prng.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader } from '../codec/batch.js';
import type { RecoveredState } from '../core/options.js';
import type { Role } from '../core/ready.js';
import { RingConsumer } from '../ring/consumer.js';
import type { Gate } from '../ring/gate.js';
import { RingProducer } from '../ring/producer.js';
import {
  cursorOf,
  type EngineMemory,
  encoderGatesOf,
  encoderTotals,
  gateOf,
  ringUse,
} from '../workers/memory.js';
import type { StoreFacts } from '../workers/settings.js';
import type { SessionRun } from './applier.js';
import type { Clock } from './clock.js';
import { Health, handOverUnfit } from './health.js';
import { Hub } from './hub.js';
import { Inbox } from './inbox.js';
import { leaseOf, tickMsOf, ticksOf } from './lease.js';
import type { ChangeOptions, MembersRequest, MembersView } from './members-request.js';
import type { Config, TraceSink } from './options.js';
import { Outgoing } from './outgoing.js';
import { PeerBook, type PeerEvent } from './peer-book.js';
import { Pipelines } from './pipeline.js';
import type { PipelineOptions } from './pipeline-options.js';
import { ProposalSlots } from './proposal-slots.js';
import type { ReadOptions, ReadPoint } from './reads.js';
import { RemoteClients } from './remote-clients.js';
import { RemoteMembers } from './remote-members.js';
import { Replica } from './replica.js';
import type { SnapshotSettings } from './snapshot-store.js';
import type { EngineStatus } from './status.js';
import { traceInto } from './trace.js';
import type { Listener, Proposed } from './waiters.js';

/** How long one turn applies at most, ms: what arrives meanwhile waits no longer. */
const APPLY_SLICE_MS = 4;
/** A timer is no finer than this, ms: shorter waits are turns, one after the other. */
const TIMER_MS = 1;
/** Longest sleep when nothing happens; ticks come by a timer of their own. */
const SLEEP_MS = 1000;

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
  /** Without it logs are never compacted. */
  snapshots?: SnapshotSettings;
}

export interface TurnListeners {
  commit: (event: { group: GroupId; index: LogIndex }) => void;
  leadership: (event: { group: GroupId; role: Role; term: number; leader: NodeId }) => void;
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
  readonly #parts: TurnParts;
  readonly #hub: Hub;
  readonly #inbox: Inbox;
  readonly #book: PeerBook;
  readonly #remoteMembers: RemoteMembers;
  readonly #applyRing: RingConsumer;
  readonly #clients: RemoteClients;
  readonly #clock: Clock;
  readonly #gate: Gate;
  readonly #tickMs: number;
  readonly #health: Health;
  readonly #pipelines: Pipelines;
  #listeners: TurnListeners | undefined;
  #stopTicks = (): void => {};
  #stopped: RaftlineError | undefined;
  #scheduled = false;
  /** A sleep on the gate is pending: threads will end it. */
  #sleeping = false;
  /** A timer runs that will seal a batch which waits for company. */
  #lingering = false;
  #tickedMs = 0;
  #durableSeen = 0;
  #spareSeen = 0;

  constructor(parts: TurnParts) {
    const { config, memory, clock } = parts;
    this.#parts = parts;
    this.#clock = clock;
    this.#gate = gateOf(memory, 'main');
    const { rings } = memory;
    const slotRing = new RingConsumer(rings.proposal, 1);
    this.#hub = new Hub({
      orders: new RingProducer(rings.orders),
      commands: new RingProducer(rings.commands),
      proposals: new RingProducer(rings.proposal),
      slots: new ProposalSlots(slotRing),
      slotRing,
      outgoing: new Outgoing(),
      durable: cursorOf(memory, 'durable'),
      openBytesMax: parts.openBytesMax ?? Number.MAX_SAFE_INTEGER,
      gates: {
        wal: gateOf(memory, 'wal'),
        network: gateOf(memory, 'network'),
        encoders: parts.spread ? encoderGatesOf(memory) : [gateOf(memory, 'network')],
      },
    });
    this.#applyRing = new RingConsumer(rings.apply, 0);
    this.#tickMs = tickMsOf(config);
    const { facts, address } = parts;
    const book = {
      self: config.id,
      address,
      hints: config.peers,
      facts,
      hub: this.#hub,
      replicas: this.replicas,
    };
    this.#book = new PeerBook(book);
    const addressOf = (node: NodeId) => this.#book.addressOf(node);
    const clientRing = new RingConsumer(rings.client, 0);
    this.#clients = new RemoteClients(clientRing, this.#hub, this.replicas, addressOf, this.#tickMs);
    this.#remoteMembers = new RemoteMembers(this.#hub, this.replicas, clock);
    this.#inbox = new Inbox({
      self: config.id,
      ring: new RingConsumer(rings.inbox, 0),
      hub: this.#hub,
      replicas: this.replicas,
      status: parts.status,
      onPeer: (event) => this.#notePeer(event),
      onMembers: (record) => this.#remoteMembers.take(record),
      onLog: (event) => this.#listeners?.log(event),
    });
    const { timeoutMsMin, handOverAfterMs } = config.election;
    this.#health = new Health({ lateMs: timeoutMsMin / 2, handOverAfterMs });
    this.#pipelines = new Pipelines(config);
    for (const group of config.groups) this.#addReplica(group);
    this.#book.update();
  }

  replica(group: GroupId): Replica {
    return this.replicas.get(group)!;
  }

  get stopped(): RaftlineError | undefined {
    return this.#stopped;
  }

  readonly isConnected = (peer: NodeId): boolean => this.#inbox.isConnected(peer);

  counters() {
    const { memory } = this.#parts;
    const read = (name: Parameters<typeof cursorOf>[1]): number => cursorOf(memory, name).load();
    const syncs = read('walSyncs');
    const flushes = read('walFlushes');
    const flush = {
      msMean: flushes === 0 ? 0 : read('walFlushUs') / 1000 / flushes,
      msMax: read('walFlushUsMax') / 1000,
    };
    return {
      health: this.#health.status(),
      rings: ringUse(memory),
      held: { openBatches: this.#hub.open.bytes, sending: -read('sendingLeft') + read('sendingTaken') },
      disk: {
        durability: this.#parts.config.durability,
        bytesWritten: read('walBytes'),
        flushes,
        syncs,
        flush,
      },
      encoder: {
        sealed: this.#hub.sealed,
        ...encoderTotals(memory),
      },
    };
  }

  start(listeners: TurnListeners): void {
    this.#listeners = listeners;
    this.#tickedMs = this.#clock.nowMs();
    this.#stopTicks = this.#clock.every(this.#tickMs, () => this.#schedule());
    this.#schedule();
  }

  /** Rejects everything that waits, with `error`; nothing is acknowledged any more. */
  stop(error: RaftlineError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#stopTicks();
    for (const replica of this.replicas.values()) replica.abandon(error);
    this.#gate.kick();
  }

  /** Throws what a caller would be refused with; then nothing was taken. Once for every entry: no closure, no copy of its own. */
  propose(group: GroupId, bytes: Uint8Array): Promise<Proposed> {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (!(bytes instanceof Uint8Array)) throw notBytes('entry', bytes);
    this.#schedule();
    try {
      return this.replica(group).proposals.propose(bytes);
    } catch (thrown) {
      throw this.#refused(thrown);
    }
  }

  /** As `propose`, for an entry of which `listener` hears, together with its neighbours. */
  append(group: GroupId, bytes: Uint8Array, listener: Listener): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (!(bytes instanceof Uint8Array)) throw notBytes('entry', bytes);
    this.#schedule();
    try {
      this.replica(group).proposals.append(bytes, listener);
    } catch (thrown) {
      throw this.#refused(thrown);
    }
  }

  /** As `propose`, for several entries of one batch. */
  proposeMany(group: GroupId, entries: readonly Uint8Array[], listener: Listener): void {
    for (const bytes of entries) if (!(bytes instanceof Uint8Array)) throw notBytes('entries', bytes);
    this.#guarded(() => this.replica(group).proposals.proposeMany(entries, listener));
  }

  read(
    group: GroupId,
    options: ReadOptions,
    resolve: (point: ReadPoint) => void,
    reject: (error: Error) => void,
  ): void {
    this.#guarded(() => this.replica(group).read(options, resolve, reject));
  }

  /** Changes the pipeline of one group, or of all: at once, and nothing in flight is lost. Refusals are thrown. */
  tune(group: GroupId | undefined, changes: PipelineOptions): void {
    this.#guarded(() => {
      this.#pipelines.tune(group, changes);
      for (const replica of group === undefined ? this.replicas.values() : [this.replica(group)]) {
        replica.proposals.tune(this.#pipelines.of(replica.group));
        const body = Buffer.from(JSON.stringify(this.#pipelines.flow(replica.group)));
        this.#hub.command({ type: 'flow', group: replica.group, body });
      }
      this.#hub.wake();
    });
  }

  /** The pipeline's settings in force. */
  get pipelines(): Pick<Pipelines, 'of' | 'ofFollower'> {
    return this.#pipelines;
  }

  transferLeadership(group: GroupId, to: NodeId): void {
    this.#guarded(() => this.replica(group).transferLeadership(to));
  }

  changeMembers(
    group: GroupId,
    request: MembersRequest,
    options: ChangeOptions,
    resolve: (view: MembersView) => void,
    reject: (error: Error) => void,
  ): void {
    this.#guarded(() => this.replica(group).members.begin(request, options, resolve, reject));
  }

  /** A caller's step outside a turn: a refusal is the caller's, but a broken invariant ends the engine as it would in a turn. */
  #guarded(step: () => void): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    try {
      step();
    } catch (thrown) {
      throw this.#refused(thrown);
    }
    this.#schedule();
  }

  #refused(thrown: unknown): RaftlineError {
    const error = toRaftlineError(thrown);
    // A hook of the state machine may be called in a caller's step.
    const fatal = error.code === ErrorCode.Internal || error.code === ErrorCode.StateMachineFailed;
    if (fatal) this.#listeners?.failed(error);
    return error;
  }

  /** A pending sleep simply ends later; `#scheduled` keeps turns from doubling. */
  #schedule(): void {
    if (this.#scheduled || this.#stopped !== undefined) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    if (this.#stopped !== undefined) return;
    try {
      if (this.#turn()) this.#schedule();
      else this.#sleep();
    } catch (thrown) {
      this.#listeners!.failed(toRaftlineError(thrown));
    }
  }

  /** Sleeps until a thread wakes main, a tick is due or somebody proposes. */
  #sleep(): void {
    if (this.#sleeping) return;
    const awake = (): void => {
      this.#sleeping = false;
      this.#schedule();
    };
    this.#sleeping = true;
    if (!this.#clock.sleep(this.#gate, () => this.#hasWork(), SLEEP_MS, awake)) awake();
  }

  /** Looks without taking anything. */
  #hasWork(): boolean {
    if (this.#stopped !== undefined || this.#inbox.pending() || this.#applyRing.pending()) return true;
    if (this.#hub.durable() !== this.#durableSeen) return true;
    if (this.#parts.snapshots?.store.pending() === true) return true;
    return this.#clients.pending();
  }

  /** One pass. Returns whether there was anything to do. */
  #turn(): boolean {
    if (!this.#hub.flush()) {
      this.#hub.wake();
      return false;
    }
    let worked = this.#inbox.drain();
    if (this.#takeSnapshotEvents()) worked = true;
    if (this.#noteDurable()) worked = true;
    this.#tick();
    if (this.#clients.drain()) worked = true;
    this.#seal();
    // Before applying: the others' work goes on beside it.
    this.#hub.wake();
    if (this.#apply()) worked = true;
    this.#noteSpare();
    this.#remoteMembers.poll();
    this.#hub.wake();
    return worked;
  }

  /** Comes back to what waits for company. */
  #seal(): void {
    let lingersMs = Number.POSITIVE_INFINITY;
    for (const { proposals } of this.replicas.values()) {
      const wait = proposals.maybeSeal();
      if (wait > 0 && wait < lingersMs) lingersMs = wait;
    }
    if (this.#lingering || lingersMs === Number.POSITIVE_INFINITY) return;
    if (lingersMs < TIMER_MS) {
      this.#schedule();
      return;
    }
    this.#lingering = true;
    this.#clock.after(Math.floor(lingersMs), () => {
      this.#lingering = false;
      this.#schedule();
    });
  }

  #takeSnapshotEvents(): boolean {
    const store = this.#parts.snapshots?.store;
    let taken = false;
    while (store !== undefined && !this.#hub.blocked) {
      const event = store.take();
      if (event === undefined) break;
      this.replicas.get(event.group)?.takeSnapshotEvent(event);
      taken = true;
    }
    return taken;
  }

  #noteDurable(): boolean {
    const durable = this.#hub.durable();
    if (durable === this.#durableSeen) return false;
    this.#durableSeen = durable;
    for (const replica of this.replicas.values()) replica.durableTo(durable);
    return true;
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
    const until = this.#clock.nowMs() + APPLY_SLICE_MS;
    let worked = false;
    for (;;) {
      let applied = this.#applyFed();
      for (const replica of this.replicas.values()) {
        if (replica.applyNear()) applied = true;
      }
      if (!applied) break;
      worked = true;
      if (this.#clock.nowMs() >= until) break;
    }
    if (worked) this.#hub.slots.release();
    for (const replica of this.replicas.values()) replica.afterApply();
    return worked;
  }

  #applyFed(): boolean {
    const ring = this.#applyRing;
    if (!ring.poll()) return false;
    const header = readBatchHeader(ring.bytes, ring.offset);
    this.replica(header.group).applyFed(header, ring.bytes, ring.offset + BATCH_PAYLOAD_OFFSET);
    ring.release();
    return true;
  }

  #noteSpare(): void {
    const wanted = cursorOf(this.#parts.memory, 'spareWanted').load();
    if (wanted === this.#spareSeen) return;
    this.#spareSeen = wanted;
    this.#listeners!.spareWanted();
  }

  #addReplica(group: Config['groups'][number]): void {
    const { config, recovered, random } = this.#parts;
    const { election } = config;
    const found = recovered.get(group.id)!;
    const ticks = (ms: number): number => ticksOf(config, ms);
    const electionTicksMin = ticks(election.timeoutMsMin);
    const lease = leaseOf(config, this.#clock);
    const options = {
      group: group.id,
      id: config.id,
      electionTicksMin,
      electionTicksMax: ticks(election.timeoutMsMax),
      heartbeatTicks: ticks(election.heartbeatIntervalMs),
      random,
      checkQuorum: true,
      priority: election.priority,
      ...(lease === undefined ? {} : { lease }),
      ...(config.trace === undefined ? {} : { trace: this.#traceInto(config.trace) }),
    };
    const state: RecoveredState = {
      ...found,
      commitIndex: Math.max(found.base.index, found.configurations[0]?.index ?? 0),
    };
    const events = {
      leadership: (replica: Replica, { role, term, leader }: { role: Role; term: number; leader: NodeId }) =>
        this.#leadership(replica, role, term, leader),
      commit: ({ group, commitIndex }: Replica) => this.#listeners?.commit({ group, index: commitIndex }),
      sessions: (replica: Replica, runs: SessionRun[]) => this.#clients.report(replica, runs),
    };
    const { snapshots } = this.#parts;
    const pipeline = this.#pipelines.of(group.id);
    const shared = { config, hub: this.#hub, clock: this.#clock, book: this.#book };
    const parts = { ...shared, pipeline, events, snapshots };
    this.replicas.set(group.id, new Replica(group, parts, options, state));
  }

  #traceInto(sink: TraceSink) {
    return traceInto(sink, this.#clock, (message) => this.#listeners?.log({ level: 'warn', message }));
  }

  /** A member that says that this node was removed ends its campaigns; in groups where that one has no voice, nothing. */
  #notePeer(event: PeerEvent): void {
    this.#book.noteLink(event);
    if (event.code === ErrorCode.MemberRemoved) {
      for (const replica of this.replicas.values()) {
        const { voters, votersOutgoing } = replica.members.view();
        if ([...voters, ...votersOutgoing].includes(event.id)) replica.retire();
      }
      this.#listeners?.log({ level: 'error', message: `${event.message} [${event.code}]` });
    }
    this.#listeners?.peer(event);
  }

  #leadership(replica: Replica, role: Role, term: number, leader: NodeId): void {
    this.#clients.leadershipChanged(replica);
    this.#listeners?.leadership({ group: replica.group, role, term, leader });
  }
}

function notBytes(what: string, received: unknown): RaftlineError {
  const message = `${what}: expected a Uint8Array, received ${typeof received}`;
  return new RaftlineError(ErrorCode.OptionInvalid, message, { received: typeof received });
}
