import type { OrderId } from '../base/ids.js';
import type { Cursor } from '../ring/cursor.js';

/** Messages that may wait for the disk at a time; beyond it the oldest bulk is dropped, as a network may (Raft repeats). */
const WAITING_MAX = 4096;

/**
 * Holds back what depends on a disk write: a message leaves once the order that it names is durable. Nobody else
 * has to remember "persist before you answer".
 */
export class Outbox {
  readonly #durable: Cursor;
  #waiting: { after: OrderId; send: () => void; newestOf: string | undefined }[] = [];
  /** Messages dropped because too many waited. */
  dropped = 0;

  constructor(durable: Cursor) {
    this.#durable = durable;
  }

  /**
   * Sends at once if it may; else keeps `send` until it may. A poll has to follow: the order may become durable just now.
   * `newestOf`: of what it tells how it stands now; where two of the same become due one after the other, the second says it all.
   */
  add(after: OrderId, send: () => void, newestOf?: string): void {
    if (after <= this.#durable.load()) {
      send();
      return;
    }
    if (this.#waiting.length >= WAITING_MAX) {
      this.#waiting.shift();
      this.dropped++;
    }
    this.#waiting.push({ after, send, newestOf });
  }

  poll(): boolean {
    if (this.#waiting.length === 0) return false;
    const durable = this.#durable.load();
    const ready = this.#waiting.filter((message) => message.after <= durable);
    if (ready.length === 0) return false;
    this.#waiting = this.#waiting.filter((message) => message.after > durable);
    for (const [at, { newestOf, send }] of ready.entries()) {
      const isSaid = newestOf !== undefined && ready[at + 1]?.newestOf === newestOf;
      if (!isSaid) send();
    }
    return true;
  }
}
