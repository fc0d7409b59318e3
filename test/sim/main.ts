import { Campaign, type CampaignOptions } from './campaign.js';
import { tellScenario, tellShrunk } from './failure.js';
import { type Flags, parseFlags, USAGE, UsageError } from './flags.js';
import type { RunReport } from './report.js';
import type { Scenario } from './scenario.js';
import { run } from './simulation.js';
import { Totals } from './totals.js';

const PROGRESS_MS = 5000;
const INTERRUPTED = 130;

function describe(report: RunReport): string {
  const { seed, hash, nodes, steps, simulatedMs, acknowledged, leaderChanges, restarts } = report;
  return `seed ${seed}: ${nodes} nodes, ${steps} events, ${(simulatedMs / 1000).toFixed(1)} s, ${acknowledged} acknowledged, ${leaderChanges} changes of leader, ${restarts} restarts, hash ${hash.toString(16)}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The flags; else the exit code, after the words that go with it. */
function flagsOrWords(): Flags | number {
  try {
    const flags = parseFlags(process.argv.slice(2));
    if (flags !== 'help') return flags;
    print(USAGE);
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
    process.stderr.write(`${thrown.message}\n${USAGE}\n`);
    return 2;
  }
}

/** The last thing that `process.exitCode` is set by. */
async function main(): Promise<number> {
  const flags = flagsOrWords();
  if (typeof flags === 'number') return flags;
  const { campaign: options, scenario, quiet } = flags;
  if (scenario !== undefined) return again(scenario);
  const totals = new Totals();
  const beganMs = performance.now();
  let toldMs = beganMs;
  const campaign = new Campaign(options, (report) => {
    totals.add(report);
    const nowMs = performance.now();
    if (quiet) return;
    if (flags.each || options.count === 1) print(describe(report));
    if (nowMs - toldMs < PROGRESS_MS) return;
    toldMs = nowMs;
    print(totals.progress(nowMs - beganMs, options.count));
  });
  const tellAll = (count: number): void => {
    const { user, system } = process.cpuUsage();
    print(totals.progress(performance.now() - beganMs, count));
    print(`${totals.cost((user + system) / 1000)}\n${totals.summary()}`);
  };
  if (!quiet)
    print(`seeds from ${options.first} on, profile ${options.run.profile}, ${options.jobs} at a time`);
  process.once('SIGINT', () => {
    tellAll(options.count);
    print('interrupted; no seed failed so far');
    process.exit(INTERRUPTED);
  });
  const failed = await campaign.run();
  if (quiet) {
    const { seed, failure } = failed ?? {};
    const seeds = seed === undefined ? totals.seeds : seed - options.first + 1;
    print(JSON.stringify({ seeds, seed, failure }));
  } else {
    tellAll(totals.seeds);
    print(failed === undefined ? allWell(options.run.steps) : failureOf(failed, options));
    if (failed !== undefined && flags.shrink) print(await tellShrunk(failed));
  }
  return failed === undefined ? 0 : 1;
}

/** A run that was cut short did not have to converge. */
const allWell = (steps: number): string =>
  steps === 0 ? 'all well' : `all well as far as they went; none was longer than ${steps} events (--steps)`;

/** One run as it was printed, with all its messages. */
async function again(scenario: Scenario): Promise<number> {
  const report = await run(scenario, true);
  print(`${report.trace.join('\n')}\n\n${tellScenario(scenario).join('\n')}\n${describe(report)}`);
  print(report.failure === undefined ? allWell(scenario.steps) : `FAILED: ${report.failure}`);
  return report.failure === undefined ? 0 : 1;
}

function failureOf(report: RunReport, { run }: CampaignOptions): string {
  const { profile, operations, leaderChanges, restarts, steps } = run;
  const limits = `--operations ${operations} --leader-changes ${leaderChanges} --restarts ${restarts}`;
  const again = `npm run sim -- --profile ${profile} ${limits}${steps > 0 ? ` --steps ${steps}` : ''} --seed ${report.seed}`;
  return `${report.trace.join('\n')}\n\n${describe(report)}\nFAILED: ${report.failure}\nagain: ${again}`;
}

process.exitCode = await main();
