import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loopDelayMs } from '../../src/bench/child.js';
import { childrenOf } from './children.js';

describe('the delay of an event loop', () => {
  it('that was blocked all the time is all of the time', () => {
    const delays = monitorEventLoopDelay({ resolution: 2 });
    delays.enable();
    const startMs = performance.now();
    while (performance.now() < startMs + 200);
    expect(loopDelayMs(delays, 200)).toBe(198);
    delays.disable();
  });
});

const PROCESSES = new URL('../../dist/bench/processes.js', import.meta.url).href;
const PATIENCE_MS = 30_000;
/** A benchmark with two processes, one of which it lets stand still. */
const BENCHMARK = `
  const { Workspace } = await import('${PROCESSES}');
  const workspace = new Workspace(process.argv[1]);
  const [guard, halted] = ['a', 'b'].map((name) => workspace.fork(name, './remote.js'));
  await halted.halt(guard);
  console.log('halted');
`;

/** Whether it runs, or stands still. */
function isThere(pid: number): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'stat=', '-p', String(pid)], (_, stdout) => resolve(/^[^Z\s]/.test(stdout)));
  });
}

describe('processes of a benchmark that is killed', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'raftline-killed-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('end with it, one that stands still too', async () => {
    const benchmark = spawn(process.execPath, ['--input-type=module', '-e', BENCHMARK, directory], {
      // In a session of its own, so that no system wakes who was stopped in it.
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(benchmark.stdout, 'data');
    const pids = childrenOf(benchmark.pid!).map(({ pid }) => pid);
    expect(pids).toHaveLength(2);
    expect(await Promise.all(pids.map(isThere))).toEqual([true, true]);
    benchmark.kill('SIGKILL');
    const untilMs = performance.now() + PATIENCE_MS;
    const left = async () => (await Promise.all(pids.map(isThere))).filter(Boolean).length;
    while ((await left()) > 0 && performance.now() < untilMs) await sleep(20);
    const found = await left();
    for (const pid of pids) if (await isThere(pid)) process.kill(pid, 'SIGKILL');
    expect(found).toBe(0);
  });
});
