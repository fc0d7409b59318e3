import type { RunResult } from './measure.js';
import { sleep, type Workspace } from './processes.js';
import type { Measured } from './results.js';
import { failed, runOnce, unmeasured } from './run.js';
import type { BenchSettings } from './settings.js';

/** What starting, loading and ending a cluster takes besides the time that is measured, until it is known better, s. */
const OVERHEAD_SECONDS = 4;
const SIGNAL_MS = 200;

export interface SweepProgress {
  /** Runs done, this one included, of how many. */
  done: number;
  total: number;
  secondsLeft: number;
  settings: BenchSettings;
  result: RunResult;
}

export interface SweepPlan {
  points: readonly BenchSettings[];
  /** Of each point. All points have had their first run before any has its second: a machine's moods fall on all alike. */
  runs: number;
}

/**
 * Measures a cluster at every point. What has been measured when `interrupted` resolves is the result then, points without
 * a run among it; the cluster of that moment is the workspace's to remove.
 * @param measured where each run is put once it is done: a later one that fails takes none along
 */
export async function sweep(
  { points, runs }: SweepPlan,
  workspace: Workspace,
  interrupted: Promise<void>,
  onRun: (progress: SweepProgress) => void,
  measured: Measured[] = points.map(unmeasured),
): Promise<Measured[]> {
  const startedMs = performance.now();
  const total = points.length * runs;
  const stop = interrupted.then(() => undefined);
  for (let done = 1; done <= total; done++) {
    const point = measured[(done - 1) % points.length]!;
    const run = runOnce('cluster', point, workspace);
    const result = await Promise.race([run, stop]).catch(async (thrown: unknown) => {
      // A signal to the whole group ends a process that is just starting, maybe before this one has heard of it.
      const failure = failed(runText(done, total, point), thrown);
      await Promise.race([stop, sleep(SIGNAL_MS).then(() => Promise.reject(failure))]);
    });
    if (result === undefined) {
      // Its processes are about to be killed, and that is no news.
      run.catch(() => {});
      break;
    }
    point.cluster.push(result);
    const secondsLeft = ((performance.now() - startedMs) / 1000 / done) * (total - done);
    onRun({ done, total, secondsLeft, settings: point.settings, result });
  }
  return measured;
}

function runText(run: number, total: number, { settings }: Measured): string {
  const { payload, depth, batchBytesMax } = settings;
  return `run ${run} of ${total} (${payload} B entries, batch ${batchBytesMax / 1024} KiB, depth ${depth})`;
}

/** About how long a sweep takes, s. */
export function sweepSeconds({ points, runs }: SweepPlan): number {
  return (
    runs *
    points.reduce((sum, { warmupSeconds, seconds }) => sum + warmupSeconds + seconds + OVERHEAD_SECONDS, 0)
  );
}
