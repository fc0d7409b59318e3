/**
 * A worker as a `poll()`: one call does one bounded piece of work and never waits. A thread loops it; a test or a
 * simulator calls it by hand, in any order.
 */
export interface Program {
  readonly name: string;
  /** Returns whether anything was done; if nothing was, the thread may sleep. `nowMs` is monotonic. */
  poll(nowMs: number): boolean;
  /** Gives back what the operating system holds for it. Called once, after the last poll. */
  close(): void;
}
