/** Time as the worker floor uses it: everything of a clock or a timer that threads need stands here. */

/** Monotonic, ms. */
export function nowMs(): number {
  return performance.now();
}

/** Lets the events that are due on this thread happen. */
export function afterEvents(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Keeps a thread alive that only waits on shared memory, until the returned function is called. */
export function keepAlive(): () => void {
  const timer = setInterval(() => {}, 60_000);
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
