import type { Gate } from '../ring/gate.js';

/** The engine's only source of time and its only timer. A test may bring its own. */
export interface Clock {
  /** Monotonic, ms. */
  nowMs(): number;
  /** Wall clock, ms since 1970; information only. */
  wallMs(): number;
  /** Calls `tick` about every `intervalMs` until the returned function is called. */
  every(intervalMs: number, tick: () => void): () => void;
  /** Calls `run` once, after `delayMs`. */
  after(delayMs: number, run: () => void): void;
  /** Calls `run` once, as soon as what is due now is done. */
  soon(run: () => void): void;
  /**
   * Calls `awake` once `gate` was notified or kicked. `hasWork` is asked once, after arming; false: there is work, and
   * `awake` is not called.
   */
  sleep(gate: Gate, hasWork: () => boolean, awake: () => void): boolean;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  every(intervalMs, tick) {
    const timer = setInterval(tick, intervalMs);
    return () => clearInterval(timer);
  },
  after: (delayMs, run) => {
    setTimeout(run, delayMs);
  },
  soon: (run) => {
    setImmediate(run);
  },
  sleep(gate, hasWork, awake) {
    const sleep = gate.sleepAsync(hasWork);
    if (sleep === undefined) return false;
    void sleep.then(awake);
    return true;
  },
};
