import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writevSync,
} from 'node:fs';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { alignedMemory } from '../base/web-assembly.js';
import { DirectFile, openDirectly } from './direct-file.js';
import {
  BLOCK_BYTES,
  type Disk,
  type DiskOp,
  type FileStat,
  type ReadPattern,
  type WritePattern,
} from './disk.js';

const NO_FOLLOW = constants.O_NOFOLLOW;

/** The disk of the machine. Every operation completes before its call returns. */
export class RealDisk implements Disk {
  /** Open files that are written past the system's cache, by handle. */
  readonly #direct = new Map<number, DirectFile>();
  /** Open files that are read past it. */
  readonly #directlyRead = new Set<number>();
  #block: Buffer | undefined;

  randomNumber(): number {
    const bytes = randomBytes(7);
    const value = (bytes.readUIntLE(0, 6) % 0x200_0000_0000) * 0x1000 + (bytes.readUInt16LE(5) & 0xfff);
    return value === 0 ? 1 : value;
  }

  makeDirectory(path: string): void {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (this.stat(path)?.kind !== 'directory') {
      throw new RaftlineError(
        ErrorCode.DirectoryInvalid,
        `${path}: expected a directory, received something else (symbolic links are not followed)`,
        { path },
      );
    }
  }

  list(directory: string): string[] {
    return readdirSync(directory).sort();
  }

  stat(path: string): FileStat | undefined {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return undefined;
    return { size: found.size, kind: found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other' };
  }

  openForReading(path: string, pattern: ReadPattern = 'anyhow'): number {
    if (pattern === 'once') {
      this.#block ??= Buffer.from(alignedMemory(BLOCK_BYTES));
      const block = this.#block;
      const fd = openDirectly(path, constants.O_RDONLY, (fd) => readSync(fd, block, 0, BLOCK_BYTES, 0));
      if (fd !== undefined) {
        this.#directlyRead.add(fd);
        return fd;
      }
    }
    return openSync(path, constants.O_RDONLY | NO_FOLLOW);
  }

  openForWriting(path: string, pattern: WritePattern = 'anyhow'): number {
    return this.#open(path, constants.O_RDWR, pattern);
  }

  create(path: string, pattern: WritePattern = 'anyhow'): number {
    return this.#open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, pattern);
  }

  size(fd: number): number {
    return fstatSync(fd).size;
  }

  read(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const count = readSync(fd, buffer, offset + done, length - done, position + done);
      done += count;
      // Past the cache no read may begin within a block, says the system (Linux lets it at the end of a file on ext4); only that end does not fill one.
      if (count === 0 || (count % BLOCK_BYTES !== 0 && this.#directlyRead.has(fd))) break;
    }
    return done;
  }

  submitWritev(fd: number, buffers: Buffer[], position: number): DiskOp {
    return attempt(() => this.write(fd, buffers, position));
  }

  submitSync(fd: number): DiskOp {
    return attempt(() => fdatasyncSync(fd));
  }

  write(fd: number, buffers: Buffer[], position: number): void {
    const direct = this.#direct.get(fd);
    if (direct === undefined) writeAll((rest, at) => writevSync(fd, rest, at), buffers, position);
    else direct.write(buffers, position);
  }

  sync(fd: number): void {
    fdatasyncSync(fd);
  }

  truncate(fd: number, length: number): void {
    ftruncateSync(fd, length);
  }

  rename(from: string, to: string): void {
    renameSync(from, to);
  }

  unlink(path: string): void {
    unlinkSync(path);
  }

  syncDirectory(path: string): void {
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  close(fd: number): void {
    this.#direct.delete(fd);
    this.#directlyRead.delete(fd);
    closeSync(fd);
  }

  #open(path: string, flags: number, pattern: WritePattern): number {
    const fd = openSync(path, flags | NO_FOLLOW, 0o600);
    if (pattern === 'anyhow') return fd;
    try {
      const direct = DirectFile.open(path);
      if (direct === undefined) return fd;
      this.#direct.set(direct.fd, direct);
      closeSync(fd);
      return direct.fd;
    } catch (thrown) {
      closeSync(fd);
      throw thrown;
    }
  }
}

function attempt(operation: () => void): DiskOp {
  try {
    operation();
    return { done: true };
  } catch (thrown) {
    return { done: true, error: thrown instanceof Error ? thrown : new Error(String(thrown)) };
  }
}

/**
 * Calls `writev`, which returns how many bytes it took, until everything is written. A full disk shows as a short
 * count without an error; only writing the rest makes the system say why (H81).
 */
export function writeAll(
  writev: (buffers: Buffer[], position: number) => number,
  buffers: Buffer[],
  position: number,
): void {
  let rest = buffers;
  let at = position;
  while (rest.length > 0) {
    const count = writev(rest, at);
    const left = dropBytes(rest, count);
    if (count === 0 && left.length > 0) throw new Error(`write of ${left.length} buffers made no progress`);
    rest = left;
    at += count;
  }
}

/** What is left of `buffers` once their first `count` bytes are written; empty ones vanish. */
function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  let remaining = count;
  for (let i = 0; i < buffers.length; i += 1) {
    const buffer = buffers[i]!;
    if (buffer.length > remaining) return [buffer.subarray(remaining), ...buffers.slice(i + 1)];
    remaining -= buffer.length;
  }
  return [];
}
