import type { Clock } from './clock.js';

/** How long one turn applies at most, ms, but for the part of a batch that it is at then: what arrives meanwhile waits no longer. */
const SLICE_MS = 4;
/** How long one source is applied from while others may have something, ms, but for the part of a batch that it is at then. */
const SHARE_MS = 2;
/** Entries with callers of this process that one turn applies, unless one batch has more: what the callers do with the answers is done before the next event. */
const ANSWERS_PER_TURN = 1024;

/** Applies one batch, or a part of it. Returns how many of its entries have callers here who are answered; undefined: none is due. */
export type Source = () => number | undefined;

/**
 * Whose batches main applies next: a source after the other, each for its share of the time and a part of a batch at least. A turn goes on where the
 * one before ended, so that one whose batches take long neither keeps the others from theirs nor the turn from the inbox.
 */
export class ApplySlices {
  readonly #sources: readonly Source[];
  readonly #clock: Pick<Clock, 'nowMs'>;
  #at = 0;

  constructor(sources: readonly Source[], clock: Pick<Clock, 'nowMs'>) {
    this.#sources = sources;
    this.#clock = clock;
  }

  /** Applies for a slice of time. Returns whether anything was applied. */
  run(): boolean {
    const beganMs = this.#clock.nowMs();
    let nowMs = beganMs;
    let sinceMs = beganMs;
    let answers = 0;
    let worked = false;
    for (let idle = 0; idle < this.#sources.length; ) {
      const answered = this.#sources[this.#at]!();
      if (answered === undefined) {
        idle++;
        this.#next();
        sinceMs = nowMs;
        continue;
      }
      idle = 0;
      worked = true;
      answers += answered;
      nowMs = this.#clock.nowMs();
      const isOver = answers >= ANSWERS_PER_TURN || nowMs - beganMs >= SLICE_MS;
      if (isOver || nowMs - sinceMs >= SHARE_MS) {
        this.#next();
        sinceMs = nowMs;
      }
      if (isOver) break;
    }
    return worked;
  }

  #next(): void {
    this.#at = (this.#at + 1) % this.#sources.length;
  }
}
