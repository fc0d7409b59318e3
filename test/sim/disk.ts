import type { DiskOp } from '../../src/wal/disk.js';
import { FaultyDisk, PowerCut } from '../wal/faulty-disk.js';
import type { Scheduler } from './scheduler.js';

/** How a disk behaves now; all of it may change while a run goes on. */
export interface DiskMood {
  /** How long a write or a sync takes, ms: the least, and how much is added at most. */
  delayMs: number;
  jitterMs: number;
  /** Chance that a write or a sync fails with EIO. What a failed sync did not write no later one writes (H75). */
  failing: number;
  /** Nothing completes before. */
  stuckUntilMs: number;
}

/**
 * The disk of one node in simulated time: submitted operations happen when their time has come, so a crash in between leaves
 * them undone or half done. What is done at start-up happens at once.
 */
export class SimDisk extends FaultyDisk {
  readonly mood: DiskMood = { delayMs: 0.1, jitterMs: 0.4, failing: 0, stuckUntilMs: 0 };
  /** While true everything completes at once. */
  immediate = false;
  /** Called when a submitted operation is done. */
  onDone: () => void = () => {};
  /** Called when power went in the middle of a submitted operation. */
  onPowerCut: (cut: PowerCut) => void = () => {};
  /** Called once, after the next write that is not synced yet or the next new name that is not. */
  #aim: { at: 'write' | 'name'; run: () => void } | undefined;
  readonly #scheduler: Scheduler;
  /** Grows with every crash or restart: what was submitted before does not happen any more. */
  #life = 0;
  /** What of the write under way could have reached the system when the machine dies. */
  #under: { fd: number; buffers: Buffer[]; position: number } | undefined;

  constructor(seed: number, scheduler: Scheduler) {
    super(seed);
    this.#scheduler = scheduler;
  }

  /** Calls `run` in the worst moment: something was written, or got its name, and is not synced. */
  aimAt(at: 'write' | 'name', run: () => void): void {
    this.#aim = { at, run };
  }

  override rename(from: string, to: string): void {
    super.rename(from, to);
    if (!this.immediate && to.endsWith('.segment')) this.#reached('name');
  }

  /** Loses power: of a write under way some bytes may have been taken. */
  cutPower(): void {
    this.#beHalfDone();
    this.#life++;
    this.crash();
  }

  /** The process ends; the system keeps what it was given. */
  endProcess(): void {
    this.#beHalfDone();
    this.#life++;
    this.restart();
  }

  override submitWritev(fd: number, buffers: Buffer[], position: number): DiskOp {
    if (!this.immediate) this.#under = { fd, buffers, position };
    return this.#submit(() => {
      this.#under = undefined;
      this.write(fd, buffers, position);
      this.#reached('write');
    });
  }

  override submitSync(fd: number): DiskOp {
    return this.#submit(
      () => this.sync(fd),
      () => this.dropUnsynced(fd),
    );
  }

  /** `fails`: what a failure does beyond doing nothing. */
  #submit(action: () => void, fails: () => void = () => {}): DiskOp {
    const op: DiskOp = { done: false };
    const life = this.#life;
    const run = (): void => {
      if (life !== this.#life) return;
      const { stuckUntilMs } = this.mood;
      if (!this.immediate && stuckUntilMs > this.#scheduler.nowMs) {
        this.#scheduler.after(stuckUntilMs - this.#scheduler.nowMs, run);
        return;
      }
      try {
        if (!this.immediate && this.#scheduler.chance(this.mood.failing)) {
          fails();
          throw inputOutputError();
        }
        action();
      } catch (thrown) {
        if (thrown instanceof PowerCut) {
          if (this.immediate) throw thrown;
          this.onPowerCut(thrown);
          return;
        }
        op.error = thrown as Error;
      }
      op.done = true;
      this.journal.length = 0;
      this.onDone();
    };
    const { delayMs, jitterMs } = this.mood;
    if (this.immediate) run();
    else this.#scheduler.after(delayMs + this.#scheduler.random() * jitterMs, run);
    return op;
  }

  #reached(at: 'write' | 'name'): void {
    if (this.#aim?.at !== at) return;
    const { run } = this.#aim;
    this.#aim = undefined;
    // A name is synced in the same call: what is to be lost is what is written right after it.
    this.#scheduler.after(at === 'write' ? 0 : this.#scheduler.between(0, 3), run);
  }

  #beHalfDone(): void {
    const under = this.#under;
    this.#under = undefined;
    if (under === undefined) return;
    const data = Buffer.concat(under.buffers);
    const taken = this.#scheduler.integer(0, data.length);
    try {
      this.write(under.fd, [data.subarray(0, taken)], under.position);
    } catch {
      // A full disk takes less; what it took is there.
    }
  }
}

function inputOutputError(): Error {
  return Object.assign(new Error('EIO: simulated'), { code: 'EIO' });
}
