import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';

const NAME = 'lock';
const FILE_BYTES_MAX = 4096;
const TRIES_MAX = 8;

/** Who holds a lock. A pid alone says little: it is reused, counted anew at every boot and in every container. */
interface Holder {
  bootId: string;
  pidNamespace: string;
  pid: number;
  startTime: string;
}

export interface DirectoryLock {
  release(): Promise<void>;
}

/**
 * Makes this process the only one on `directory`, which is created if it is missing. Two locks in one: an abstract
 * Unix socket named by the directory's device and inode, which the kernel drops with the process, and which also
 * decides between two that come at once; and a file that names its holder, for those in another network namespace.
 * A file left by a dead process, another boot or another container does not block. Throws DirectoryLocked naming the
 * pid (H84).
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = `${directory}/${NAME}`;
  const server = await bindSocket(directory, path);
  const own = JSON.stringify(describe(process.pid));
  try {
    takeFile(directory, path, own);
  } catch (thrown) {
    await closeServer(server);
    throw thrown;
  }
  return {
    async release() {
      if (readFile(path) === own) unlinkSync(path);
      await closeServer(server);
    },
  };
}

/** undefined where the system has no abstract sockets: the file decides alone. */
function bindSocket(directory: string, path: string): Promise<Server | undefined> {
  if (process.platform !== 'linux') return Promise.resolve(undefined);
  const { dev, ino } = statSync(directory, { bigint: true });
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => {
      const inUse = 'code' in error && error.code === 'EADDRINUSE';
      reject(inUse ? locked(directory, readHolder(path)) : toRaftlineError(error, ErrorCode.DirectoryLocked));
    });
    server.listen({ path: `\0raftline-${dev}-${ino}` }, () => resolve(server.unref()));
  });
}

function closeServer(server: Server | undefined): Promise<void> {
  return new Promise((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
}

function takeFile(directory: string, path: string, own: string): void {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    if (createFile(path, own)) return;
    const found = readFile(path);
    const holder = found === undefined ? undefined : parseHolder(found);
    if (holder !== undefined && isAlive(holder)) throw locked(directory, holder);
    if (found !== undefined) removeStale(path, found);
  }
  throw locked(directory, readHolder(path));
}

function createFile(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST') return false;
    throw toRaftlineError(thrown, ErrorCode.DirectoryInvalid);
  }
}

/** Moves the file away before removing it: another process may have put its own in place since it was read. */
function removeStale(path: string, stale: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return;
    throw toRaftlineError(thrown, ErrorCode.DirectoryInvalid);
  }
  const moved = readFile(aside);
  if (moved !== undefined && moved !== stale) createFile(path, moved);
  unlinkSync(aside);
}

function isAlive(holder: Holder): boolean {
  const now = describe(holder.pid);
  if (holder.bootId !== now.bootId || holder.pidNamespace !== now.pidNamespace) return false;
  if (process.platform === 'linux') return now.startTime !== '' && holder.startTime === now.startTime;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** How a process of this machine would describe itself; empty fields where the system does not tell. One that has ended has no start time. */
function describe(pid: number): Holder {
  // The name of the program, in parentheses, may hold blanks and parentheses; what counts stands after it.
  const status = readFile(`/proc/${pid}/stat`) ?? '';
  const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
  const startTime = hasEnded(fields) ? '' : (fields[19] ?? '');
  const bootId = (readFile('/proc/sys/kernel/random/boot_id') ?? '').trim();
  return { bootId, pidNamespace: readLink('/proc/self/ns/pid'), pid, startTime };
}

/**
 * Its parent has not asked for its exit code yet, or never will. While other threads of it are still ending, one of them may be in the middle of
 * a write.
 */
function hasEnded([state = '', ...others]: readonly string[]): boolean {
  const threads = Number(others[16]);
  return (state === 'Z' || state === 'X') && threads <= 1;
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** undefined: not there, or nothing that we wrote. */
function readFile(path: string): string | undefined {
  try {
    if (!lstatSync(path).isFile()) return undefined;
    return readFileSync(path, 'utf8').slice(0, FILE_BYTES_MAX);
  } catch {
    return undefined;
  }
}

function readHolder(path: string): Holder | undefined {
  const content = readFile(path);
  return content === undefined ? undefined : parseHolder(content);
}

function parseHolder(content: string): Holder | undefined {
  try {
    const parsed: unknown = JSON.parse(content);
    if (typeof parsed !== 'object' || parsed === null || !('pid' in parsed)) return undefined;
    const { bootId, pidNamespace, pid, startTime } = parsed as Record<string, unknown>;
    if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 1) return undefined;
    return { bootId: String(bootId), pidNamespace: String(pidNamespace), pid, startTime: String(startTime) };
  } catch {
    return undefined;
  }
}

function locked(directory: string, holder: Holder | undefined): RaftlineError {
  const by = holder === undefined ? 'another process' : `process ${holder.pid}`;
  return new RaftlineError(ErrorCode.DirectoryLocked, `data directory ${directory} is in use by ${by}`, {
    path: directory,
    ...(holder === undefined ? {} : { pid: holder.pid }),
  });
}
