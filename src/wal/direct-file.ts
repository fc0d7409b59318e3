import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { assert } from '../base/assert.js';
import { copyBytes } from '../base/copy.js';
import { alignedMemory, isAligned } from '../base/web-assembly.js';
import { BLOCK_BYTES } from './disk.js';

/** Bytes that one write takes at most. */
const STAGING_BYTES = 1024 * 1024;
/** Not there on every system. */
const { O_DIRECT } = constants as { O_DIRECT?: number };

/**
 * Opens a file past the system's cache, or undefined where the system or the disk has no such way.
 * @param use a first use of it, by whole blocks: some say no only then
 */
export function openDirectly(path: string, flags: number, use: (fd: number) => void): number | undefined {
  if (O_DIRECT === undefined) return undefined;
  let fd: number | undefined;
  try {
    fd = openSync(path, flags | constants.O_NOFOLLOW | O_DIRECT);
    use(fd);
    return fd;
  } catch (thrown) {
    if (fd !== undefined) closeSync(fd);
    if ((thrown as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw thrown;
  }
}

/**
 * A file of zeros that is written once, from its front to its back, past the system's cache: straight to the disk. Nobody reads soon what
 * a log writes, and a page of cache for each four KiB is what writing it costs most (docs/decisions/0014). A write ends in the middle of
 * a block as a rule; the block is written again, with the same beginning, by the next.
 */
export class DirectFile {
  /** Opens a file that is there, or undefined where the system or the disk has no such way. What it holds must be zeros, or nothing. */
  static open(path: string): DirectFile | undefined {
    let file: DirectFile | undefined;
    openDirectly(path, constants.O_RDWR, (fd) => {
      file = new DirectFile(fd);
      // Zeros over zeros.
      file.#writeBlocks(file.#staging, BLOCK_BYTES);
    });
    return file;
  }

  /** Where the next write goes: right behind the one before. */
  #position = 0;
  /** Whole blocks that need not be written again, bytes. What is behind them, up to `#position`, stands at the front of the staging memory. */
  #blocksWritten = 0;
  /** Begins at a page's border, as the disk wants it. */
  readonly #staging = Buffer.from(alignedMemory(STAGING_BYTES));

  private constructor(readonly fd: number) {}

  /** Writes all buffers, one after the other. @throws what the system reports, also when only a part was taken */
  write(buffers: readonly Buffer[], position: number): void {
    assert(position === this.#position, 'a file past the cache is written from its front to its back');
    for (const buffer of buffers) {
      if (this.#isReady(buffer)) this.#pass(buffer);
      else this.#stage(buffer);
    }
    this.#flush();
  }

  /** Bytes at the front of the staging memory that are not written, or may be written again. */
  get #staged(): number {
    return this.#position - this.#blocksWritten;
  }

  /** Whether it can be written from where it stands. */
  #isReady(buffer: Buffer): boolean {
    return this.#staged === 0 && buffer.length % BLOCK_BYTES === 0 && isAligned(buffer, BLOCK_BYTES);
  }

  #pass(blocks: Buffer): void {
    this.#writeBlocks(blocks, blocks.length);
    this.#blocksWritten += blocks.length;
    this.#position += blocks.length;
  }

  #stage(buffer: Buffer): void {
    for (let from = 0; from < buffer.length; ) {
      const at = this.#staged;
      const taken = Math.min(buffer.length - from, STAGING_BYTES - at);
      copyBytes(buffer.subarray(from, from + taken), this.#staging, at);
      from += taken;
      this.#position += taken;
      if (at + taken === STAGING_BYTES) this.#flush();
    }
  }

  /** Writes what is staged, filled up with zeros to whole blocks, and keeps the last block if it is not full. */
  #flush(): void {
    const staged = this.#staged;
    const whole = staged - (staged % BLOCK_BYTES);
    const end = whole === staged ? whole : whole + BLOCK_BYTES;
    if (end === 0) return;
    this.#staging.fill(0, staged, end);
    this.#writeBlocks(this.#staging, end);
    this.#blocksWritten += whole;
    this.#staging.copyWithin(0, whole, staged);
  }

  /** A full disk shows as a short count; only writing the rest makes the system say why (H81). */
  #writeBlocks(bytes: Buffer, length: number): void {
    for (let done = 0; done < length; ) {
      const count = writeSync(this.fd, bytes, done, length - done, this.#blocksWritten + done);
      if (count < BLOCK_BYTES) throw new Error(`write of ${length - done} bytes made no progress`);
      done += count - (count % BLOCK_BYTES);
    }
  }
}
