/** Time as the worker floor uses it: everything of a clock or a timer that threads need stands here. */

/** Monotonic, ms. */
export function nowMs(): number {
  return performance.now();
}

/** Lets the events that are due on this thread happen. */
export function afterEvents(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Calls `run` every `ms`, and keeps the thread alive that else only waits on shared memory, until the returned function is called. */
export function every(ms: number, run: () => void): () => void {
  const timer = setInterval(run, ms);
  return () => clearInterval(timer);
}

/** Calls `late` after `ms`, unless the returned function was called before. */
export function deadline(ms: number, late: () => void): () => void {
  const timer = setTimeout(late, ms);
  return () => clearTimeout(timer);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Calls `run` once, after `ms`. */
export function after(ms: number, run: () => void): void {
  setTimeout(run, ms);
}
