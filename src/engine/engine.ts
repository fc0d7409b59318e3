import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { availableParallelism } from 'node:os';
import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId } from '../base/ids.js';
import { createEngineMemory, engineMemoryBytes } from '../workers/memory.js';
import { planThreads } from '../workers/settings.js';
import { Threads } from '../workers/spawn.js';
import { type AppenderOptions, GroupAppender } from './appender.js';
import { systemClock } from './clock.js';
import type { ChangeOptions, MembersRequest, MembersView } from './members-request.js';
import { type MemoryParts, planMemory } from './memory-plan.js';
import { type Config, type EngineOptions, parseOptions } from './options.js';
import type { PeerEvent } from './peer-book.js';
import type { PipelineOptions } from './pipeline-options.js';
import type { ReadOptions, ReadPoint } from './reads.js';
import { type EngineStatus, engineStatus, type GroupStatus, groupStatus } from './status.js';
import { Turn } from './turn.js';
import type { Proposed, ProposedMany } from './waiters.js';
import { workerSettings } from './worker-settings.js';

/** What the engine tells whoever listens. */
export interface EngineEvents {
  leadership: [
    event: { group: GroupId; role: 'follower' | 'candidate' | 'leader'; term: number; leader: NodeId },
  ];
  /** A link to another node came up, or went down for the reason that `code` and `message` say. */
  /** The group's commit index on this node has grown to `index`: before any of it is applied, and once for many entries. */
  commit: [event: { group: GroupId; index: LogIndex }];
  peer: [event: PeerEvent];
  log: [event: { level: 'info' | 'warn' | 'error'; message: string }];
  /** The engine has ended by itself: what failed, with its code. Nothing is acknowledged from here on. */
  fatal: [error: RaftlineError];
}

/** A replication group on this node. */
export class Group {
  readonly id: GroupId;
  readonly #turn: Turn;

  constructor(id: GroupId, turn: Turn) {
    this.id = id;
    this.#turn = turn;
  }

  /**
   * Replicates one entry: 0 to `entryBytesMax` bytes, copied before the call returns. Resolves once it is committed and
   * applied here.
   *
   * Rejects with a RaftlineError: certainly not done are `RAFTLINE_NOT_LEADER` (`details.leader`), `RAFTLINE_OVERLOADED`
   * (both retryable), `RAFTLINE_ENTRY_TOO_LARGE` (`details.limit`); unknown are `RAFTLINE_OUTCOME_UNKNOWN` and, for what
   * was under way then, `RAFTLINE_CLOSED`.
   */
  propose(bytes: Uint8Array): Promise<Proposed> {
    try {
      return this.#turn.propose(this.id, bytes);
    } catch (refused) {
      return Promise.reject(refused);
    }
  }

  /**
   * Replicates several entries with one promise, at the cost of one copy each. They stand together in one batch: with consecutive
   * indexes, committed together or not at all. 1 to `pipeline.batchEntriesMax` entries, of at most `pipeline.batchBytesMax` in
   * all, four bytes for each counted in (a single entry may be larger); beyond that it is `RAFTLINE_ENTRY_TOO_LARGE`.
   *
   * Otherwise as `propose`.
   */
  proposeMany(entries: readonly Uint8Array[]): Promise<ProposedMany> {
    return new Promise((resolve, reject) => this.#turn.proposeMany(this.id, entries, { resolve, reject }));
  }

  /**
   * For a stream of ordered entries: outcomes are told to callbacks, a run of entries at a time, at no cost per entry but its copy. A refusal is
   * what `append` returns; nothing is queued beyond `pipeline`.
   * @throws RaftlineError `RAFTLINE_OPTION_INVALID`
   */
  appender(options: AppenderOptions = {}): GroupAppender {
    return new GroupAppender(
      this.id,
      (bytes, listener) => this.#turn.append(this.id, bytes, listener),
      systemClock.soon,
      options,
    );
  }

  /**
   * Makes a read of the local state machine linearizable, on any member, leader or not: resolves once everything that was
   * committed when it was called is applied here. Read right afterwards. A leader makes sure that it still leads, by asking a
   * quorum (read-index, Raft dissertation §6.4) or by its lease (§6.4.1); any other member asks the leader, once for all reads that wait.
   *
   * Rejects within two of the longest election timeouts, always with nothing done: `RAFTLINE_NOT_LEADER` when leadership was lost meanwhile
   * or no leader was found (`details.leader` 0), `RAFTLINE_OVERLOADED` when 65,536 reads wait (both retryable), `RAFTLINE_TIMEOUT` when
   * no quorum answered or this node's state machine is too far behind, `RAFTLINE_OPTION_INVALID` for a policy that cannot be had.
   */
  read(options: ReadOptions = {}): Promise<ReadPoint> {
    return new Promise((resolve, reject) => this.#turn.read(this.id, options, resolve, reject));
  }

  /**
   * Asks for leadership to pass to another voter, which is first brought up to date; proposals wait meanwhile, for one election
   * timeout at most. Whether it worked shows as a `leadership` event.
   * @throws RaftlineError `RAFTLINE_NOT_LEADER`, or `RAFTLINE_OPTION_INVALID` for a node that cannot take it
   */
  transferLeadership(to: NodeId): void {
    this.#turn.transferLeadership(this.id, to);
  }

  /** Who the members are, as this node's log has it. On a follower it may be behind. */
  members(): MembersView {
    return this.#turn.replica(this.id).members.view();
  }

  /**
   * Adds the node that waits at `address` (`join: true`, an empty directory): it is asked who it is, becomes a learner, catches up with the
   * log, and is then made a voter, unless `as` says that it is to stay a learner. Of a member that is there already it changes the address.
   *
   * What is done already is skipped, so after any failure the same call may be made again. Like all changes of members it runs on the
   * leader, one at a time, and settles within `timeoutMs` with one of three outcomes: resolved is committed, with the members as they are
   * then; `RAFTLINE_OUTCOME_UNKNOWN` may still come into force; any other code: this step certainly has not (of two steps the first, learner, may
   * have). Codes: `RAFTLINE_NOT_LEADER`, `RAFTLINE_MEMBERS_BUSY` (both retryable), `RAFTLINE_MEMBERS_CHANGED` (`expectedIndex` does not hold),
   * `RAFTLINE_MEMBER_INVALID`, `RAFTLINE_MEMBER_REMOVED`, `RAFTLINE_UNREACHABLE`, `RAFTLINE_HANDSHAKE_REFUSED`, `RAFTLINE_MEMBER_LAGGING`,
   * `RAFTLINE_TIMEOUT`, `RAFTLINE_OPTION_INVALID`.
   */
  addMember(
    member: { id: NodeId; address: string; as?: 'voter' | 'learner' },
    options: ChangeOptions = {},
  ): Promise<MembersView> {
    const { id, address, as = 'voter' } = member;
    return this.#change({ type: 'add', id, address, as }, options);
  }

  /** Makes a learner a voter, once it has caught up. Outcomes as of `addMember`. */
  promoteMember(id: NodeId, options: ChangeOptions = {}): Promise<MembersView> {
    return this.#change({ type: 'promote', id }, options);
  }

  /**
   * Removes a member for good: its directory gets a tombstone. A leader that is removed hands over first, and answers before it goes. Outcomes as
   * of `addMember`.
   */
  removeMember(id: NodeId, options: ChangeOptions = {}): Promise<MembersView> {
    return this.#change({ type: 'remove', id }, options);
  }

  /**
   * Any set of voters to any other in one step (joint consensus, Raft §6), of nodes that are members already. Who is in neither list is
   * removed. Outcomes as of `addMember`.
   */
  changeMembers(
    members: { voters: readonly NodeId[]; learners?: readonly NodeId[] },
    options: ChangeOptions = {},
  ): Promise<MembersView> {
    const { voters, learners = [] } = members;
    return this.#change({ type: 'set', voters, learners }, options);
  }

  /**
   * Changes the group's pipeline while it runs: what is given holds at once, for what is not sealed or not sent yet; nothing in flight is
   * lost. Over this stands only what the group or the engine says of a single follower. It is forgotten with the process, as
   * options are.
   * @throws RaftlineError `RAFTLINE_OPTION_INVALID`; then nothing was changed
   */
  tune(pipeline: PipelineOptions): void {
    this.#turn.tune(this.id, pipeline);
  }

  /**
   * Sets what leaders of this group may compress with, in its configuration: 0 nothing, 1 LZ4 (how every cluster begins), 2 deflate as well. It is in
   * force for what is sealed once it is committed. Every node reads all of it; only go beyond 1 when no member is of a version that does
   * not know level 2. Outcomes as of `addMember`.
   */
  setCompressionLevel(level: number, options: ChangeOptions = {}): Promise<MembersView> {
    return this.#change({ type: 'compression', level }, options);
  }

  status(): GroupStatus {
    return groupStatus(this.#turn.replica(this.id), this.#turn);
  }

  #change(request: MembersRequest, options: ChangeOptions): Promise<MembersView> {
    return new Promise((resolve, reject) =>
      this.#turn.changeMembers(this.id, request, options, resolve, reject),
    );
  }
}

function listenAddress({ listen }: Config, port: number): string {
  return `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`;
}

/** What is listened on everywhere is no address that others could use. */
function othersAddress(config: Config, port: number): string {
  if (config.ownAddress !== '') return config.ownAddress;
  return /^(0\.0\.0\.0|\[::\]):/.test(config.listen) ? '' : listenAddress(config, port);
}

/**
 * One node: its groups, threads, log and connections. Everything is decided on the thread that opened it; files and
 * sockets belong to its worker threads.
 */
export class Engine extends EventEmitter<EngineEvents> {
  readonly id: NodeId;
  /** host:port on which peers and clients reach this node. */
  readonly address: string;
  readonly #turn: Turn;
  readonly #threads: Threads;
  readonly #groups = new Map<GroupId, Group>();
  readonly #about: {
    config: Config;
    incarnation: number;
    lz4: string;
    plan: readonly (readonly string[])[];
    parts: MemoryParts;
  };
  #closing: Promise<void> | undefined;

  private constructor(parts: {
    config: Config;
    turn: Turn;
    threads: Threads;
    port: number;
    incarnation: number;
    lz4: string;
    plan: readonly (readonly string[])[];
    parts: MemoryParts;
  }) {
    super();
    const { config, turn, threads, port } = parts;
    this.id = config.id;
    this.address = listenAddress(config, port);
    this.#turn = turn;
    this.#threads = threads;
    this.#about = parts;
    for (const { id } of config.groups) this.#groups.set(id, new Group(id, turn));
  }

  /**
   * Opens the data directory, recovers, listens, and starts to take part.
   * @throws RaftlineError with a code for each thing that may be wrong: options, directory, log, address (docs/errors.md)
   */
  static async open(options: EngineOptions): Promise<Engine> {
    const config = parseOptions(options);
    const settings = workerSettings(config);
    const groupIds = settings.groups;
    const plan = planThreads(config.threads, availableParallelism());
    const encoders = Math.max(1, plan.length - 2);
    const sizes = { ...config.memory, batchRawBytesMax: settings.batchRawBytesMax, encoders };
    const parts = planMemory(config, engineMemoryBytes(sizes, groupIds), settings.batchRawBytesMax);
    const memory = createEngineMemory(sizes, groupIds);
    let died: RaftlineError | undefined;
    let fail = (error: RaftlineError): void => {
      died = error;
    };
    const threads = new Threads(plan, memory, settings, (error) => fail(error));
    try {
      const { store } = await threads.start(plan[0]!);
      const { recovered, facts } = store!;
      const others = await Promise.all(plan.slice(1).map((programs) => threads.start(programs, facts)));
      const network = others.find((ready) => ready.network !== undefined)!.network!;
      const spread = plan.length > 2;
      const turn = new Turn({
        config,
        memory,
        clock: systemClock,
        random: () => randomInt(0x1_0000_0000) / 0x1_0000_0000,
        recovered,
        facts,
        address: othersAddress(config, network.port),
        spread,
        openBytesMax: parts.openBatches,
        status: () => engine.status(),
      });
      const { incarnation } = facts;
      const engine: Engine = new Engine({ config, turn, threads, plan, parts, incarnation, ...network });
      if (died !== undefined) throw died;
      fail = (error) => engine.#fail(error);
      engine.#start();
      return engine;
    } catch (thrown) {
      await threads.stop();
      throw toRaftlineError(thrown);
    }
  }

  /** @throws RaftlineError `RAFTLINE_GROUP_UNKNOWN` */
  group(id: GroupId): Group {
    const group = this.#groups.get(id);
    if (group !== undefined) return group;
    const known = [...this.#groups.keys()].join(', ');
    throw new RaftlineError(ErrorCode.GroupUnknown, `group ${id}: this engine hosts ${known}`, {
      received: id,
    });
  }

  /** Changes the pipeline of every group that does not say otherwise itself; as `Group.tune`. */
  tune(pipeline: PipelineOptions): void {
    this.#turn.tune(undefined, pipeline);
  }

  status(): EngineStatus {
    return engineStatus(this.#turn, this.#about, this.address);
  }

  /** Ends everything that this engine started. What is under way is rejected with `RAFTLINE_CLOSED`. Twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#end(new RaftlineError(ErrorCode.Closed, 'the engine was closed'));
    return this.#closing;
  }

  #start(): void {
    this.#turn.start({
      leadership: (event) => this.#tell(() => this.emit('leadership', event)),
      commit: (event) => this.#tell(() => this.emit('commit', event)),
      peer: (event) => this.#tell(() => this.emit('peer', event)),
      log: (event) => this.#tell(() => this.emit('log', event)),
      spareWanted: () => this.#prepareSegment(),
      failed: (error) => this.#fail(error),
    });
    this.#prepareSegment();
  }

  /** A listener that throws is its owner's fault, and surfaces as an uncaught error of the process; the engine goes on. */
  #tell(emit: () => void): void {
    try {
      emit();
    } catch (thrown) {
      queueMicrotask(() => {
        throw thrown;
      });
    }
  }

  #prepareSegment(): void {
    if (!this.#about.config.prepareSegments || this.#closing !== undefined) return;
    this.#threads.prepareSegment().catch((error: unknown) => {
      if (this.#closing !== undefined) return;
      const { message } = toRaftlineError(error);
      this.emit('log', {
        level: 'warn',
        message: `no segment was prepared, the log grows by appending: ${message}`,
      });
    });
  }

  /** Fail-stop: whoever waits is told, everything ends, and then the embedding program learns why. */
  #fail(error: RaftlineError): void {
    if (this.#closing !== undefined) return;
    this.#closing = this.#end(error);
    this.#closing.finally(() => {
      if (!this.emit('fatal', error)) throw error;
    });
  }

  async #end(error: RaftlineError): Promise<void> {
    this.#turn.stop(error);
    await this.#threads.stop();
  }
}
