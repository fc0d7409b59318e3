import { ErrorCode, type RaftlineError } from '../base/errors.js';
import { Histogram } from './histogram.js';

/** In a closed loop one entry in so many has its latency taken; a prime, so that it falls on every place of a batch. */
const SAMPLED = 61;
/** Above this rate an open loop takes the latency of one entry in `SAMPLED` as well. */
const RATE_OF_ALL = 50_000;
/** A closed loop of so few takes the latency of every entry. */
const CONCURRENCY_OF_ALL = 64;
/** How often an open loop looks what is due. */
const LOOK_MS = 1;

export interface LoadParts {
  propose(bytes: Buffer): Promise<unknown>;
  /** Entries, proposed one after the other, over and over. */
  pool: readonly Buffer[];
  /** Outstanding at most. */
  concurrency: number;
  /** Entries a second, offered evenly; undefined: a closed loop. */
  rate?: number | undefined;
  /** Proposes no more than so many. */
  entriesMax?: number | undefined;
}

/**
 * Proposes entries, one promise each. A closed loop keeps a fixed number outstanding. An open loop proposes at a fixed rate
 * whatever happens, and takes latencies from the time at which an entry was meant to be sent: when the system stalls, those that
 * had to wait for it count (no coordinated omission).
 */
export class Load {
  completed = 0;
  /** Refused as overloaded, and proposed again. */
  overloaded = 0;
  failure: Error | undefined;
  readonly latencies = new Histogram();
  /** Resolves when it was stopped, or has proposed `entriesMax`, and everything outstanding is done. */
  readonly ended: Promise<void>;
  readonly #parts: LoadParts;
  readonly #entriesMax: number;
  readonly #sampled: number;
  #finished: () => void = () => {};
  #startedMs = 0;
  #started = 0;
  #next = 0;
  #untilSample: number;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: LoadParts) {
    this.#parts = parts;
    this.#entriesMax = parts.entriesMax ?? Number.POSITIVE_INFINITY;
    const few =
      parts.rate === undefined ? parts.concurrency <= CONCURRENCY_OF_ALL : parts.rate <= RATE_OF_ALL;
    this.#sampled = few ? 1 : SAMPLED;
    this.#untilSample = this.#sampled;
    this.ended = new Promise((resolve) => {
      this.#finished = resolve;
    });
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#fill();
    if (this.#parts.rate !== undefined) this.#timer = setInterval(() => this.#fill(), LOOK_MS);
  }

  /** Proposes nothing more. */
  stop(): void {
    this.#stopping = true;
    clearInterval(this.#timer);
    this.#maybeFinish();
  }

  #fill(): void {
    const due = this.#due();
    while (!this.#over && this.#started < due && this.#outstanding < this.#parts.concurrency) this.#go();
    if (this.#over) this.#maybeFinish();
  }

  /** How many entries should have been proposed by now. */
  #due(): number {
    const { rate } = this.#parts;
    if (rate === undefined) return Number.POSITIVE_INFINITY;
    return Math.floor(((performance.now() - this.#startedMs) * rate) / 1000);
  }

  get #outstanding(): number {
    return this.#started - this.completed;
  }

  get #over(): boolean {
    return this.#stopping || this.#started >= this.#entriesMax;
  }

  #go(): void {
    const { pool } = this.#parts;
    const number = this.#started++;
    const bytes = pool[this.#next]!;
    this.#next = this.#next + 1 === pool.length ? 0 : this.#next + 1;
    if (--this.#untilSample > 0) this.#parts.propose(bytes).then(this.#done, this.#failed);
    else this.#goSampled(bytes, number);
  }

  #goSampled(bytes: Buffer, number: number): void {
    this.#untilSample = this.#sampled;
    const { rate } = this.#parts;
    const sinceMs = rate === undefined ? performance.now() : this.#startedMs + ((number + 1) * 1000) / rate;
    this.#parts.propose(bytes).then(() => {
      this.latencies.record(performance.now() - sinceMs);
      this.#done();
    }, this.#failed);
  }

  /** Shared by all proposals: a closure for each would be the benchmark's cost, not the engine's. */
  readonly #done = (): void => {
    this.completed++;
    if (this.#over) this.#maybeFinish();
    else if (this.#parts.rate === undefined) this.#go();
  };

  readonly #failed = (error: RaftlineError): void => {
    this.#started--;
    if (error.code === ErrorCode.Overloaded && !this.#stopping) {
      this.overloaded++;
      setImmediate(() => this.#fill());
      return;
    }
    this.failure ??= error;
    this.stop();
  };

  #maybeFinish(): void {
    if (this.#over && this.completed >= this.#started) this.#finished();
  }
}
