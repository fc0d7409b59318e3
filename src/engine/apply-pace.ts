import { BATCH_ENTRIES_CEILING } from '../base/limits.js';

/** How long one batch should take to apply at most, ms: that, and a turn's slice before it, is what everything else waits. */
const BATCH_MS_MAX = 6;
/** However slow a state machine is: a batch has its price, too. */
const ENTRIES_MIN = 16;
/** What a batch still counts for once the next one is applied. */
const FADING = 0.9;

/**
 * How many entries of one group are applied in the time that a batch may take, as it was of late. A batch is applied as a whole, with nothing in between; so a
 * leader seals none of which it knows that it would take longer, and the main threads of all replicas come round in time. Callers' own
 * work on answers counts where it is done at once (callbacks of appenders).
 */
export class ApplyPace {
  #ms = 0;
  #entries = 0;

  /** So many entries took so long. */
  note(entries: number, ms: number): void {
    this.#ms = FADING * this.#ms + ms;
    this.#entries = FADING * this.#entries + entries;
  }

  /** As many as any batch may have where nothing is known, or nothing takes any time. */
  get batchEntriesInTime(): number {
    if (this.#ms === 0) return BATCH_ENTRIES_CEILING;
    const entries = Math.floor((BATCH_MS_MAX * this.#entries) / this.#ms);
    return Math.max(ENTRIES_MIN, Math.min(BATCH_ENTRIES_CEILING, entries));
  }
}
