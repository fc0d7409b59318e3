import type { Scheduler } from './scheduler.js';

const ARMED = 1;
const AWAKE = 0;

/** The word of a gate in shared memory, as the one who sleeps there sees it. */
export class GateWord {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer, byteOffset: number) {
    this.#words = new Int32Array(memory, byteOffset, 1);
  }

  arm(): void {
    Atomics.store(this.#words, 0, ARMED);
  }

  disarm(): void {
    Atomics.store(this.#words, 0, AWAKE);
  }

  get notified(): boolean {
    return Atomics.load(this.#words, 0) === AWAKE;
  }
}

/** How often a thread that found work looks for more before anybody else runs. */
const GOES_ON = 0.7;

export interface ThreadParts {
  scheduler: Scheduler;
  gate: GateWord;
  /** Longest sleep, ms. */
  sleepMs: () => number;
  /** One round of the thread's programs. */
  poll: () => boolean;
  /** Calls `run`; what it throws ends the node. */
  guard: (run: () => void) => void;
  /** How long the thread takes from being woken until it runs, and between two rounds, ms at most. */
  latencyMs: number;
}

/**
 * A worker thread in simulated time: runs its programs while they have work, then sleeps at its gate as the real loop does, and
 * is woken by whoever notifies the gate, or by time.
 */
export class SimThread {
  /** It does not run before. */
  stalledUntilMs = 0;
  readonly #parts: ThreadParts;
  #asleep = false;
  #ended = false;
  #takeBack: () => void = () => {};

  constructor(parts: ThreadParts) {
    this.#parts = parts;
    this.#soon();
  }

  /** Wakes the thread if its gate was notified. */
  look(): void {
    if (this.#asleep && this.#parts.gate.notified) this.wake();
  }

  /** Ends its sleep. */
  wake(): void {
    if (!this.#asleep) return;
    this.#asleep = false;
    this.#takeBack();
    this.#soon();
  }

  end(): void {
    this.#ended = true;
    this.#takeBack();
  }

  #soon(): void {
    const { scheduler, latencyMs } = this.#parts;
    const stalledMs = Math.max(0, this.stalledUntilMs - scheduler.nowMs);
    this.#takeBack = scheduler.after(stalledMs + scheduler.random() * latencyMs, () => this.#run());
  }

  #run(): void {
    const { scheduler, guard, gate, poll, sleepMs } = this.#parts;
    if (scheduler.nowMs < this.stalledUntilMs) {
      this.#soon();
      return;
    }
    guard(() => {
      let worked = poll();
      // At times others come in between two rounds of a busy thread; mostly it goes straight on.
      if (!this.#ended && (!worked || scheduler.chance(GOES_ON))) {
        gate.arm();
        worked = poll();
      }
      if (this.#ended) return;
      if (worked) {
        gate.disarm();
        this.#soon();
        return;
      }
      this.#asleep = true;
      this.#takeBack = scheduler.after(sleepMs(), () => this.wake());
    });
  }
}
