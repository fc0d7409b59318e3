import type { HardState } from '../../src/base/messages.js';

interface Run {
  term: number;
  firstIndex: number;
}

interface Terms {
  base: { index: number; term: number };
  termRuns: readonly Run[];
  lastIndex: number;
  hardState: HardState;
}

/** What a node's disk certainly holds: told by the log code when a sync is done, held against what a recovery finds. */
export class DurableLog {
  lastIndex = 0;
  hardState: HardState = { term: 0, vote: 0 };
  /** Everything up to it is in a snapshot. */
  base = 0;
  #runs: Run[] = [];
  /** What the last crash had to leave. */
  promised: { base: number; runs: readonly Run[]; lastIndex: number; hardState: HardState } = {
    base: 0,
    runs: [],
    lastIndex: 0,
    hardState: { term: 0, vote: 0 },
  };

  became(log: Terms): void {
    this.base = log.base.index;
    this.lastIndex = log.lastIndex;
    this.hardState = { ...log.hardState };
    this.#runs = log.termRuns.map((run) => ({ ...run }));
  }

  /**
   * The process ends while `underWay` is the log with what is being written. A truncation in it may survive or not, so only
   * what it leaves standing is promised.
   */
  ends(underWay: Terms): void {
    let lastIndex = Math.min(this.lastIndex, underWay.lastIndex);
    while (
      lastIndex > Math.max(this.base, underWay.base.index) &&
      termIn(underWay.termRuns, underWay.lastIndex, lastIndex) !== this.termAt(lastIndex)
    ) {
      lastIndex--;
    }
    this.promised = { base: this.base, runs: this.#runs, lastIndex, hardState: this.hardState };
  }

  /** Whether the entry of `term` is there, in the log or in the snapshot that the log begins behind. */
  holds(index: number, term: number): boolean {
    return index <= this.base || this.termAt(index) === term;
  }

  /** 0 where there is no entry. */
  termAt(index: number): number {
    return termIn(this.#runs, this.lastIndex, index);
  }

  /** What was durable before the last start, at `index`; 0 where there was no entry. */
  promisedTermAt(index: number): number {
    return termIn(this.promised.runs, this.promised.lastIndex, index);
  }
}

function termIn(runs: readonly Run[], lastIndex: number, index: number): number {
  if (index < 1 || index > lastIndex) return 0;
  for (let at = runs.length - 1; at >= 0; at--) {
    if (runs[at]!.firstIndex <= index) return runs[at]!.term;
  }
  return 0;
}
