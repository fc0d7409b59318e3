import { Worker } from 'node:worker_threads';
import type { RunReport } from './report.js';
import type { ScenarioOptions } from './scenario.js';
import { runSeed } from './simulation.js';

export interface CampaignOptions {
  /** The first seed, and how many from there on. */
  first: number;
  count: number;
  /** How many seeds run side by side, each in a thread of its own; 1: in this one. */
  jobs: number;
  run: Omit<ScenarioOptions, 'seed'>;
}

type RunOne = (options: ScenarioOptions) => Promise<RunReport>;

/**
 * Runs one seed after the other, several at a time, until one fails or somebody says stop. Seeds are handed out in their order and what has
 * begun is brought to its end, so the failure it returns is that of the lowest failing seed, however many run side by side.
 */
export class Campaign {
  readonly #options: CampaignOptions;
  readonly #onReport: (report: RunReport) => void;
  #next: number;
  #failed: RunReport | undefined;
  #stopped = false;

  constructor(options: CampaignOptions, onReport: (report: RunReport) => void) {
    this.#options = options;
    this.#onReport = onReport;
    this.#next = options.first;
  }

  /** The failing run, if there is one. */
  async run(): Promise<RunReport | undefined> {
    const jobs = Math.min(this.#options.jobs, this.#options.count);
    if (jobs === 1) await this.#drain(runSeed);
    else await Promise.all(Array.from({ length: jobs }, () => this.#drainInThread()));
    return this.#failed;
  }

  /** Begins no further seed. */
  stop(): void {
    this.#stopped = true;
  }

  async #drainInThread(): Promise<void> {
    const worker = new Worker(new URL('./seed-worker.js', import.meta.url));
    await this.#drain(
      (options) =>
        new Promise((resolve, reject) => {
          worker.removeAllListeners();
          worker.once('message', resolve);
          worker.once('error', reject);
          worker.postMessage(options);
        }),
    );
    await worker.terminate();
  }

  async #drain(runOne: RunOne): Promise<void> {
    const { first, count, run } = this.#options;
    while (!this.#stopped && this.#failed === undefined && this.#next < first + count) {
      const report = await runOne({ seed: this.#next++, ...run });
      this.#onReport(report);
      if (report.failure !== undefined) this.#fail(report);
      // What is left of the real world (freed memory, an interrupt) has its turn between two runs.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #fail(report: RunReport): void {
    if (this.#failed === undefined || report.seed < this.#failed.seed) this.#failed = report;
  }
}
