/** The only place of raftline, besides the engine's clock, where a thread waits for time or for another thread. */

/** Blocks this thread while the word holds `expected`. False: nobody woke it within `timeoutMs`. */
export function waitBlocking(words: Int32Array, index: number, expected: number, timeoutMs: number): boolean {
  return Atomics.wait(words, index, expected, timeoutMs) !== 'timed-out';
}

/**
 * Waits without blocking while the word holds `expected`; the promise also resolves after `timeoutMs`. Undefined:
 * the word holds something else, or there is no time to wait. Keeps neither process nor worker alive.
 */
export function waitOnLoop(
  words: Int32Array,
  index: number,
  expected: number,
  timeoutMs: number,
): Promise<unknown> | undefined {
  const waiting = Atomics.waitAsync(words, index, expected, timeoutMs);
  return waiting.async ? waiting.value : undefined;
}
