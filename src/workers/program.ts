/** Longest sleep of a thread that nobody wakes: it looks again, in case. */
export const SLEEP_MS = 25;
/** The same where something waits for time to pass. */
const RESTLESS_MS = 2;

/** How long the thread of these programs sleeps at most, ms. */
export function sleepMsOf(programs: readonly Program[]): number {
  return programs.some(({ restless }) => restless === true) ? RESTLESS_MS : SLEEP_MS;
}

/**
 * A worker as a `poll()`: one call does one bounded piece of work and never waits. A thread loops it; a test or a
 * simulator calls it by hand, in any order.
 */
export interface Program {
  readonly name: string;
  /** Something waits for time to pass: the thread, if it sleeps, looks again sooner. */
  readonly restless?: boolean;
  /** Returns whether anything was done; if nothing was, the thread may sleep. `nowMs` is monotonic. */
  poll(nowMs: number): boolean;
  /** Gives back what the operating system holds for it. Called once, after the last poll. */
  close(): void;
}
