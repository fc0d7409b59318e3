/** A hint beyond this says nothing that a caller could use. */
const RETRY_AFTER_MS_MAX = 1000;

/** `details.retryAfterMs` of a refusal, where about `ms` will pass until there is room: a whole number of 1 … 1000. */
export function retryAfterHint(ms: number): number {
  return Math.min(RETRY_AFTER_MS_MAX, Math.max(1, Math.ceil(ms)));
}
