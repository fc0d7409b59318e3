import { ErrorCode, RaftlineError } from '../base/errors.js';
import { LINE_BYTES } from './layout.js';

/** Deals out one piece of shared memory, front to back, each part on lines of its own. Nothing is given back. */
export class SharedAllocator {
  private readonly memory: SharedArrayBuffer;
  private next = 0;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
  }

  /** Bytes dealt out so far, rounding included. */
  get used(): number {
    return this.next;
  }

  /** The offset, a multiple of 64, of `bytes` that nobody else has. Throws Internal when memory was made too small. */
  take(bytes: number): number {
    const size = lineBytes(bytes);
    const left = this.memory.byteLength - this.next;
    if (!(size >= 0 && size <= left)) {
      throw new RaftlineError(
        ErrorCode.Internal,
        `shared memory: expected at most ${left} bytes (all that is left of ${this.memory.byteLength}), received ${bytes}`,
        { expected: left, received: bytes },
      );
    }
    const offset = this.next;
    this.next += size;
    return offset;
  }
}

/** What `bytes` cost from an allocator: whole lines. For summing up a plan before its memory is made. */
export function lineBytes(bytes: number): number {
  return Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
}
