import { rmSync } from 'node:fs';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

const RSS_EVERY_MS = 100;
const LOOP_DELAY_RESOLUTION_MS = 2;

/** What any process knows of itself. */
export interface OwnSample {
  atMs: number;
  cpuMs: number;
  rssBytes: number;
  /** The highest since the process started. */
  rssMax: number;
  heapBytes: number;
  /** 99th percentile of how late the event loop was, since it was last asked for, ms. */
  loopDelayP99Ms: number;
}

export type Handlers = Record<string, (args: never) => unknown>;

interface Question {
  id: number;
  ask: string;
  args?: { directory?: string };
}

/**
 * The child's end of a benchmark's process: answers what the parent asks, one reply for each. Dies with its parent and takes
 * its directory along.
 * @returns takes a sample of this process
 */
export function serveParent(handlers: Handlers): () => OwnSample {
  let directory: string | undefined;
  let halted: number | undefined;
  const all: Handlers = {
    ...handlers,
    guard: ({ pid }: { pid: number }) => {
      halted = pid;
    },
  };
  process.on('message', async ({ id, ask, args }: Question) => {
    if (args?.directory !== undefined) directory = args.directory;
    try {
      process.send?.({ id, reply: await all[ask]!(args as never) });
    } catch (thrown) {
      const { code, stack } = thrown as { code?: string; stack?: string };
      process.send?.({ id, error: stack ?? String(thrown), code });
    }
  });
  // The parent decides what Ctrl-C means, or a signal to all of its group; without a parent there is nobody to clean up.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
  process.on('disconnect', () => {
    if (halted !== undefined) wake(halted);
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    process.exit(0);
  });
  return sampler();
}

/** So that it hears that its parent is gone. */
function wake(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It has ended already.
  }
}

function sampler(): () => OwnSample {
  let rssMax = 0;
  setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss());
  }, RSS_EVERY_MS).unref();
  const delays = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
  delays.enable();
  let sinceMs = performance.now();
  return () => {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const atMs = performance.now();
    const loopDelayP99Ms = loopDelayMs(delays, atMs - sinceMs);
    delays.reset();
    sinceMs = atMs;
    return {
      atMs,
      cpuMs: (user + system) / 1000,
      rssBytes: rss,
      rssMax: Math.max(rssMax, rss),
      heapBytes: heapUsed,
      loopDelayP99Ms,
    };
  };
}

/** 99th percentile. A loop that never came to its timer left no sample: all of the time is its delay. */
export function loopDelayMs(
  delays: Pick<IntervalHistogram, 'count' | 'percentile'>,
  elapsedMs: number,
): number {
  const lateMs = delays.count === 0 ? elapsedMs : delays.percentile(99) / 1e6;
  return Math.max(0, lateMs - LOOP_DELAY_RESOLUTION_MS);
}
