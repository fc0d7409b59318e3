import type { LinkFault } from './links.js';
import type { FaultEvent, Scenario } from './scenario.js';

/** What shrinking needs to know of a run. */
export interface Outcome {
  readonly failure: string | undefined;
  readonly steps: number;
  readonly simulatedMs: number;
}

export interface Shrunk<Result extends Outcome> {
  scenario: Scenario;
  result: Result;
  /** Runs that it took. */
  runs: number;
}

export interface ShrinkLimits {
  /** Events in all runs together, at most. */
  events: number;
  runs: number;
  /** How many draws of delays and orders a smaller scenario is tried with before it counts as harmless. */
  draws: number;
}

export const SHRINK_LIMITS: ShrinkLimits = { events: 12_000_000, runs: 400, draws: 3 };
/** Lengths of what is left of a run at its end, ms: the shortest first. */
const WINDOWS_MS = [2_000, 5_000, 12_000, 30_000];
const LEAD_MS = 1_500;
const SHORT_MS = 50;
/** How much longer than the failing run a smaller one may take. */
const PATIENCE = 2;

type Run<Result> = (scenario: Scenario) => Promise<Result>;

/**
 * Makes a failing scenario smaller as long as the same promise is broken: only its end, fewer operations, fewer faults, fewer clients, shorter
 * faults, even clocks. Says the same for the same scenario, and ends: its budget is in events.
 */
export async function shrink<Result extends Outcome>(
  scenario: Scenario,
  result: Result,
  run: Run<Result>,
  limits: ShrinkLimits = SHRINK_LIMITS,
): Promise<Shrunk<Result>> {
  return new Shrinker(scenario, result, run, limits).shrink();
}

class Shrinker<Result extends Outcome> {
  readonly #run: Run<Result>;
  readonly #limits: ShrinkLimits;
  readonly #promise: string;
  #best: { scenario: Scenario; result: Result };
  #events = 0;
  #runs = 0;

  constructor(scenario: Scenario, result: Result, run: Run<Result>, limits: ShrinkLimits) {
    this.#best = { scenario, result };
    this.#run = run;
    this.#limits = limits;
    this.#promise = promiseOf(result.failure);
  }

  async shrink(): Promise<Shrunk<Result>> {
    await this.#keepOnlyTheEnd();
    for (let before = ''; before !== JSON.stringify(this.#best.scenario) && !this.#spent(); ) {
      before = JSON.stringify(this.#best.scenario);
      await this.#fewerFaults();
      await this.#fewerClients();
      await this.#try({ operations: Math.floor(this.#best.scenario.operations / 2) });
      await this.#shorterFaults();
      await this.#betterLinks();
      await this.#plainerNodes();
    }
    return { ...this.#best, runs: this.#runs };
  }

  /** What happened after the failure never mattered; what happened long before seldom did. */
  async #keepOnlyTheEnd(): Promise<void> {
    const { scenario, result } = this.#best;
    const { simulatedMs } = result;
    const faults = scenario.faults.filter(({ atMs }) => atMs <= simulatedMs);
    const plain = { leaderChanges: 0, restarts: 0 };
    await this.#try({ faults, ...plain });
    for (const windowMs of WINDOWS_MS) {
      if (windowMs + LEAD_MS > simulatedMs) break;
      const late = earlier(faults, simulatedMs - windowMs - LEAD_MS);
      const operations = Math.ceil((scenario.operations * 2 * (windowMs + LEAD_MS)) / simulatedMs);
      if (await this.#try({ faults: late, operations, ...plain })) return;
    }
  }

  /** Leaves out halves, then quarters, and so on down to single ones (Zeller's delta debugging). */
  async #fewerFaults(): Promise<void> {
    for (
      let size = Math.ceil(this.#best.scenario.faults.length / 2);
      size >= 1;
      size = Math.floor(size / 2)
    ) {
      for (let from = 0; from < this.#best.scenario.faults.length; ) {
        const { faults } = this.#best.scenario;
        if (this.#spent()) return;
        const without = [...faults.slice(0, from), ...faults.slice(from + size)];
        if (!(await this.#try({ faults: without }))) from += size;
      }
    }
  }

  async #fewerClients(): Promise<void> {
    for (let at = this.#best.scenario.clients.length - 1; at >= 0; at--) {
      const { clients } = this.#best.scenario;
      if (clients.length > 1) await this.#try({ clients: clients.filter((_, other) => other !== at) });
    }
  }

  async #shorterFaults(): Promise<void> {
    for (let at = 0; at < this.#best.scenario.faults.length; at++) {
      for (;;) {
        const { faults } = this.#best.scenario;
        const forMs = Math.floor(faults[at]!.forMs / 2);
        if (forMs < SHORT_MS || this.#spent()) break;
        if (!(await this.#try({ faults: faults.with(at, { ...faults[at]!, forMs }) }))) break;
      }
    }
  }

  async #betterLinks(): Promise<void> {
    for (const kind of Object.keys(this.#best.scenario.links) as LinkFault[]) {
      const { [kind]: _, ...links } = this.#best.scenario.links;
      await this.#try({ links });
    }
  }

  async #plainerNodes(): Promise<void> {
    const { nodes } = this.#best.scenario;
    if (nodes.some(({ clockRate }) => clockRate !== 1))
      await this.#try({ nodes: nodes.map((node) => ({ ...node, clockRate: 1 })) });
    if (nodes.some(({ encoders }) => encoders > 0))
      await this.#try({ nodes: this.#best.scenario.nodes.map((node) => ({ ...node, encoders: 0 })) });
    for (const count of [1, 3]) {
      if (count < this.#best.scenario.nodes.length)
        await this.#try({ nodes: this.#best.scenario.nodes.slice(0, count) });
    }
  }

  #spent(): boolean {
    return this.#events >= this.#limits.events || this.#runs >= this.#limits.runs;
  }

  /** Whether the same promise is broken with `change` too; then that is the best one so far. */
  async #try(change: Partial<Scenario>): Promise<boolean> {
    const { scenario, result } = this.#best;
    for (let draw = 0; draw < this.#limits.draws && !this.#spent(); draw++) {
      const steps = PATIENCE * result.steps;
      const candidate = { ...scenario, ...change, seed: scenario.seed + draw, steps };
      const tried = await this.#run(candidate);
      this.#runs++;
      this.#events += tried.steps;
      if (tried.failure === undefined || promiseOf(tried.failure) !== this.#promise) continue;
      this.#best = { scenario: { ...candidate, steps: 0 }, result: tried };
      return true;
    }
    return false;
  }
}

/** What was broken, without the numbers that differ from run to run. */
function promiseOf(failure: string | undefined): string {
  const [line] = (failure ?? '').split('\n');
  return line!.replace(/\[.*|\bn\d+\b|\d+/g, '').replace(/\s+/g, ' ');
}

function earlier(faults: readonly FaultEvent[], byMs: number): FaultEvent[] {
  return faults
    .filter(({ atMs }) => atMs >= byMs)
    .map((fault) => ({ ...fault, atMs: round(fault.atMs - byMs) }));
}

const round = (ms: number): number => Math.round(10 * ms) / 10;
