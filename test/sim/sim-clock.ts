import type { Scheduler } from './scheduler.js';

/** Begin of all wall clocks, ms since 1970. */
const WALL_BEGIN_MS = 1.7e12;

/**
 * How much faster or slower than true time a clock may run where leases are trusted: two clocks are then at most a factor of 1.1
 * apart, the default of `reads.clockDriftMax`.
 */
export const LEASE_CLOCK_SPREAD = 0.047;

/** What one machine takes for the time: its monotone clock runs at a speed of its own, its wall clock may jump. */
export class SimClock {
  /** Of the machine, beside the speed that it has now. */
  readonly ownRate: number;
  readonly #scheduler: Scheduler;
  #rate: number;
  /** Where both times stood when the speed was changed last. */
  #sinceMs = 0;
  #atMs: number;
  #wallOffsetMs = 0;

  constructor(scheduler: Scheduler, beginMs: number, rate: number) {
    this.#scheduler = scheduler;
    this.#atMs = beginMs;
    this.#rate = rate;
    this.ownRate = rate;
  }

  /** Monotone, ms. */
  nowMs(): number {
    return this.#atMs + (this.#scheduler.nowMs - this.#sinceMs) * this.#rate;
  }

  /** Ms since 1970, for people. */
  wallMs(): number {
    return WALL_BEGIN_MS + Math.floor(this.nowMs() + this.#wallOffsetMs);
  }

  /** How long `ms` of this clock take, simulated ms. */
  lasts(ms: number): number {
    return ms / this.#rate;
  }

  /** From now on it runs at another speed. */
  runAt(rate: number): void {
    this.#atMs = this.nowMs();
    this.#sinceMs = this.#scheduler.nowMs;
    this.#rate = rate;
  }

  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}
