import { startCluster } from './cluster.js';
import { measureJoined, type Servers } from './joined.js';
import { measure, type RunResult } from './measure.js';
import { startPipe } from './pipe/pipe.js';
import type { Workspace } from './processes.js';
import type { Measured } from './results.js';
import type { BenchSettings } from './settings.js';

/** What is to be measured how often. */
export interface Plan {
  settings: BenchSettings;
  sides: readonly ('pipe' | 'cluster')[];
  runs: number;
  /** A cluster that runs already; undefined: one is started for each run. */
  servers?: Servers | undefined;
}

/** Runs of the sides interleaved, so that both see the same moods of the machine. */
export async function runPlan(
  { settings, sides, runs, servers }: Plan,
  workspace: Workspace,
  onRun: (run: number, result: RunResult) => void,
): Promise<Measured> {
  const measured: Measured = { settings, threads: {}, cluster: [], pipe: [] };
  for (let run = 1; run <= runs; run++) {
    for (const name of sides) {
      const result =
        servers === undefined || name === 'pipe'
          ? await runOnce(name, measured, workspace)
          : await measureJoined(settings, servers, workspace);
      measured[name].push(result);
      onRun(run, result);
    }
  }
  return measured;
}

/** Starts one side, measures it, ends it. */
export async function runOnce(
  name: 'pipe' | 'cluster',
  { settings, threads }: Pick<Measured, 'settings' | 'threads'>,
  workspace: Workspace,
): Promise<RunResult> {
  const side = await (name === 'pipe' ? startPipe : startCluster)(settings, workspace);
  threads[name] = side.threads;
  try {
    return await measure(side, settings);
  } finally {
    await side.close();
  }
}
