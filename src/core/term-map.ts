import { assert } from '../base/assert.js';
import type { LogIndex, Term } from '../base/ids.js';
import type { TermRun } from './options.js';

/**
 * The term of every entry in the log, kept as runs of equal term: a log of millions of entries has a run per
 * election. Entries at and below the base are gone; the base's own term is still known.
 */
export class TermMap {
  /** Ascending in term and index; the first begins at base + 1. */
  readonly #runs: TermRun[];
  #baseIndex: LogIndex;
  #baseTerm: Term;
  #lastIndex: LogIndex;

  constructor(base: { index: LogIndex; term: Term }, runs: readonly TermRun[], lastIndex: LogIndex) {
    this.#baseIndex = base.index;
    this.#baseTerm = base.term;
    this.#lastIndex = lastIndex;
    this.#runs = runs.map((run) => ({ term: run.term, firstIndex: run.firstIndex }));
    let before: TermRun = { term: base.term, firstIndex: base.index };
    for (const run of this.#runs) {
      assert(run.term > before.term || before.firstIndex === base.index, 'recovered terms grow');
      assert(run.term >= before.term && run.firstIndex > before.firstIndex, 'recovered runs ascend');
      before = run;
    }
    const first = this.#runs[0];
    assert((first === undefined) === (lastIndex === base.index), 'entries and term runs come together');
    assert(first === undefined || first.firstIndex === base.index + 1, 'the first run follows the base');
    assert(lastIndex >= before.firstIndex, 'the last run is not empty');
  }

  get baseIndex(): LogIndex {
    return this.#baseIndex;
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? this.#baseTerm;
  }

  /** The entry's term; undefined below the base and above the end. */
  termAt(index: LogIndex): Term | undefined {
    if (index > this.#lastIndex || index < this.#baseIndex) return undefined;
    const run = this.#runs[this.#runIndexAt(index)];
    return run === undefined ? this.#baseTerm : run.term;
  }

  append(term: Term, count: number): void {
    assert(count >= 1 && term >= this.lastTerm, 'entries are appended in order of term');
    const last = this.#runs.at(-1);
    if (last === undefined || last.term !== term) {
      this.#runs.push({ term, firstIndex: this.#lastIndex + 1 });
    }
    this.#lastIndex += count;
  }

  /** Everything from `from` on goes. */
  truncate(from: LogIndex): void {
    assert(from > this.#baseIndex && from <= this.#lastIndex, 'only kept entries are truncated');
    while ((this.#runs.at(-1)?.firstIndex ?? 0) >= from) this.#runs.pop();
    this.#lastIndex = from - 1;
  }

  /** Forgets what is at and below `index`, which becomes the base. */
  compact(index: LogIndex): void {
    const term = this.termAt(index);
    assert(term !== undefined, 'only kept entries are compacted');
    while (this.#runs.length > 1 && (this.#runs[1] as TermRun).firstIndex <= index + 1) this.#runs.shift();
    const [first] = this.#runs;
    if (index === this.#lastIndex) this.#runs.length = 0;
    else if (first !== undefined) first.firstIndex = Math.max(first.firstIndex, index + 1);
    this.#baseIndex = index;
    this.#baseTerm = term;
  }

  /** Nothing is left but a base at `index`. */
  reset(index: LogIndex, term: Term): void {
    this.#runs.length = 0;
    this.#baseIndex = index;
    this.#baseTerm = term;
    this.#lastIndex = index;
  }

  /**
   * The highest index that is ≤ `index` and whose entry has a term ≤ `term`: the highest at which this log may agree
   * with one whose entry at `index` has `term`. Base − 1 when no kept entry qualifies.
   */
  lastAtMost(index: LogIndex, term: Term): LogIndex {
    let at = Math.min(index, this.#lastIndex);
    if (at < this.#baseIndex) return at;
    for (let i = this.#runIndexAt(at); i >= 0; i--) {
      const run = this.#runs[i] as TermRun;
      if (run.term <= term) return at;
      at = run.firstIndex - 1;
    }
    return this.#baseTerm <= term ? this.#baseIndex : this.#baseIndex - 1;
  }

  /** The run that holds `index`, −1 for the base. */
  #runIndexAt(index: LogIndex): number {
    let high = this.#runs.length - 1;
    // Nearly every question is about the newest entries.
    if (high < 0 || (this.#runs[high] as TermRun).firstIndex <= index) return high;
    let low = -1;
    while (low < high - 1) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle] as TermRun).firstIndex <= index) low = middle;
      else high = middle;
    }
    return low;
  }
}
