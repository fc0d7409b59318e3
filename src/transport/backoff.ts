/** What went wrong: no answer in time, a broken connection, nobody there, or an error that the peer reported. */
export type FailureKind = 'timeout' | 'network' | 'unreachable' | 'remote';

/** A peer that answers late may only be busy; one that cannot be reached will not be there a moment later (A10). */
const RANKS: Readonly<Record<FailureKind, number>> = {
  timeout: 2,
  network: 2,
  unreachable: 100,
  remote: 100,
};
/** Backoff is on above this rank: after 1 unreachable, or 11 timeouts. */
const RANK_TOLERATED = 20;

export interface BackoffOptions {
  /** The first delay, ms; each further one is twice the one before. Default 200. */
  delayMsMin?: number;
  /** Where the delays stop growing, ms. Default 1000. */
  delayMsMax?: number;
}

/** How long to leave a failing peer alone (A10). Knows no clock: it answers with delays, the caller adds them. */
export class Backoff {
  readonly #delayMsMin: number;
  readonly #delayMsMax: number;
  #rank = 0;
  /** The next delay; grows only while backoff is on. */
  #nextDelayMs: number;

  constructor({ delayMsMin = 200, delayMsMax = 1000 }: BackoffOptions = {}) {
    this.#delayMsMin = delayMsMin;
    this.#delayMsMax = delayMsMax;
    this.#nextDelayMs = delayMsMin;
  }

  /** Whether the peer is being left alone between attempts. */
  get on(): boolean {
    return this.#rank > RANK_TOLERATED;
  }

  /** Counts a failure. Returns how long to wait before the next attempt, ms: 0 while backoff is off. */
  failed(kind: FailureKind): number {
    this.#rank = Math.min(this.#rank + RANKS[kind], Number.MAX_SAFE_INTEGER);
    if (!this.on) return 0;
    const delayMs = Math.min(this.#nextDelayMs, this.#delayMsMax);
    this.#nextDelayMs = Math.min(this.#nextDelayMs * 2, this.#delayMsMax);
    return delayMs;
  }

  /** Any success clears the rank and the delays. */
  succeeded(): void {
    this.#rank = 0;
    this.#nextDelayMs = this.#delayMsMin;
  }

  /** The delay that the next unreachable failure would cost, ms. */
  get upcomingDelayMs(): number {
    return Math.min(this.#nextDelayMs, this.#delayMsMax);
  }
}
