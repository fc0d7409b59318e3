import { parseArgs } from 'node:util';
import { PROFILES } from './profiles.js';
import { type RunReport, runSeed } from './simulation.js';

const USAGE = `Usage: npm run sim -- [options]
  --seeds N       how many seeds (default 100)
  --seed N        only this one, with its trace
  --from N        the first seed (default 1)
  --steps M       events per seed at most (default: as many as it takes)
  --operations N  acknowledged operations after which a run's faults end (default 400)
  --profile NAME  ${Object.keys(PROFILES).join(' | ')} (default mixed)
  --quiet         one line of JSON at the end, nothing else`;

/** What many runs add up to. */
class Totals {
  seeds = 0;
  simulatedMs = 0;
  acknowledged = 0;
  leastAcknowledged = Number.POSITIVE_INFINITY;
  leaders = 0;
  restarts = 0;
  steps = 0;
  readonly faults = new Map<string, number>();

  add(report: RunReport): void {
    this.seeds++;
    this.simulatedMs += report.simulatedMs;
    this.acknowledged += report.acknowledged;
    this.leastAcknowledged = Math.min(this.leastAcknowledged, report.acknowledged);
    this.leaders += report.leaders;
    this.restarts += report.restarts;
    this.steps += report.steps;
    for (const [kind, times] of report.faults) this.faults.set(kind, (this.faults.get(kind) ?? 0) + times);
  }

  line(realMs: number): string {
    const each = (sum: number): string => (sum / this.seeds).toFixed(1);
    return [
      `${this.seeds} seeds`,
      `${((1000 * this.seeds) / realMs).toFixed(2)}/s`,
      `${(this.simulatedMs / realMs).toFixed(0)} simulated s per s`,
      `${((1000 * this.steps) / realMs / 1000).toFixed(0)}k events/s`,
      `per seed: ${each(this.simulatedMs / 1000)} s, ${each(this.acknowledged)} acknowledged (least ${this.leastAcknowledged}), ${each(this.leaders)} leaders, ${each(this.restarts)} restarts`,
    ].join(' · ');
  }
}

function describe(report: RunReport): string {
  const { seed, hash, nodes, steps, simulatedMs, acknowledged, leaders, restarts } = report;
  return `seed ${seed}: ${nodes} nodes, ${steps} events, ${(simulatedMs / 1000).toFixed(1)} s, ${acknowledged} acknowledged, ${leaders} leaders, ${restarts} restarts, hash ${hash.toString(16)}`;
}

/** The last thing that `process.exitCode` is set by. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '100' },
      seed: { type: 'string' },
      from: { type: 'string', default: '1' },
      steps: { type: 'string', default: '0' },
      operations: { type: 'string', default: '400' },
      profile: { type: 'string', default: 'mixed' },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || PROFILES[values.profile] === undefined) {
    process.stdout.write(`${USAGE}\n`);
    return values.help ? 0 : 2;
  }
  const first = Number(values.seed ?? values.from);
  const count = values.seed === undefined ? Number(values.seeds) : 1;
  const options = {
    profile: values.profile,
    steps: Number(values.steps),
    operations: Number(values.operations),
  };
  const totals = new Totals();
  const beganMs = performance.now();
  let toldMs = beganMs;
  for (let seed = first; seed < first + count; seed++) {
    const report = await runSeed({ seed, ...options });
    totals.add(report);
    const nowMs = performance.now();
    if (report.failure !== undefined) return tellFailure(report, totals, values.profile, values.quiet);
    if (values.seed !== undefined) process.stdout.write(`${describe(report)}\n`);
    if (nowMs - toldMs > 5000 && !values.quiet) {
      toldMs = nowMs;
      process.stdout.write(`${totals.line(nowMs - beganMs)}\n`);
    }
    // What is left of the real world (freed memory) has its turn between two runs.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const kinds = [...totals.faults].map(([kind, times]) => `${kind} ${times}`).join(', ');
  if (values.quiet) process.stdout.write(`${JSON.stringify({ seeds: totals.seeds })}\n`);
  else process.stdout.write(`${totals.line(performance.now() - beganMs)}\nfaults: ${kinds}\nall well\n`);
  return 0;
}

function tellFailure(report: RunReport, totals: Totals, profile: string, quiet: boolean): number {
  if (quiet) {
    const { seed, failure } = report;
    process.stdout.write(`${JSON.stringify({ seeds: totals.seeds, seed, failure })}\n`);
    return 1;
  }
  process.stdout.write(`${report.trace.join('\n')}\n\n${describe(report)}\n`);
  process.stdout.write(`FAILED after ${totals.seeds} seeds: ${report.failure}\n`);
  process.stdout.write(`again: npm run sim -- --profile ${profile} --seed ${report.seed}\n`);
  return 1;
}

process.exitCode = await main();
