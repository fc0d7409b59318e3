import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { LogIndex } from '../base/ids.js';

/** What `group.read` resolves with: the state machine on this node now holds everything up to `index`, at least. */
export interface ReadPoint {
  index: LogIndex;
}

/** Reads that may wait at a time in one group. */
const READS_MAX = 65_536;

interface Waiting {
  resolve: (point: ReadPoint) => void;
  reject: (error: Error) => void;
  deadlineMs: number;
  /** Known once the leadership is confirmed; until then undefined. */
  index: LogIndex | undefined;
}

/** Linearizable reads of one group that wait: first for the quorum's word, then for the state machine. None waits for ever (H66). */
export class Reads {
  readonly #waiting = new Map<number, Waiting>();
  #lastContext = 0;

  /** Takes a read in and returns the context to ask the core with. */
  add(resolve: Waiting['resolve'], reject: Waiting['reject'], deadlineMs: number): number {
    if (this.#waiting.size >= READS_MAX) {
      throw new RaftlineError(ErrorCode.Overloaded, `more than ${READS_MAX} reads wait; try again later`);
    }
    const context = ++this.#lastContext;
    this.#waiting.set(context, { resolve, reject, deadlineMs, index: undefined });
    return context;
  }

  /** A quorum has confirmed the leadership after the read was asked: good as of `index`. */
  confirmed(context: number, index: LogIndex): void {
    const read = this.#waiting.get(context);
    if (read !== undefined) read.index = index;
  }

  fail(context: number, error: RaftlineError): void {
    const read = this.#waiting.get(context);
    this.#waiting.delete(context);
    read?.reject(error);
  }

  failAll(error: RaftlineError): void {
    for (const context of [...this.#waiting.keys()]) this.fail(context, error);
  }

  /** Answers what is confirmed and applied; tells those whose time is up. */
  settle(applied: LogIndex, nowMs: number): void {
    for (const [context, { resolve, index, deadlineMs }] of this.#waiting) {
      if (index !== undefined && index <= applied) {
        this.#waiting.delete(context);
        resolve({ index });
      } else if (nowMs > deadlineMs) {
        const what =
          index === undefined ? 'a quorum did not confirm the leadership' : 'the state machine is behind';
        this.fail(context, new RaftlineError(ErrorCode.Timeout, `read: ${what} in time; try again`));
      }
    }
  }
}
