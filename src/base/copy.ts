/** Copies shorter than this take less time in the engine of the language than a call out of it does, bytes. */
const CALL_BYTES_MIN = 1024;

/**
 * Puts `source` into `target` from `at` on; throws a RangeError where it does not fit. The two must not overlap. `TypedArray.prototype.set` copies
 * word by word as soon as one of them is shared memory (V8's `relaxed_memmove`); `fill` with just as many bytes is a `memcpy` (docs/decisions/0017).
 * What is copied is made visible to other threads by an atomic store that follows, or found out to have been overwritten: it needs no atomics of its own.
 */
export function copyBytes(source: Uint8Array, target: Uint8Array, at: number): void {
  if (source.length < CALL_BYTES_MIN) target.set(source, at);
  else Buffer.prototype.fill.call(target, source, at, at + source.length);
}
