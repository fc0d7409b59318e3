import { Litter } from './litter.js';

/** Sizes are rounded up to this, so that messages of about the same size share memory. */
const GRAIN_BYTES = 16 * 1024;

/**
 * Memory of messages that carry batches, used again once a message has left. Fresh memory for each would lie outside the
 * heap until a collection gives it back, and V8 marks the whole heap when much of it has come together (docs/decisions/0011).
 * What a message that never leaves has taken (a stuck peer, a broken stream) is simply not given back.
 */
export class MessageBuffers {
  readonly #restBytesMax: number;
  readonly #resting: ArrayBufferLike[] = [];
  readonly #litter = new Litter();
  /** Of what rests; at most `restBytesMax`. */
  #restBytes = 0;

  constructor(restBytesMax: number) {
    this.#restBytesMax = restBytesMax;
  }

  /** Exactly `byteLength` bytes, whatever they are. */
  take(byteLength: number): Buffer {
    // gRPC will frame it.
    this.#litter.drop(byteLength);
    const resting = this.#resting;
    const found = resting.findLastIndex((memory) => memory.byteLength >= byteLength);
    if (found < 0)
      return Buffer.allocUnsafeSlow(Math.ceil(byteLength / GRAIN_BYTES) * GRAIN_BYTES).subarray(
        0,
        byteLength,
      );
    const memory = resting[found]!;
    resting[found] = resting[resting.length - 1]!;
    resting.pop();
    this.#restBytes -= memory.byteLength;
    return Buffer.from(memory, 0, byteLength);
  }

  /** Nobody reads what was taken any more. Where too much rests already, all of it is let go: sizes have changed. */
  give({ buffer: memory }: Buffer): void {
    if (this.#restBytes + memory.byteLength > this.#restBytesMax) {
      this.#resting.length = 0;
      this.#restBytes = 0;
    }
    if (memory.byteLength > this.#restBytesMax) return;
    this.#resting.push(memory);
    this.#restBytes += memory.byteLength;
  }
}
