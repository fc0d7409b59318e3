import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';

/** A write or sync that was submitted. The real disk completes it at once, a simulated one at some later poll. */
export interface DiskOp {
  done: boolean;
  /** Set together with `done` when the operation failed or fell short. */
  error?: Error;
}

/** What `Disk.stat` tells about a name; symbolic links are not followed. */
export interface FileStat {
  size: number;
  kind: 'file' | 'directory' | 'other';
}

/**
 * How a file is written that is opened. `once`: from its front to its back, each write right behind the one before, in a file that
 * holds zeros or nothing. A disk may then leave it out of its cache, and a file made so may end in zeros up to a multiple of `BLOCK_BYTES`.
 * `anyhow`: no promise.
 */
export type WritePattern = 'once' | 'anyhow';

/**
 * How a file is read that is opened. `once`: by someone who reads on and does not come back, in whole blocks of `BLOCK_BYTES`, at multiples of
 * it, into memory that begins at such a border (`alignedMemory`). A disk may then leave it out of its cache. `anyhow`: no promise.
 */
export type ReadPattern = 'once' | 'anyhow';

/** What a disk reads and writes at once past its cache, at multiples of it; disks want 512 or this. */
export const BLOCK_BYTES = 4096;

/**
 * The file operations that raftline's log needs, and no more, so that a simulated disk can stand in for the real
 * one. Paths are absolute or relative to the process; handles are numbers. Directories are made with mode 0700,
 * files with 0600, and no symbolic link is followed at the last component of a path (S8). Everything but the two
 * `submit…` calls completes before it returns and throws what the system reported. A write that falls short is an error.
 */
export interface Disk {
  /** A random whole number from 1 to 2^53 − 1: the salt of a new segment. */
  randomNumber(): number;
  /** Makes the directory, and those above it, if it is not there; throws if the name is anything but a directory. */
  makeDirectory(path: string): void;
  /** The names in a directory, sorted. */
  list(directory: string): string[];
  /** undefined: no such name. */
  stat(path: string): FileStat | undefined;
  /** @param pattern default `anyhow` */
  openForReading(path: string, pattern?: ReadPattern): number;
  /** @param pattern default `anyhow` */
  openForWriting(path: string, pattern?: WritePattern): number;
  /** Creates a file that must not exist yet, open for reading and writing. */
  create(path: string, pattern?: WritePattern): number;
  size(fd: number): number;
  /** Reads `length` bytes into `buffer` at `offset`; fewer only where the file ends. Returns how many. */
  read(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
  /** Writes all buffers one after the other from `position` on. The buffers must not change before it is done. */
  submitWritev(fd: number, buffers: Buffer[], position: number): DiskOp;
  /** Makes everything written to the file so far survive a loss of power. */
  submitSync(fd: number): DiskOp;
  /** As `submitWritev`, where the caller waits (start-up, rotation). */
  write(fd: number, buffers: Buffer[], position: number): void;
  /** As `submitSync`, where the caller waits. */
  sync(fd: number): void;
  truncate(fd: number, length: number): void;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  syncDirectory(path: string): void;
  close(fd: number): void;
}

function systemCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** What a failed file operation becomes: DiskFull where space ran out, DiskFailed otherwise; ours pass unchanged. */
export function diskError(thrown: unknown, what: string, file: string): RaftlineError {
  if (thrown instanceof RaftlineError) return thrown;
  const code = systemCode(thrown);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const reason = toRaftlineError(thrown).message;
  return new RaftlineError(
    full ? ErrorCode.DiskFull : ErrorCode.DiskFailed,
    `${what} of ${file} failed: ${reason}`,
    { file, ...(code === undefined ? {} : { systemCode: code }) },
    thrown,
  );
}

/** Bytes that are not what was written: which file, where, and why. The file is left untouched. */
export function logDamaged(file: string, offset: number, why: string): RaftlineError {
  return new RaftlineError(ErrorCode.LogDamaged, `log damaged: ${file} at byte ${offset}: ${why}`, {
    file,
    offset,
  });
}

/**
 * Writes and syncs a whole new file `name` so that a crash at any point leaves either no such name or the complete
 * file: temporary name, sync, rename, sync of the directory (H82). `fill` writes the content through the handle.
 */
export function createDurably(
  disk: Disk,
  directory: string,
  name: string,
  fill: (fd: number) => void,
  pattern: WritePattern = 'anyhow',
): void {
  const temporary = `${directory}/${name}.tmp`;
  if (disk.stat(temporary) !== undefined) disk.unlink(temporary);
  const fd = disk.create(temporary, pattern);
  try {
    fill(fd);
    disk.sync(fd);
  } catch (thrown) {
    disk.close(fd);
    disk.unlink(temporary);
    throw thrown;
  }
  disk.close(fd);
  disk.rename(temporary, `${directory}/${name}`);
  disk.syncDirectory(directory);
}
