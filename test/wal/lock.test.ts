import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../src/wal/lock.js';
import { temporaryDirectory } from './log-tools.js';

let path = '';
let remove = (): void => {};
let child: ChildProcess | undefined;
beforeEach(() => {
  ({ path, remove } = temporaryDirectory());
});
afterEach(() => {
  child?.kill('SIGKILL');
  child = undefined;
  remove();
});

interface LockFile {
  bootId: string;
  pidNamespace: string;
  pid: number;
  startTime: string;
}

/** What our own lock file says, changed, left behind as if by another process. */
async function leaveBehind(change: Partial<LockFile>): Promise<void> {
  const lock = await lockDirectory(path);
  const own = JSON.parse(readFileSync(`${path}/lock`, 'utf8')) as LockFile;
  await lock.release();
  writeFileSync(`${path}/lock`, JSON.stringify({ ...own, ...change }));
}

function startTimeOf(pid: number): string {
  const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return status.slice(status.lastIndexOf(')') + 2).split(' ')[19]!;
}

function startChild(): Promise<number> {
  const started = spawn('sleep', ['60']);
  child = started;
  return new Promise((resolve, reject) => {
    started.once('spawn', () => resolve(started.pid!));
    started.once('error', reject);
  });
}

/** A process that has ended, and whose parent never asks how. */
async function startZombie(): Promise<number> {
  const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60']);
  child = parent;
  const [line] = await once(parent.stdout, 'data');
  const pid = Number(String(line));
  while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) await sleep(5);
  return pid;
}

describe('the lock of a data directory', () => {
  it('H84 S9 one at a time; the second is told the pid; released, it is free', async () => {
    const first = await lockDirectory(path);
    await expect(lockDirectory(path)).rejects.toMatchObject({
      code: 'RAFTLINE_DIRECTORY_LOCKED',
      details: { pid: process.pid },
      message: expect.stringContaining(`process ${process.pid}`),
    });
    await first.release();
    expect(existsSync(`${path}/lock`)).toBe(false);
    await (await lockDirectory(path)).release();
  });

  it('of two that come at the same time over a stale file, one gets it', async () => {
    await leaveBehind({ pid: 2 ** 22 + 1 });
    const results = await Promise.allSettled([lockDirectory(path), lockDirectory(path), lockDirectory(path)]);
    const got = results.filter((result) => result.status === 'fulfilled');
    expect(got).toHaveLength(1);
    await got[0]!.value.release();
  });

  // The files alone, without the socket: as if the other process lived in another network namespace.
  it('H84 S9 a live process of this machine blocks by its file alone', async () => {
    const pid = await startChild();
    await leaveBehind({ pid, startTime: startTimeOf(pid) });
    await expect(lockDirectory(path)).rejects.toMatchObject({ details: { pid } });
  });

  it('H84 a file of a dead process, of a reused pid, of another boot or container does not block, nor does rubbish', async () => {
    const pid = await startChild();
    const startTime = startTimeOf(pid);
    for (const stale of [
      { pid: 2 ** 22 + 1 },
      { pid, startTime: '1' },
      { pid, startTime, bootId: 'another' },
      { pid, startTime, pidNamespace: 'pid:[1]' },
      { pid: -1 },
    ]) {
      await leaveBehind(stale);
      await (await lockDirectory(path)).release();
    }
    for (const rubbish of ['', '{', 'null', '[]', '{"pid":"x"}', 'x'.repeat(100_000)]) {
      writeFileSync(`${path}/lock`, rubbish);
      await (await lockDirectory(path)).release();
    }
  });

  it('H84 nor does a process that was killed and that nobody has waited for yet', async () => {
    const pid = await startZombie();
    await leaveBehind({ pid, startTime: startTimeOf(pid) });
    await (await lockDirectory(path)).release();
  });

  it('does not take away a lock that is not its own any more', async () => {
    const lock = await lockDirectory(path);
    writeFileSync(`${path}/lock`, 'of somebody else');
    await lock.release();
    expect(readFileSync(`${path}/lock`, 'utf8')).toBe('of somebody else');
  });
});
