import { alignedMemory } from '../base/web-assembly.js';
import { BLOCK_BYTES, type Disk } from './disk.js';

/**
 * A piece of one file at a time, read in whole blocks into memory that begins at a page's border. Views are valid until the next call.
 * Takes its memory when it is first looked through.
 */
export class ReadWindow {
  #bytes: Buffer | undefined;
  /** Whose bytes these are; no file has a negative one. */
  #fd = -1;
  #start = 0;
  #end = 0;

  /** @param byteLength a multiple of BLOCK_BYTES, two blocks or more */
  constructor(
    private readonly disk: Disk,
    private readonly byteLength: number,
  ) {}

  /** What is longer is no view of the window, but has memory of its own. */
  get viewBytesMax(): number {
    return this.byteLength - BLOCK_BYTES;
  }

  /** Whether these bytes can be had without reading. */
  holds(fd: number, position: number, length: number): boolean {
    return fd === this.#fd && position >= this.#start && position + length <= this.#end;
  }

  /** `length` bytes at `position`; fewer where the file ends. */
  view(fd: number, position: number, length: number): Buffer {
    if (length > this.viewBytesMax) return this.#large(fd, position, length);
    if (!this.holds(fd, position, length)) this.#fill(fd, position);
    const from = Math.min(position, this.#end) - this.#start;
    return this.#bytes!.subarray(from, Math.min(from + length, this.#end - this.#start));
  }

  /** What was read may have been written since. */
  forget(): void {
    this.#fd = -1;
  }

  /** From the block of `position` on; of what stands in the window already, whole blocks are kept. */
  #fill(fd: number, position: number): void {
    this.#bytes ??= Buffer.from(alignedMemory(this.byteLength), 0, this.byteLength);
    const start = position - (position % BLOCK_BYTES);
    const known = fd === this.#fd && start >= this.#start ? Math.max(0, this.#end - start) : 0;
    const kept = known - (known % BLOCK_BYTES);
    this.#bytes.copyWithin(0, start - this.#start, start - this.#start + kept);
    this.#fd = -1;
    const count = this.disk.read(fd, this.#bytes, kept, this.byteLength - kept, start + kept);
    this.#fd = fd;
    this.#start = start;
    this.#end = start + kept + count;
  }

  /** Piece by piece through the window. */
  #large(fd: number, position: number, length: number): Buffer {
    const whole = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const piece = this.view(fd, position + done, Math.min(this.viewBytesMax, length - done));
      if (piece.length === 0) break;
      done += piece.copy(whole, done);
    }
    return whole.subarray(0, done);
  }
}
