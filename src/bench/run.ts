import { RaftlineError, toRaftlineError } from '../base/errors.js';
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

/** Settings that nothing was measured with yet. */
export function unmeasured(settings: BenchSettings): Measured {
  return { settings, threads: {}, cluster: [], pipe: [] };
}

/** @returns what was thrown, with the name of what was under way before its message */
export function failed(what: string, thrown: unknown): RaftlineError {
  const { code, message, details } = toRaftlineError(thrown);
  return new RaftlineError(code, `${what}: ${message}`, details, thrown);
}

/**
 * Runs of the sides interleaved, so that both see the same moods of the machine.
 * @param measured where each run is put once it is done: a later one that fails takes none along
 */
export async function runPlan(
  { settings, sides, runs, servers }: Plan,
  workspace: Workspace,
  onRun: (run: number, result: RunResult) => void,
  measured: Measured = unmeasured(settings),
): Promise<Measured> {
  for (let run = 1; run <= runs; run++) {
    for (const name of sides) {
      const running =
        servers === undefined || name === 'pipe'
          ? runOnce(name, measured, workspace)
          : measureJoined(settings, servers, workspace);
      const result = await running.catch((thrown: unknown) => {
        throw failed(`run ${run} of ${runs}, ${name}`, thrown);
      });
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
