import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { availableParallelism } from 'node:os';
import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId } from '../base/ids.js';
import { createEngineMemory, engineMemoryBytes } from '../workers/memory.js';
import { planThreads } from '../workers/settings.js';
import { Threads } from '../workers/spawn.js';
import { systemClock } from './clock.js';
import { Group } from './group.js';
import { planMemory } from './memory-plan.js';
import { type Config, type EngineOptions, parseOptions } from './options.js';
import type { PeerEvent } from './peer-book.js';
import type { PipelineOptions } from './pipeline-options.js';
import { type EngineFacts, type EngineStatus, engineStatus } from './status.js';
import { Turn } from './turn.js';
import { workerSettings } from './worker-settings.js';

/** What the engine tells whoever listens. */
export interface EngineEvents {
  leadership: [
    event: { group: GroupId; role: 'follower' | 'candidate' | 'leader'; term: number; leader: NodeId },
  ];
  /** The group's commit index on this node has grown to `index`: before any of it is applied, and once for many entries. */
  commit: [event: { group: GroupId; index: LogIndex }];
  /** A link to another node came up, or went down for the reason that `code` and `message` say. */
  peer: [event: PeerEvent];
  log: [event: { level: 'info' | 'warn' | 'error'; message: string }];
  /** The engine has ended by itself: what failed, with its code. Nothing is acknowledged from here on. */
  fatal: [error: RaftlineError];
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
  readonly #about: EngineFacts;
  #closing: Promise<void> | undefined;

  private constructor(parts: EngineFacts & { turn: Turn; threads: Threads; port: number }) {
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
    const { batchRawBytesMax } = settings;
    const sizes = { ...config.memory, batchRawBytesMax, encoders, webAssembly: true };
    const parts = planMemory(config, engineMemoryBytes(sizes, groupIds), batchRawBytesMax);
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
        batchBytesSumMax: parts.openBatches - batchRawBytesMax,
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
    this.#turn.calls.tune(undefined, pipeline);
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
