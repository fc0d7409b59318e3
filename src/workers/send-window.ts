import type { LogIndex } from '../base/ids.js';
import { AutoDepth, Shortest } from './auto-depth.js';
import type { FollowerFlow } from './settings.js';

/** Messages that may wait beyond what the line and the follower's disk hold: the disk takes several with one sync. */
const HEADROOM = 8;

/**
 * What is in flight to one follower in one session: `complete | in flight | unsent`. Messages enter at the tail when
 * they are sent, and leave from the head when the follower has *received* them; where the depth is `'auto'`, when they are *durable*
 * there, so that its disk is a part of the line.
 * Bounded in messages and in bytes. What is sent keeps to the room that there is, but for one batch, which is never cut: so the bytes go at most one
 * batch beyond their bound, and whoever has room at all gets on, however large the next batch is (as etcd's inflights do).
 */
export class SendWindow {
  #flow: FollowerFlow;
  /** Messages in flight, oldest first, ascending in `lastIndex`. */
  #inflight: { lastIndex: LogIndex; bytes: number; sentAtMs: number }[] = [];
  #bytes = 0;
  /** How many of them, from the oldest on, were received. More than none only where the depth is `'auto'`. */
  #received = 0;
  readonly #auto = new AutoDepth(HEADROOM);
  readonly #roundTrip = new Shortest();

  constructor(flow: FollowerFlow) {
    this.#flow = flow;
  }

  /** From now on; what is in flight beyond it stays, and nothing more goes until it is less. */
  setFlow(flow: FollowerFlow): void {
    this.#flow = flow;
    if (flow.depth !== 'auto') this.#leave(this.#received);
  }

  get messages(): number {
    return this.#inflight.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Messages that may be in flight. */
  get depth(): number {
    return this.#flow.depth === 'auto' ? this.#auto.depth : this.#flow.depth;
  }

  /** The shortest of late from sending to `received`, and from sending to `durable`, ms; 0 where not known. */
  get roundTripMs(): number {
    return this.#roundTrip.ms;
  }

  get durableMs(): number {
    return this.#auto.shortestMs;
  }

  /** Bytes that may still be sent, or one batch if that is larger; 0 means full. */
  room(): number {
    const { inflightBytesMax } = this.#flow;
    if (this.#inflight.length === 0) return inflightBytesMax;
    if (this.#inflight.length >= this.depth) return 0;
    return Math.max(0, inflightBytesMax - this.#bytes);
  }

  /** Something is ready to go and there is no room for it. */
  limited(): void {
    this.#auto.limited();
  }

  sent(lastIndex: LogIndex, bytes: number, sentAtMs: number): void {
    this.#inflight.push({ lastIndex, bytes, sentAtMs });
    this.#bytes += bytes;
  }

  /** The follower has received everything up to `index`. Returns when the newest that this is news of was sent (A14); undefined: it is news of none. */
  received(index: LogIndex, nowMs: number): number | undefined {
    let count = this.#received;
    while (count < this.#inflight.length && this.#inflight[count]!.lastIndex <= index) count++;
    if (count === this.#received) return undefined;
    const { sentAtMs } = this.#inflight[count - 1]!;
    this.#roundTrip.note(nowMs - sentAtMs, nowMs);
    this.#received = count;
    if (this.#flow.depth !== 'auto') this.#leave(count);
    return sentAtMs;
  }

  /** It is durable there up to `index`, and therefore received. */
  durable(index: LogIndex, nowMs: number): void {
    this.received(index, nowMs);
    let count = 0;
    for (const { lastIndex, sentAtMs } of this.#inflight) {
      if (lastIndex > index) break;
      this.#auto.done(sentAtMs, nowMs);
      count++;
    }
    this.#leave(count);
  }

  /** When the oldest message that was not received was sent. */
  oldestSentAtMs(): number | undefined {
    return this.#inflight[this.#received]?.sentAtMs;
  }

  /** A new session or stream: nothing sent before counts (H28). */
  reset(): void {
    this.#leave(this.#inflight.length);
  }

  #leave(count: number): void {
    if (count === 0) return;
    for (let at = 0; at < count; at++) this.#bytes -= this.#inflight[at]!.bytes;
    this.#inflight.splice(0, count);
    this.#received = Math.max(0, this.#received - count);
  }
}
