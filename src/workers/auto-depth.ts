const DEPTH_START = 8;
const DEPTH_MAX = 1024;
/** Latencies up to so many times the shortest are the line's own unsteadiness: nobody waits. */
const TOLERANCE = 1.1;
/** How long a minimum holds, ms: what is older may be of another network. */
const SPAN_MS = 2500;

/** The shortest of late, which is: since the span began. Times as for AutoDepth. */
export class Shortest {
  #ms = 0;
  #spanBeganMs = Number.NEGATIVE_INFINITY;

  /** True: a new span begins with it. */
  note(ms: number, nowMs: number): boolean {
    const begins = nowMs - this.#spanBeganMs >= SPAN_MS;
    if (begins) this.#spanBeganMs = nowMs;
    if (begins || ms < this.#ms) this.#ms = ms;
    return begins;
  }

  /** 0: nothing was noted yet. */
  get ms(): number {
    return this.#ms;
  }
}

/**
 * Finds how many units (batches, messages) should be under way at a time, from how long each took: as many as the line and the disk at
 * its end hold by themselves, and a few more. More than that adds no throughput, only waiting.
 *
 * Once a round trip `depth ← ½ depth + ½ (depth × quiet latency ÷ latency + headroom)`, by the shortest latency of the round: a queue
 * that stays shows in all of it, a thread that came late once does not. The part of the depth that does not wait is kept, the part that
 * waits is replaced by the headroom (the window update of FAST TCP, Wei et al. 2006). Quiet is the shortest latency of late and a tenth
 * more, since no line is quite steady. It changes only where somebody had to wait for room.
 *
 * A queue that never empties would pass for the line after a while. So at the begin of each span one round runs at half the depth: that
 * empties the queue of a long line, and bounds the depth on a short one to twice the headroom (as BBR probes, Cardwell et al. 2016).
 *
 * Has no clock: all times are the caller's, ms, of one clock that only grows.
 */
export class AutoDepth {
  readonly #headroom: number;
  #depth = DEPTH_START;
  readonly #shortest = new Shortest();
  /** Since when units have been sent under the depth in force, and the shortest that one which came back since took. */
  #roundBeganMs = Number.NEGATIVE_INFINITY;
  #roundMs = Number.POSITIVE_INFINITY;
  #limited = false;
  /** This round runs at half the depth. */
  #probing = false;

  /** @param headroom units that are to wait, 1 or more */
  constructor(headroom: number) {
    this.#headroom = headroom;
  }

  /** Units that may be under way; 1 … 1024. */
  get depth(): number {
    return Math.max(1, Math.floor(this.#probing ? this.#depth / 2 : this.#depth));
  }

  /** What a unit takes that waits for nobody, ms; 0: not known yet. */
  get shortestMs(): number {
    return this.#shortest.ms;
  }

  /** Something was ready to go and had to wait for room. */
  limited(): void {
    this.#limited = true;
  }

  /** A unit that was sent at `sentMs` is done. */
  done(sentMs: number, nowMs: number): void {
    const latencyMs = nowMs - sentMs;
    if (latencyMs < this.#roundMs) this.#roundMs = latencyMs;
    const spanBegins = this.#shortest.note(latencyMs, nowMs);
    if (spanBegins) this.#probing = true;
    else if (sentMs < this.#roundBeganMs) return;
    else if (this.#probing) this.#probing = false;
    else this.#adjust();
    this.#roundBeganMs = nowMs;
    this.#roundMs = Number.POSITIVE_INFINITY;
    this.#limited = false;
  }

  #adjust(): void {
    if (!this.#limited) return;
    const depth = this.#depth;
    const quietMs = this.#shortest.ms * TOLERANCE;
    const quiet = this.#roundMs > 0 ? depth * (quietMs / this.#roundMs) : depth;
    this.#depth = Math.min((depth + quiet + this.#headroom) / 2, DEPTH_MAX);
  }
}
