import { BATCH_ENTRIES_CEILING } from '../base/limits.js';

/** How long a state machine may have at a time, ms, but for one entry: that, and a turn's slice before it, is what everything else waits. */
const PART_MS_MAX = 2;
/** The first part, of which nothing is known, and how many times more than the one before the next may have. */
const FIRST_ENTRIES = 16;
const GROWTH = 4;
/** How long one batch should take to apply at most, ms: who waits for it is answered when all of it is applied. */
const BATCH_MS_MAX = 6;
/** How long what is fed of one group may take to apply at most, ms, but for one batch: other groups' batches stand behind it. */
const FED_MS_MAX = 12;
/** However slow a state machine is: a batch has its price, too. */
const ENTRIES_MIN = 16;
/** What a part still counts for once the next one is applied. */
const FADING = 0.9;

/**
 * How many entries of one group are applied in a given time, as it was of late: so many a state machine is given at a time, so many are fed to it
 * ahead, and so many a leader puts into a batch. Callers' own work on answers counts where it is done at once (callbacks of appenders).
 */
export class ApplyPace {
  #ms = 0;
  #entries = 0;
  #last = FIRST_ENTRIES / GROWTH;

  /** So many entries took so long. */
  note(entries: number, ms: number): void {
    this.#ms = FADING * this.#ms + ms;
    this.#entries = FADING * this.#entries + entries;
    this.#last = entries;
  }

  /** How many entries a state machine is given at a time. */
  get partEntries(): number {
    return Math.max(1, Math.min(GROWTH * this.#last, this.#entriesIn(PART_MS_MAX)));
  }

  /** How many entries a leader puts into a batch at most. */
  get batchEntriesInTime(): number {
    return Math.max(ENTRIES_MIN, this.#entriesIn(BATCH_MS_MAX));
  }

  /** How many entries may be fed ahead of what is applied: none, which lets one batch through, before anything is known. */
  get fedEntriesInTime(): number {
    return this.#entries === 0 ? 0 : this.#entriesIn(FED_MS_MAX);
  }

  /** As many as any batch may have where nothing is known, or nothing takes any time. */
  #entriesIn(ms: number): number {
    if (this.#ms === 0) return BATCH_ENTRIES_CEILING;
    return Math.min(BATCH_ENTRIES_CEILING, Math.floor((ms * this.#entries) / this.#ms));
  }
}
