import type { Clock } from '../../src/engine/clock.js';
import type { Scheduler } from './scheduler.js';
import type { SimClock } from './sim-clock.js';
import type { GateWord } from './thread.js';

export interface MainThreadParts {
  scheduler: Scheduler;
  clock: SimClock;
  gate: GateWord;
  /** Runs a step of the main thread; what it throws ends the process. */
  guard: (run: () => void) => void;
  /** A step is over. */
  turned: () => void;
}

/** The main thread of one process in simulated time: what the engine knows as its clock. */
export class MainThread implements Clock {
  /** It does not run before. */
  stalledUntilMs = 0;
  readonly #parts: MainThreadParts;
  #ended = false;
  /** Ends its sleep. */
  #awake: (() => void) | undefined;

  constructor(parts: MainThreadParts) {
    this.#parts = parts;
  }

  nowMs(): number {
    return this.#parts.clock.nowMs();
  }

  wallMs(): number {
    return this.#parts.clock.wallMs();
  }

  every(intervalMs: number, tick: () => void): () => void {
    let stopped = false;
    const again = (): void => {
      this.#after(this.#parts.clock.lasts(intervalMs), () => {
        if (stopped) return;
        again();
        tick();
      });
    };
    again();
    return () => {
      stopped = true;
    };
  }

  soon(run: () => void): void {
    this.#after(this.#parts.scheduler.random() * 0.1, () => this.#step(run));
  }

  after(delayMs: number, run: () => void): void {
    this.#after(this.#parts.clock.lasts(delayMs), () => this.#step(run));
  }

  sleep(_gate: unknown, hasWork: () => boolean, awake: () => void): boolean {
    const { gate } = this.#parts;
    gate.arm();
    if (hasWork()) {
      gate.disarm();
      return false;
    }
    this.#awake = awake;
    return true;
  }

  /** Wakes it if its gate was notified. */
  look(): void {
    const awake = this.#awake;
    if (awake === undefined || !this.#parts.gate.notified) return;
    this.#awake = undefined;
    awake();
  }

  end(): void {
    this.#ended = true;
  }

  #step(run: () => void): void {
    const { guard, turned } = this.#parts;
    guard(() => {
      run();
      if (!this.#ended) turned();
    });
  }

  #after(delayMs: number, run: () => void): () => void {
    const { scheduler } = this.#parts;
    let takeBack = (): void => {};
    const attempt = (): void => {
      if (this.#ended) return;
      const stalledMs = this.stalledUntilMs - scheduler.nowMs;
      if (stalledMs > 0) takeBack = scheduler.after(stalledMs, attempt);
      else run();
    };
    takeBack = scheduler.after(delayMs, attempt);
    return () => takeBack();
  }
}
