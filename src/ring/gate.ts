import { assert } from '../base/assert.js';
import { LINE_BYTES } from './layout.js';
import { waitBlocking, waitOnLoop } from './wait.js';

const AWAKE = 0;
const ARMED = 1;

/**
 * Where one thread sleeps and any thread wakes it. The sleeper arms, looks for work once more, then sleeps; a notifier
 * makes its work visible first (with an atomic store, as rings and cursors do), then looks whether the gate is armed.
 * Whoever comes second sees the other: no wake-up is lost. A sleeper may wake for nothing, and looks again.
 */
export class Gate {
  /** Shared bytes of a gate. */
  static readonly BYTES: number = LINE_BYTES;

  private readonly words: Int32Array;
  /** Ends the pending `sleepAsync`; undefined while there is none. */
  private wake: (() => void) | undefined;
  /** A wait of ours is on the engine's list, or its end on its way to us: a kicked sleep leaves its wait to the next one. */
  private isWaiting = false;

  /** `byteOffset`: a multiple of 4, better of 64. Zeroed memory is a gate at which nobody sleeps. */
  constructor(memory: SharedArrayBuffer, byteOffset: number) {
    this.words = new Int32Array(memory, byteOffset, 1);
  }

  /** Wakes the sleeper if there is one; else costs one atomic load. Any thread, after its work is visible. */
  notify(): void {
    if (Atomics.load(this.words, 0) === ARMED && this.disarm()) Atomics.notify(this.words, 0);
  }

  /**
   * Blocks this thread until it is woken, or `timeoutMs` have passed (Infinity: for ever). `hasWork` is asked once,
   * after arming, and looks by atomic loads. True: woken, or there was work. False: time ran out.
   */
  sleep(hasWork: () => boolean, timeoutMs: number): boolean {
    assert(timeoutMs >= 0, 'a sleep is bounded by a time ≥ 0 ms');
    this.arm();
    if (hasWork()) {
      this.disarm();
      return true;
    }
    const woken = waitBlocking(this.words, 0, ARMED, timeoutMs);
    // A notifier may have come between the end of the time and here.
    return !this.disarm() || woken;
  }

  /**
   * As `sleep`, for a thread that lives on its event loop: resolves when woken or kicked. It has no time limit: whoever wants to look now
   * and then has a timer that kicks. Undefined: there is work, do not sleep. Keeps neither process nor worker alive.
   */
  sleepAsync(hasWork: () => boolean): Promise<void> | undefined {
    this.arm();
    if (hasWork()) {
      this.disarm();
      return undefined;
    }
    if (!this.waits()) {
      this.disarm();
      return undefined;
    }
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = undefined;
        this.disarm();
        resolve();
      };
    });
  }

  /** Ends a pending `sleepAsync` at once. Only on the thread that sleeps: something else than a notifier found work, or it is time to look. */
  kick(): void {
    this.wake?.();
  }

  /** False: a notifier has come since this gate was armed. */
  private waits(): boolean {
    if (this.isWaiting) return Atomics.load(this.words, 0) === ARMED;
    const waiting = waitOnLoop(this.words, 0, ARMED);
    if (waiting === undefined) return false;
    this.isWaiting = true;
    void waiting.then(() => {
      this.isWaiting = false;
      this.wake?.();
    });
    return true;
  }

  private arm(): void {
    assert(this.wake === undefined, 'one sleep at a time at a gate');
    Atomics.store(this.words, 0, ARMED);
  }

  /** True for the one that ends the sleep. */
  private disarm(): boolean {
    return Atomics.compareExchange(this.words, 0, ARMED, AWAKE) === ARMED;
  }
}
