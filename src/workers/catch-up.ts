/** What may be saved up while nothing is read, in time at the full rate, ms: a thread that sleeps looks again well within it. */
const BURST_MS = 100;
/** And at the least, bytes: one message. */
const BURST_BYTES_MIN = 256 * 1024;

/**
 * How fast a follower that has fallen behind is sent what only the disk still holds. The rate is what it *gains*: bytes that the leader
 * adds to the log meanwhile come on top, so that any rate ends the lag, after lag ÷ rate. A bucket of tokens without a clock of its own.
 */
export class CatchUp {
  #tokens = BURST_BYTES_MIN;
  #atMs: number | undefined;
  #grown = 0;

  /** Bytes that may be sent now. `grown`: how much the leader has ever added to the log of this group, bytes. */
  allowance(nowMs: number, bytesPerSecond: number, grown: number): number {
    const passedMs = this.#atMs === undefined ? 0 : nowMs - this.#atMs;
    const added = (passedMs * bytesPerSecond) / 1000 + (this.#atMs === undefined ? 0 : grown - this.#grown);
    const most = Math.max(BURST_BYTES_MIN, (bytesPerSecond * BURST_MS) / 1000);
    this.#tokens = Math.min(most, this.#tokens + added);
    this.#atMs = nowMs;
    this.#grown = grown;
    return this.#tokens;
  }

  /** So much was sent; a message may be larger than what was allowed, and is paid back first. */
  spent(bytes: number): void {
    this.#tokens -= bytes;
  }
}
