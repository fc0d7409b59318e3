import type { HistogramData } from './histogram.js';
import { Load } from './load.js';

/** What a process's load has come to. */
export interface LoadReport {
  completed: number;
  overloaded: number;
  /** What ended it before its time. */
  failure?: string;
  /** Since they were last asked for. */
  latencies?: HistogramData;
}

export interface LoadSettings {
  concurrency: number;
  rate?: number | undefined;
  entriesMax?: number | undefined;
}

/** What each of some processes keeps outstanding, so that it is `concurrency` together. */
export function sharesOf(concurrency: number, processes: number): number[] {
  const [each, rest] = [Math.floor(concurrency / processes), concurrency % processes];
  return Array.from({ length: processes }, (_, at) => (at < rest ? each + 1 : each));
}

type Propose = (bytes: Buffer) => Promise<unknown>;

/** One after the other, over and over. */
export function inTurn(proposers: readonly Propose[]): Propose {
  const [only] = proposers;
  if (proposers.length === 1) return only!;
  let next = 0;
  return (bytes) => {
    const propose = proposers[next]!;
    next = next + 1 === proposers.length ? 0 : next + 1;
    return propose(bytes);
  };
}

/** The load of one process, as its parent asks for it. */
export class LoadRunner {
  #load: Load | undefined;

  start(propose: Propose, pool: readonly Buffer[], { concurrency, rate, entriesMax }: LoadSettings): void {
    this.#load = new Load({ propose, pool, concurrency, rate, entriesMax });
    this.#load.start();
  }

  /** Latencies start anew with each report. */
  report(withLatencies: boolean): LoadReport {
    const load = this.#load;
    const report: LoadReport = { completed: load?.completed ?? 0, overloaded: load?.overloaded ?? 0 };
    if (load?.failure !== undefined) report.failure = load.failure.stack ?? load.failure.message;
    if (withLatencies && load !== undefined) report.latencies = load.latencies.toJSON();
    load?.latencies.clear();
    return report;
  }

  /** Resolves with how many entries are done once nothing is outstanding. */
  async stop(): Promise<number> {
    this.#load?.stop();
    return this.finish();
  }

  /** As `stop`, but proposes all that it was to propose first. */
  async finish(): Promise<number> {
    const load = this.#load;
    if (load === undefined) return 0;
    await load.ended;
    if (load.failure !== undefined) throw load.failure;
    return load.completed;
  }
}
