import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { checkObject, shownAs } from './option-checks.js';
import { overloaded } from './refusals.js';
import type { Fate, Listener, ProposedMany } from './waiters.js';

/** Where a run of consecutive appended entries stands. */
export interface AppenderRun {
  /** The appender's own number of the first entry, counted from 1 over what it took; the others follow. */
  first: number;
  count: number;
  /** Index of the first entry, consecutive for the rest; 0 with an error. */
  index: LogIndex;
  /** 0 with an error. */
  term: Term;
  /** The state machine's answers, in the order of the entries; undefined where it gave none at all, and with an error. */
  results: readonly (Uint8Array | undefined)[] | undefined;
}

/**
 * Told once per run of entries that were appended with the very same function and stand in one batch. Runs come in the order of the
 * entries, one at a time. Without an error they are committed and applied. With code `RAFTLINE_OUTCOME_UNKNOWN` they may
 * be, now or later; with any other they certainly are not and never will be.
 */
export type AppenderCallback = (error: RaftlineError | undefined, run: AppenderRun) => void;

/** What `group.appender` takes. */
export interface AppenderOptions {
  /** Entries taken and without an outcome at a time, 1 … 2^24. Default 65,536. Their bytes are bounded by `uncommittedBytesMax`. */
  pipeline?: number;
  /** Told of entries that are appended without a callback of their own. */
  callback?: AppenderCallback;
}

/** What an appender asks of its group. */
export interface AppenderPorts {
  readonly group: GroupId;
  /** Takes one entry, or throws what refuses it; `listener` hears of it together with its neighbours that have the same one. */
  readonly append: (bytes: Uint8Array, listener: Listener) => void;
  /** How long it may take until there is room, ms. */
  readonly retryAfterMs: () => number;
  /** Calls back once, after so many ms. */
  readonly after: (delayMs: number, run: () => void) => void;
}

const PIPELINE_DEFAULT = 65_536;
const PIPELINE_MAX = 1 << 24;
/** Share of the pipeline that must be free before whoever waits is woken, so that it is not woken for each entry. */
const ROOM_SHARE = 0.25;

/**
 * Ordered appends of the embedding process, without a promise, a closure or an object per entry. Entries keep the order in which they were
 * taken; between two appenders there is no order. After Varlog's LogStreamAppender; the remote client's `Appender`
 * has the same callbacks.
 */
export class GroupAppender {
  readonly #ports: AppenderPorts;
  readonly #pipeline: number;
  readonly #callback: AppenderCallback | undefined;
  /** Of the callback that was used last; entries with the same one share it. */
  #listener: (Listener & { callback: AppenderCallback }) | undefined;
  /** Outcomes that callbacks have not been told of; told in a microtask, never inside `append` or the engine's own turn. */
  #untold: (() => void)[] = [];
  /** Entries taken, and those of them whose callback has returned. */
  #taken = 0;
  #told = 0;
  /** The engine had no room for the last entry, whatever this pipeline has. */
  #refused = false;
  #closed = false;
  #drainWaiters: (() => void)[] = [];
  #settleWaiters: (() => void)[] = [];

  /** @throws RaftlineError `RAFTLINE_OPTION_INVALID` */
  constructor(ports: AppenderPorts, options: AppenderOptions) {
    const { pipeline = PIPELINE_DEFAULT, callback } = checkObject('options', options);
    if (!Number.isSafeInteger(pipeline) || pipeline < 1 || pipeline > PIPELINE_MAX)
      throw invalid('pipeline', `a whole number from 1 to ${PIPELINE_MAX}`, pipeline);
    if (callback !== undefined && typeof callback !== 'function')
      throw invalid('callback', 'a function', callback);
    this.#ports = ports;
    this.#pipeline = pipeline;
    this.#callback = callback;
  }

  /** Entries taken whose callback has not returned yet. */
  get outstanding(): number {
    return this.#taken - this.#told;
  }

  /**
   * Takes a copy of `bytes` as the next entry. What it returns is why it was not taken, undefined if it was: `RAFTLINE_OVERLOADED` (the pipeline is
   * full, or a bound of the engine; `await drained()` and append it again, or come back in `details.retryAfterMs`), `RAFTLINE_NOT_LEADER` (`details.leader`),
   * `RAFTLINE_ENTRY_TOO_LARGE`, `RAFTLINE_CLOSED`, or the code that the engine ended with. The callback then hears nothing of it.
   *
   * @throws RaftlineError `RAFTLINE_OPTION_INVALID` for what are no bytes, or where no callback was given at all
   */
  append(bytes: Uint8Array, callback = this.#callback): RaftlineError | undefined {
    if (typeof callback !== 'function') throw invalid('callback', 'a function', callback);
    if (this.#closed)
      return new RaftlineError(ErrorCode.Closed, `appender of group ${this.#ports.group}: closed`);
    if (this.outstanding >= this.#pipeline) return this.#full();
    if (this.#listener?.callback !== callback) this.#listener = this.#listenerFor(callback);
    try {
      this.#ports.append(bytes, this.#listener);
    } catch (thrown) {
      const error = toRaftlineError(thrown);
      if (error.code === ErrorCode.OptionInvalid) throw error;
      this.#refused = error.code === ErrorCode.Overloaded;
      return error;
    }
    this.#refused = false;
    this.#taken++;
    return undefined;
  }

  /**
   * Resolves when it is worth appending again after a refusal as overloaded: when outcomes have made room, or, where it is others who fill the group,
   * after a pause of `details.retryAfterMs`.
   */
  drained(): Promise<void> {
    if (this.#hasRoom()) return Promise.resolve();
    // No outcome of ours will tell that others have made room. Whoever waits already has begun the pause.
    if (this.outstanding === 0 && this.#drainWaiters.length === 0) {
      const { after, retryAfterMs } = this.#ports;
      after(retryAfterMs(), () => this.#drain());
    }
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /** Resolves when every callback has returned. Never rejects. */
  settled(): Promise<void> {
    if (this.outstanding === 0) return Promise.resolve();
    return new Promise((resolve) => this.#settleWaiters.push(resolve));
  }

  /** Takes nothing more; what was taken goes on. Resolves as `settled`. Twice is fine. */
  close(): Promise<void> {
    this.#closed = true;
    return this.settled();
  }

  #full(): RaftlineError {
    const { group, retryAfterMs } = this.#ports;
    const reason = `${this.outstanding} entries of an appender have no outcome yet (pipeline ${this.#pipeline})`;
    return overloaded(group, reason, retryAfterMs(), { limit: this.#pipeline });
  }

  #listenerFor(callback: AppenderCallback): Listener & { callback: AppenderCallback } {
    return {
      callback,
      resolve: (proposed) => this.#later(callback, undefined, proposed),
      reject: (error, count, fate) => {
        this.#later(callback, outcomeOf(error, fate), { index: 0, term: 0, count, results: undefined });
      },
    };
  }

  #later(callback: AppenderCallback, error: RaftlineError | undefined, proposed: ProposedMany): void {
    if (this.#untold.length === 0) queueMicrotask(() => this.#tell());
    this.#untold.push(() => {
      const { index, term, count, results } = proposed;
      const run = { first: this.#told + 1, count, index, term, results };
      try {
        callback(error, run);
      } finally {
        this.#told += count;
      }
    });
  }

  #tell(): void {
    const outcomes = this.#untold;
    this.#untold = [];
    for (const tell of outcomes) {
      try {
        tell();
      } catch (thrown) {
        // A fault of the callback's is the program's own, and must not cost the others their answer.
        queueMicrotask(() => {
          throw thrown;
        });
      }
    }
    this.#drain();
    if (this.outstanding === 0) this.#settleWaiters = wake(this.#settleWaiters);
  }

  /** Something has happened since the engine was full. */
  #drain(): void {
    this.#refused = false;
    if (this.#hasRoom()) this.#drainWaiters = wake(this.#drainWaiters);
  }

  #hasRoom(): boolean {
    return !this.#refused && this.outstanding <= this.#pipeline * (1 - ROOM_SHARE);
  }
}

function wake(waiters: (() => void)[]): (() => void)[] {
  for (const resolve of waiters) resolve();
  return [];
}

/** Whatever ended it: what was sealed may be committed. */
function outcomeOf(error: Error, fate: Fate): RaftlineError {
  const known = toRaftlineError(error);
  if (fate === 'none' || known.code === ErrorCode.OutcomeUnknown) return known;
  const message = `the entry was being replicated, and whether it is committed is not known: ${known.message}`;
  return new RaftlineError(ErrorCode.OutcomeUnknown, message, known.details, known);
}

function invalid(path: string, expected: string, value: unknown): RaftlineError {
  const received = shownAs(value);
  const message = `appender ${path}: expected ${expected}, received ${received}`;
  return new RaftlineError(ErrorCode.OptionInvalid, message, { path, expected, received });
}
