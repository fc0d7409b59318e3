import { type RaftlineError, toRaftlineError } from '../base/errors.js';
import type { Gate } from '../ring/gate.js';
import type { Clock } from './clock.js';

/** A timer is no finer than this, ms: shorter waits are turns, one after the other. */
const TIMER_MS = 1;

export interface LoopParts {
  readonly clock: Clock;
  /** On which the other threads wake main. */
  readonly gate: Gate;
  readonly tickMs: number;
  /** One pass. Returns whether another one is due at once. */
  readonly turn: () => boolean;
  /** Looks without taking anything. */
  readonly hasWork: () => boolean;
}

/**
 * When turns are taken: one after the other while there is something to do, else once a thread wakes main, a tick is due
 * or somebody calls.
 */
export class Loop {
  readonly #parts: LoopParts;
  #failed: (error: RaftlineError) => void = () => {};
  #stopTicks = (): void => {};
  #stopped: RaftlineError | undefined;
  #scheduled = false;
  /** A sleep on the gate is pending: threads will end it. */
  #sleeping = false;
  /** When timers will take a turn, ms. */
  readonly #timersMs = new Set<number>();

  constructor(parts: LoopParts) {
    this.#parts = parts;
  }

  /** Why no more turns are taken; undefined while they are. */
  get stopped(): RaftlineError | undefined {
    return this.#stopped;
  }

  /** `failed` hears of what a turn throws. */
  start(failed: (error: RaftlineError) => void): void {
    this.#failed = failed;
    this.#stopTicks = this.#parts.clock.every(this.#parts.tickMs, () => this.schedule());
    this.schedule();
  }

  stop(error: RaftlineError): void {
    this.#stopped = error;
    this.#stopTicks();
    this.#parts.gate.kick();
  }

  /** An invariant is broken, or a state machine has failed. */
  fail(error: RaftlineError): void {
    this.#failed(error);
  }

  /** A turn is due. A pending sleep simply ends later; `#scheduled` keeps turns from doubling. */
  schedule(): void {
    if (this.#scheduled || this.#stopped !== undefined) return;
    this.#scheduled = true;
    this.#parts.clock.soon(() => this.#run());
  }

  /** A turn is due in so long, ms; at once where no timer is that fine. */
  scheduleIn(ms: number): void {
    if (ms < TIMER_MS) {
      this.schedule();
      return;
    }
    const { clock } = this.#parts;
    const dueMs = clock.nowMs() + ms;
    for (const timerMs of this.#timersMs) if (timerMs < dueMs + TIMER_MS) return;
    this.#timersMs.add(dueMs);
    clock.after(Math.floor(ms), () => {
      this.#timersMs.delete(dueMs);
      this.schedule();
    });
  }

  #run(): void {
    this.#scheduled = false;
    if (this.#stopped !== undefined) return;
    try {
      if (this.#parts.turn()) this.schedule();
      else this.#sleep();
    } catch (thrown) {
      this.fail(toRaftlineError(thrown));
    }
  }

  #sleep(): void {
    const { clock, gate, hasWork } = this.#parts;
    const isDue = (): boolean => this.#stopped !== undefined || hasWork();
    if (this.#sleeping) {
      // The turn was not the gate's: it is armed still, but what was there before it was armed is nobody's news.
      if (isDue()) this.schedule();
      return;
    }
    const awake = (): void => {
      this.#sleeping = false;
      this.schedule();
    };
    this.#sleeping = true;
    if (!clock.sleep(gate, isDue, awake)) awake();
  }
}
