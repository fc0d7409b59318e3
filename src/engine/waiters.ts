import { assert } from '../base/assert.js';
import type { LogIndex, Term } from '../base/ids.js';

/** What `group.propose` resolves with. */
export interface Proposed {
  index: LogIndex;
  term: Term;
  /** The state machine's answer, if it gave one. */
  result: Uint8Array | undefined;
}

/** What `group.proposeMany` resolves with: its entries have consecutive indexes, from `index` on. */
export interface ProposedMany {
  index: LogIndex;
  term: Term;
  count: number;
  /** The state machine's answers, in the order of the entries; undefined where it gave none at all. */
  results: readonly (Uint8Array | undefined)[] | undefined;
}

/** What is certain of entries that were not seen to be committed: `none` of them is or will be, or it is `unknown`. */
export type Fate = 'none' | 'unknown';

/** Who waits for runs of consecutive entries of one batch. Called once for a run, one or the other. */
export interface Listener {
  resolve(proposed: ProposedMany): void;
  reject(error: Error, count: number, fate: Fate): void;
}

/** The state machine's answer to the entry at a position in the batch; undefined: it gave none to the whole batch. */
export type ResultAt = ((position: number) => Uint8Array | undefined) | undefined;

/**
 * Entries that hang on one promise. Their reactions are a list in memory that was last touched when they were proposed: the shorter it is, the
 * more of it is still in the processor's cache when each is carried out.
 */
const RUN_ENTRIES = 64;

/** What the entries of a run hang on. */
interface Run {
  readonly applied: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  /** Those of its entries, until it is resolved. */
  readonly promises: Promise<Proposed>[];
}

/**
 * Who waits for the entries of one batch. An entry with a promise of its own costs that promise and nothing else: it
 * hangs on one promise of its run, whose reactions run in the order in which they were attached (ECMA-262,
 * TriggerPromiseReactions), and the last of a run starts the next, so that a counter is enough to know whose turn it is.
 */
export class Waiters {
  /** Positions in the batch of the entries with a promise, ascending. */
  readonly #positions: number[] = [];
  readonly #listeners: { readonly position: number; count: number; readonly listener: Listener }[] = [];
  /** Of the entries with a promise, `RUN_ENTRIES` each, in order; the last may have fewer. */
  readonly #runs: Run[] = [];
  /** Where the next answer's position stands in `#positions`. */
  #answered = 0;
  #firstIndex: LogIndex = 0;
  #term: Term = 0;
  #resultAt: ResultAt;
  readonly #answer = (): Proposed => {
    const position = this.#positions[this.#answered++]!;
    if (this.#answered % RUN_ENTRIES === 0) this.#resolveNext();
    return {
      index: this.#firstIndex + position,
      term: this.#term,
      result: this.#resultAt?.(position),
    };
  };

  /** A promise for the entry at `position`, which is higher than all before. */
  promise(position: number): Promise<Proposed> {
    if (this.#positions.length % RUN_ENTRIES === 0) this.#runs.push(makeRun());
    this.#positions.push(position);
    const run = this.#runs[this.#runs.length - 1]!;
    const proposed = run.applied.then(this.#answer);
    run.promises.push(proposed);
    return proposed;
  }

  /** Calls `listener` for `count` entries, from `position` on; together with those right before, if that is who listens to them. */
  listen(position: number, count: number, listener: Listener): void {
    const last = this.#listeners[this.#listeners.length - 1];
    if (last?.listener === listener && last.position + last.count === position) last.count += count;
    else this.#listeners.push({ position, count, listener });
  }

  /** The batch stands at `firstIndex` and was applied. At most once, and not after `reject`. */
  resolve(firstIndex: LogIndex, term: Term, resultAt: ResultAt): void {
    assert(this.#term === 0, 'a batch is answered once');
    this.#firstIndex = firstIndex;
    this.#term = term;
    this.#resultAt = resultAt;
    this.#resolveNext();
    for (const { position, count, listener } of this.#listeners) {
      const results =
        resultAt === undefined
          ? undefined
          : Array.from({ length: count }, (_, at) => resultAt(position + at));
      listener.resolve({ index: firstIndex + position, term, count, results });
    }
  }

  /** Nothing more is known of the batch than `error` says. Without effect on what was resolved. */
  reject(error: Error, fate: Fate): void {
    if (this.#term !== 0) return;
    for (const run of this.#runs) run.reject(error);
    for (const { count, listener } of this.#listeners.splice(0)) listener.reject(error, count, fate);
  }

  /** Starts the run whose turn it is, if there is one. */
  #resolveNext(): void {
    const run = this.#runs[this.#answered / RUN_ENTRIES];
    if (run === undefined) return;
    fetchAll(run.promises);
    run.promises.length = 0;
    run.resolve();
  }
}

const { then } = Promise.prototype;

/**
 * Reads of each promise, without need: they were last touched when their entries were proposed, and lie outside of the processor's caches.
 * These reads do not wait for each other, while the list of reactions, which stands right behind the promises in memory, has to be walked from one to the next.
 * Returns how many are promises, so that the reads are not left out.
 */
function fetchAll(promises: readonly Promise<unknown>[]): number {
  let count = 0;
  for (let at = 0; at < promises.length; at++) if (promises[at]!.then === then) count++;
  return count;
}

function makeRun(): Run {
  let resolve = (): void => {};
  let reject: (error: Error) => void = () => {};
  const applied = new Promise<void>((...settle) => {
    [resolve, reject] = settle;
  });
  return { applied, resolve, reject, promises: [] };
}
