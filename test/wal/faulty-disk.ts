import { type Random, randomInteger, seededRandom } from '../../src/base/prng.js';
import type { Disk, DiskOp, FileStat } from '../../src/wal/disk.js';

/** Thrown by the operation at which the machine loses power; nothing after it happens. */
export class PowerCut extends Error {}

interface NameChange {
  inode: Inode;
  apply: (names: Map<string, Inode>) => void;
}

class Inode {
  /** What reads see. */
  bytes = Buffer.alloc(0);
  /** What a power cut certainly leaves. */
  synced = Buffer.alloc(0);
  /**
   * Pages that a failed sync left behind: the system takes them for clean and shows what was written, but no later sync brings them to the
   * platter unless they are written again (Rebello, ATC '20).
   */
  readonly dropped = new Set<number>();
}

const DROPPED_PAGE = 512;

interface Handle {
  inode: Inode;
  open: boolean;
}

export interface Faults {
  /** The operation at which power is lost: 1 is the first that changes anything. */
  crashAt?: number;
  /** Which sync of a file fails (from 1), with EIO. Later ones succeed, as on a real system (H75). */
  failSyncAt?: number;
  /** Which sync of a directory fails. */
  failDirectorySyncAt?: number;
  /** The n-th submitted write stops half way and says ENOSPC, or, on request, stops half way with EIO. */
  failWriteAt?: number;
  failWriteCode?: string;
  /** Bytes that all files together may take. */
  capacity?: number;
  /** Polls (looks at `done`) that a submitted operation takes; 0 completes at once. */
  delay?: number;
}

/** Makes a page what it was when it was synced last; what the file did not have then reads as zeros. */
function restorePage(bytes: Buffer, synced: Buffer, page: number): void {
  const at = page * DROPPED_PAGE;
  const end = Math.min(at + DROPPED_PAGE, bytes.length);
  if (at >= end) return;
  bytes.fill(0, at, end);
  if (at < synced.length) synced.copy(bytes, at, at, end);
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

/**
 * A disk in memory that keeps apart what was written and what was synced, names included. After `crash` each page of
 * 512 bytes or 4 KiB that was not synced is there or not, by the seed, and so are the changes of names:
 * those of one file up to some point, in any combination with those of other files.
 */
export class FaultyDisk implements Disk {
  operations = 0;
  syncs = 0;
  directorySyncs = 0;
  writes = 0;
  /** Names of operations, for tests about order. */
  readonly journal: string[] = [];
  faults: Faults;
  private readonly random: Random;
  private names = new Map<string, Inode>();
  private syncedNames = new Map<string, Inode>();
  private nameChanges: NameChange[] = [];
  private readonly directories = new Set<string>();
  private handles: Handle[] = [];
  private off = false;

  constructor(seed: number, faults: Faults = {}) {
    this.random = seededRandom(seed);
    this.faults = faults;
  }

  /** Power returns: handles are gone, unsynced pages and names have survived or not. */
  crash(): void {
    const kept = new Map<Inode, number>();
    for (const { inode } of this.nameChanges) {
      if (kept.has(inode)) continue;
      const changes = this.nameChanges.filter((change) => change.inode === inode).length;
      kept.set(inode, randomInteger(this.random, 0, changes));
    }
    this.names = new Map(this.syncedNames);
    for (const { inode, apply } of this.nameChanges) {
      const left = kept.get(inode)!;
      if (left > 0) apply(this.names);
      kept.set(inode, left - 1);
    }
    for (const inode of new Set(this.names.values())) this.tear(inode);
    this.syncedNames = new Map(this.names);
    this.nameChanges = [];
    this.restart();
  }

  /** The process dies and another one begins; the system goes on with all it was given. */
  restart(): void {
    this.handles = [];
    this.off = false;
    this.faults = {};
  }

  /** The bytes of a file, to look at or to damage. */
  file(path: string): Buffer {
    const inode = this.names.get(path);
    if (inode === undefined) throw systemError('ENOENT');
    return inode.bytes;
  }

  /** Flips bits at rest: the change is on the platter. */
  damage(path: string, offset: number, mask = 0x01): void {
    const inode = this.names.get(path)!;
    inode.bytes[offset] = inode.bytes[offset]! ^ mask;
    inode.synced = Buffer.from(inode.bytes);
  }

  snapshot(): Map<string, string> {
    return new Map([...this.names].map(([path, inode]) => [path, inode.bytes.toString('hex')]));
  }

  randomNumber(): number {
    return 1 + Math.floor(this.random() * 2 ** 52);
  }

  makeDirectory(path: string): void {
    this.alive();
    this.directories.add(path);
  }

  list(directory: string): string[] {
    this.alive();
    const prefix = `${directory}/`;
    const inside = [...this.names.keys()].filter((path) => path.startsWith(prefix));
    return inside.map((path) => path.slice(prefix.length)).sort();
  }

  stat(path: string): FileStat | undefined {
    this.alive();
    const inode = this.names.get(path);
    return inode === undefined ? undefined : { size: inode.bytes.length, kind: 'file' };
  }

  openForReading(path: string): number {
    return this.openForWriting(path);
  }

  openForWriting(path: string): number {
    this.alive();
    const inode = this.names.get(path);
    if (inode === undefined) throw systemError('ENOENT');
    return this.handles.push({ inode, open: true }) - 1;
  }

  create(path: string): number {
    this.step(`create ${path}`);
    if (this.names.has(path)) throw systemError('EEXIST');
    const inode = new Inode();
    this.change(inode, (names) => names.set(path, inode));
    return this.openForWriting(path);
  }

  size(fd: number): number {
    return this.inode(fd).bytes.length;
  }

  read(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
    const { bytes } = this.inode(fd);
    return position < bytes.length ? bytes.copy(buffer, offset, position, position + length) : 0;
  }

  submitWritev(fd: number, buffers: Buffer[], position: number): DiskOp {
    return this.submit(() => this.write(fd, buffers, position));
  }

  submitSync(fd: number): DiskOp {
    return this.submit(() => this.sync(fd));
  }

  write(fd: number, buffers: Buffer[], position: number): void {
    const inode = this.inode(fd);
    const data = Buffer.concat(buffers);
    this.writes += 1;
    if (this.cutsPower('write')) {
      // Power goes in the middle: some of the bytes had reached the system.
      this.put(inode, data.subarray(0, randomInteger(this.random, 0, data.length)), position);
      throw new PowerCut();
    }
    if (this.writes === this.faults.failWriteAt) {
      this.put(inode, data.subarray(0, data.length >> 1), position);
      throw systemError(this.faults.failWriteCode ?? 'ENOSPC');
    }
    const { capacity } = this.faults;
    const room = capacity === undefined ? Number.POSITIVE_INFINITY : Math.max(0, capacity - this.used());
    const growth = position + data.length - inode.bytes.length;
    if (growth > room) {
      this.put(inode, data.subarray(0, Math.max(0, data.length - growth + room)), position);
      throw systemError('ENOSPC');
    }
    this.put(inode, data, position);
  }

  sync(fd: number): void {
    const inode = this.inode(fd);
    this.step('sync');
    this.syncs += 1;
    if (this.syncs === this.faults.failSyncAt) {
      this.drop(inode);
      throw systemError('EIO');
    }
    const { bytes, synced } = inode;
    inode.synced = Buffer.from(bytes);
    for (const page of inode.dropped) restorePage(inode.synced, synced, page);
  }

  /** H75: a sync of the file failed, and what it was about to write counts as clean from now on. */
  protected dropUnsynced(fd: number): void {
    this.drop(this.inode(fd));
  }

  private drop({ bytes, synced, dropped }: Inode): void {
    for (let at = 0; at < bytes.length; at += DROPPED_PAGE) {
      if (!bytes.subarray(at, at + DROPPED_PAGE).equals(synced.subarray(at, at + DROPPED_PAGE)))
        dropped.add(at / DROPPED_PAGE);
    }
  }

  truncate(fd: number, length: number): void {
    this.step('truncate');
    const inode = this.inode(fd);
    inode.bytes = Buffer.concat([
      inode.bytes,
      Buffer.alloc(Math.max(0, length - inode.bytes.length)),
    ]).subarray(0, length);
  }

  rename(from: string, to: string): void {
    this.step(`rename ${to}`);
    const inode = this.names.get(from);
    if (inode === undefined) throw systemError('ENOENT');
    this.change(inode, (names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  unlink(path: string): void {
    this.step(`unlink ${path}`);
    const inode = this.names.get(path);
    if (inode === undefined) throw systemError('ENOENT');
    this.change(inode, (names) => names.delete(path));
  }

  syncDirectory(path: string): void {
    this.step(`sync directory ${path}`);
    this.directorySyncs += 1;
    if (this.directorySyncs === this.faults.failDirectorySyncAt) throw systemError('EIO');
    this.syncedNames = new Map(this.names);
    this.nameChanges = [];
  }

  close(fd: number): void {
    this.inode(fd);
    this.handles[fd]!.open = false;
  }

  /** Files that are still open. */
  get openHandles(): number {
    return this.handles.filter((handle) => handle.open).length;
  }

  private change(inode: Inode, apply: (names: Map<string, Inode>) => void): void {
    this.nameChanges.push({ inode, apply });
    apply(this.names);
  }

  private inode(fd: number): Inode {
    this.alive();
    const handle = this.handles[fd];
    if (handle === undefined || !handle.open) throw systemError('EBADF');
    return handle.inode;
  }

  /** Bytes that all files take together. */
  used(): number {
    let bytes = 0;
    for (const inode of new Set(this.names.values())) bytes += inode.bytes.length;
    return bytes;
  }

  private put(inode: Inode, data: Buffer, position: number): void {
    const end = position + data.length;
    if (end > inode.bytes.length) {
      inode.bytes = Buffer.concat([inode.bytes, Buffer.alloc(end - inode.bytes.length)]);
    }
    data.copy(inode.bytes, position);
    for (let page = Math.floor(position / DROPPED_PAGE); page * DROPPED_PAGE < end; page++) {
      inode.dropped.delete(page);
    }
  }

  private tear(inode: Inode): void {
    const page = this.random() < 0.5 ? 512 : 4096;
    const { bytes, synced } = inode;
    const length =
      this.random() < 0.5
        ? bytes.length
        : Math.max(synced.length, randomInteger(this.random, 0, bytes.length));
    const result = Buffer.alloc(length);
    synced.copy(result);
    for (let at = 0; at < length; at += page) {
      // A file that was made shorter has nothing to copy there.
      if (this.random() < 0.5 && at < bytes.length) bytes.copy(result, at, at, Math.min(at + page, length));
    }
    for (const dropped of inode.dropped) restorePage(result, synced, dropped);
    inode.dropped.clear();
    inode.bytes = result;
    inode.synced = Buffer.from(result);
  }

  private submit(action: () => void): DiskOp {
    const run = (op: DiskOp): void => {
      op.done = true;
      try {
        action();
      } catch (thrown) {
        if (thrown instanceof PowerCut) throw thrown;
        op.error = thrown as Error;
      }
    };
    let left = this.faults.delay ?? 0;
    if (left === 0) {
      const op: DiskOp = { done: false };
      run(op);
      return op;
    }
    const result: DiskOp = { done: false };
    const state = { done: false };
    Object.defineProperty(result, 'done', {
      get: () => {
        if (!state.done) {
          left -= 1;
          if (left <= 0) {
            const op: DiskOp = { done: false };
            run(op);
            state.done = true;
            if (op.error !== undefined) result.error = op.error;
          }
        }
        return state.done;
      },
    });
    return result;
  }

  private cutsPower(what: string): boolean {
    this.alive();
    this.operations += 1;
    this.journal.push(what);
    if (this.operations !== this.faults.crashAt) return false;
    this.off = true;
    return true;
  }

  private step(what: string): void {
    if (this.cutsPower(what)) throw new PowerCut();
  }

  private alive(): void {
    if (this.off) throw new PowerCut();
  }
}
