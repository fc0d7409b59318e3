/** The only place of raftline, besides the engine's clock, where a thread waits for time or for another thread. */

/** Blocks this thread while the word holds `expected`. False: nobody woke it within `timeoutMs`. */
export function waitBlocking(words: Int32Array, index: number, expected: number, timeoutMs: number): boolean {
  return Atomics.wait(words, index, expected, timeoutMs) !== 'timed-out';
}

/**
 * Waits without blocking until the word is notified, for ever if need be: V8 leaves the timer of a wait that has a time limit behind
 * when the wait is notified, and such timers cost more than the wake-ups. Undefined: the word does not hold `expected`. Keeps
 * neither process nor worker alive.
 */
export function waitOnLoop(words: Int32Array, index: number, expected: number): Promise<unknown> | undefined {
  const waiting = Atomics.waitAsync(words, index, expected);
  return waiting.async ? waiting.value : undefined;
}
