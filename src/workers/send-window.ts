import type { LogIndex } from '../base/ids.js';

/**
 * What is in flight to one follower in one session: `complete | in flight | unsent`. Messages enter at the tail when
 * they are sent and leave from the head when the follower has *received* them; durability is another matter.
 * Bounded in messages and in bytes; an empty window always takes one message, however large.
 */
export class SendWindow {
  #depth: number;
  #bytesMax: number;
  /** Messages in flight, oldest first, ascending in `lastIndex`. */
  #inflight: { lastIndex: LogIndex; bytes: number; sentAtMs: number }[] = [];
  #bytes = 0;

  constructor(depth: number, bytesMax: number) {
    this.#depth = depth;
    this.#bytesMax = bytesMax;
  }

  /** From now on; what is in flight beyond it stays, and nothing more goes until it is less. */
  setLimits(depth: number, bytesMax: number): void {
    this.#depth = depth;
    this.#bytesMax = bytesMax;
  }

  get messages(): number {
    return this.#inflight.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that may still be sent; 0 means full. */
  room(): number {
    if (this.#inflight.length >= this.#depth) return 0;
    if (this.#inflight.length === 0) return this.#bytesMax;
    return Math.max(0, this.#bytesMax - this.#bytes);
  }

  sent(lastIndex: LogIndex, bytes: number, sentAtMs: number): void {
    this.#inflight.push({ lastIndex, bytes, sentAtMs });
    this.#bytes += bytes;
  }

  /** Takes out everything up to `index`. Returns the sending time of the last one taken out (A14); an acknowledgement that matches nothing yields none. */
  received(index: LogIndex): number | undefined {
    let sentAtMs: number | undefined;
    let count = 0;
    for (const message of this.#inflight) {
      if (message.lastIndex > index) break;
      count++;
      this.#bytes -= message.bytes;
      sentAtMs = message.sentAtMs;
    }
    if (count > 0) this.#inflight.splice(0, count);
    return sentAtMs;
  }

  /** When the oldest message in flight was sent. */
  oldestSentAtMs(): number | undefined {
    return this.#inflight[0]?.sentAtMs;
  }

  /** A new session or stream: nothing sent before counts (H28). */
  reset(): void {
    this.#inflight = [];
    this.#bytes = 0;
  }
}
