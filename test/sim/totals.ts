import { FAULTS } from './profiles.js';
import type { RunReport } from './report.js';

/** What many runs add up to. */
export class Totals {
  seeds = 0;
  readonly #faults = new Map<string, number>();
  readonly #least = { acknowledged: Infinity, leaderChanges: Infinity, restarts: Infinity };
  readonly #sums = {
    reads: 0,
    readsRefused: 0,
    undecided: 0,
    changes: 0,
    changesRefused: 0,
    simulatedMs: 0,
    acknowledged: 0,
    unknown: 0,
    leaderChanges: 0,
    restarts: 0,
    steps: 0,
  };

  add(report: RunReport): void {
    this.seeds++;
    const sums = this.#sums;
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += report[name];
    const least = this.#least;
    for (const name of Object.keys(least) as (keyof typeof least)[])
      least[name] = Math.min(least[name], report[name]);
    for (const [kind, times] of report.faults) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + times);
  }

  /** How fast it goes; `count`: of how many seeds. */
  progress(realMs: number, count: number): string {
    const { simulatedMs, acknowledged } = this.#sums;
    const perSecond = (1000 * this.seeds) / realMs;
    const leftS = this.seeds === 0 ? 0 : (count - this.seeds) / perSecond;
    return [
      `${this.seeds} of ${count} seeds`,
      `${perSecond.toFixed(2)}/s`,
      `${(simulatedMs / realMs).toFixed(0)} simulated s per s`,
      `${((1000 * acknowledged) / Math.max(1, simulatedMs)).toFixed(0)} operations per simulated s`,
      ...(leftS > 0 ? [`${duration(leftS)} left`] : [duration(realMs / 1000)]),
    ].join(' · ');
  }

  /** How fast it would go if nobody else used the machine: `cpuMs` is the time that all cores spent on it. */
  cost(cpuMs: number): string {
    const { simulatedMs } = this.#sums;
    const seedS = cpuMs / 1000 / Math.max(1, this.seeds);
    return `cost: ${(simulatedMs / cpuMs).toFixed(0)} simulated s per s of one core, ${seedS.toFixed(2)} s a seed`;
  }

  /** What was seen: per seed, and how often each kind of fault was done. */
  summary(): string {
    if (this.seeds === 0) return 'no seed came to its end';
    const { simulatedMs, acknowledged, unknown, leaderChanges, restarts } = this.#sums;
    const { reads, readsRefused, undecided, changes, changesRefused } = this.#sums;
    const each = (sum: number): string => (sum / Math.max(1, this.seeds)).toFixed(1);
    const least = this.#least;
    const kinds = FAULTS.map((kind) => `${kind} ${this.#faults.get(kind) ?? 0}`);
    return [
      `simulated ${duration(simulatedMs / 1000)}, ${each(simulatedMs / 1000)} s a seed`,
      `acknowledged ${acknowledged}: ${each(acknowledged)} a seed, at least ${least.acknowledged}; outcome unknown: ${unknown}`,
      `linearizable reads ${reads}, refused ${readsRefused}; groups whose registers could not be judged: ${undecided}`,
      `changes of members ${changes}: ${each(changes)} a seed; refused, or open: ${changesRefused}`,
      `changes of leader ${leaderChanges}: ${each(leaderChanges)} a seed, at least ${least.leaderChanges}`,
      `restarts ${restarts}: ${each(restarts)} a seed, at least ${least.restarts}`,
      `faults: ${kinds.join(', ')}`,
    ].join('\n');
  }
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes === 0) return `${whole} s`;
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? `${minutes} min ${whole % 60} s` : `${hours} h ${minutes % 60} min`;
}
