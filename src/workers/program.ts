/** Longest sleep of a thread that nobody wakes: it looks again, in case. */
export const SLEEP_MS = 25;

/** How long the thread of these programs sleeps at most, ms. */
export function sleepMsOf(programs: readonly Program[], nowMs: number): number {
  return Math.min(SLEEP_MS, firstDueMs(programs, nowMs) - nowMs);
}

/** The first due time of all, ms. */
export function firstDueMs(programs: Iterable<Pick<Program, 'dueMs'>>, nowMs: number): number {
  let first = Number.POSITIVE_INFINITY;
  for (const program of programs) first = Math.min(first, program.dueMs?.(nowMs) ?? first);
  return first;
}

/** When it is due that waits since `sinceMs` for `ms`, if that is after `nowMs`; else Infinity, as where nothing waits. */
export function dueMsOf(sinceMs: number | undefined, ms: number, nowMs: number): number {
  const dueMs = (sinceMs ?? Number.POSITIVE_INFINITY) + ms;
  return dueMs > nowMs ? dueMs : Number.POSITIVE_INFINITY;
}

/**
 * A worker as a `poll()`: one call does one bounded piece of work and never waits. A thread loops it; a test or a
 * simulator calls it by hand, in any order.
 */
export interface Program {
  readonly name: string;
  /**
   * When something is due that waits for time to pass, ms, after `nowMs`; Infinity: nothing is. The thread, if it sleeps, looks again then. What was
   * due before and is still there waits for something else.
   */
  dueMs?(nowMs: number): number;
  /** Returns whether anything was done; if nothing was, the thread may sleep. `nowMs` is monotonic. */
  poll(nowMs: number): boolean;
  /** Gives back what the operating system holds for it. Called once, after the last poll. */
  close(): void;
}
