import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { SegmentOptions } from '../wal/segment.js';
import { deadline } from './clock.js';
import { cursorOf, type EngineMemory, encoderGatesOf, gateOf } from './memory.js';
import type { ThreadExit, ThreadReady, ThreadTask } from './run.js';
import type { ProgramName, StoreFacts, ThreadPlan, WorkerSettings } from './settings.js';

/**
 * The young generation of a worker's heap. The addon for LZ4 hands out memory that V8 counts, but frees only when it collects the young
 * generation; at the default of 48 MB that never comes in time, and V8 marks the whole heap several times a second
 * instead (decision 0011).
 */
const YOUNG_GENERATION_MB = 3;

/** A thread that does not start in this time never will (a worker that fails to load hangs its pool). */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 5000;

/**
 * The threads of one engine: a pool whose workers host resident tasks, one per thread of the plan, and one more worker
 * for short jobs. A thread that ends before `stop` is reported with its cause, whatever ended it.
 */
export class Threads {
  readonly #pool: Piscina;
  readonly #memory: EngineMemory;
  readonly #settings: WorkerSettings;
  readonly #onDeath: (error: RaftlineError) => void;
  readonly #running: Promise<void>[] = [];
  /** The newest job that prepares a segment. */
  #preparing: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(
    plan: ThreadPlan,
    memory: EngineMemory,
    settings: WorkerSettings,
    onDeath: (error: RaftlineError) => void,
  ) {
    this.#memory = memory;
    this.#settings = settings;
    this.#onDeath = onDeath;
    this.#pool = new Piscina({
      filename: new URL('./entry.cjs', import.meta.url).href,
      // As they are needed: ending a pool whose workers are still loading is a race that need not be run.
      minThreads: 0,
      maxThreads: plan.length + 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      closeTimeout: STOP_TIMEOUT_MS,
    });
    this.#pool.on('error', (error: unknown) =>
      this.#died('a worker', toRaftlineError(error, ErrorCode.ThreadDied)),
    );
  }

  /** Starts one thread and resolves with what it says of itself. */
  start(programs: readonly ProgramName[], facts?: StoreFacts): Promise<ThreadReady> {
    const { port1, port2 } = new MessageChannel();
    const task: ThreadTask = {
      programs,
      memory: this.#memory,
      settings: this.#settings,
      port: port2,
      ...(facts === undefined ? {} : { facts }),
    };
    const name = programs.join('+');
    return new Promise<ThreadReady>((resolve, reject) => {
      let ready = false;
      const inTime = deadline(START_TIMEOUT_MS, () =>
        fail(new RaftlineError(ErrorCode.ThreadDied, `thread ${name}: did not start`)),
      );
      const settle = (): void => {
        ready = true;
        inTime();
        port1.close();
      };
      const fail = (error: RaftlineError): void => {
        if (ready) {
          this.#died(name, error);
          return;
        }
        settle();
        reject(error);
      };
      port1.once('message', (message: ThreadReady) => {
        settle();
        resolve(message);
      });
      const run = this.#pool.run(task, { name: 'runThread', transferList: [port2] }) as Promise<ThreadExit>;
      const ended = run.then(
        ({ error }) => {
          if (error !== undefined) fail(RaftlineError.fromPlain(error));
          else if (!this.#stopping)
            fail(new RaftlineError(ErrorCode.ThreadDied, `thread ${name}: ended by itself`));
        },
        (thrown: unknown) => fail(toRaftlineError(thrown, ErrorCode.ThreadDied)),
      );
      this.#running.push(ended);
    });
  }

  /** Fills the next segment with zeros on a worker of its own. */
  async prepareSegment(): Promise<void> {
    if (this.#stopping) return;
    const { dataDirectory: directory, segmentBytes, durability } = this.#settings;
    const job = this.#pool.run({ directory, segmentBytes, durability } satisfies SegmentOptions, {
      name: 'prepareSegment',
    }) as Promise<ThreadExit>;
    this.#preparing = job.then(ignore, ignore);
    const { error } = await job;
    if (error !== undefined) throw RaftlineError.fromPlain(error);
  }

  /** Ends every thread by a flag in shared memory (aborting a task would kill its worker), then the pool. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    cursorOf(this.#memory, 'stop').store(1);
    for (const name of ['wal', 'network'] as const) gateOf(this.#memory, name).notify();
    for (const gate of encoderGatesOf(this.#memory)) gate.notify();
    let inTime = (): void => {};
    const patience = new Promise<void>((resolve) => {
      inTime = deadline(STOP_TIMEOUT_MS, resolve);
    });
    await Promise.race([Promise.all([...this.#running, this.#preparing]), patience]);
    inTime();
    await this.#pool.destroy();
  }

  #died(name: string, error: RaftlineError): void {
    if (this.#stopping) return;
    const told =
      error.code === ErrorCode.Internal || error.code === ErrorCode.ThreadDied
        ? new RaftlineError(ErrorCode.ThreadDied, `thread ${name}: ${error.message}`, error.details, error)
        : error;
    this.#onDeath(told);
  }
}

function ignore(): void {}
