import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Campaign, type CampaignOptions } from './campaign.js';
import { tellScenario, tellShrunk } from './failure.js';
import { PROFILES } from './profiles.js';
import type { RunReport } from './report.js';
import type { Scenario } from './scenario.js';
import { run } from './simulation.js';
import { Totals } from './totals.js';

const USAGE = `Usage: npm run sim -- [options]
  --seeds N           how many seeds (default 100)
  --from N            the first seed (default 1); "fresh": a random one
  --seed N            only this one
  --jobs N            how many at a time (default: as many as there are cores)
  --profile NAME      ${Object.keys(PROFILES).join(' | ')} (default mixed)
  --operations N      acknowledged operations that a run has at least (default 2000)
  --leader-changes N  changes of leader that a run has at least (default 3)
  --restarts N        restarts of a node that a run has at least (default 1)
  --steps M           events per seed at most (default: as many as it takes)
  --scenario JSON     only this run, as a failure printed it
  --no-shrink         tell a failure as it is, not made smaller
  --each              a line for every seed
  --quiet             one line of JSON at the end, nothing else`;

const PROGRESS_MS = 5000;
const INTERRUPTED = 130;

function parse() {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '100' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      profile: { type: 'string', default: 'mixed' },
      operations: { type: 'string', default: '2000' },
      'leader-changes': { type: 'string', default: '3' },
      restarts: { type: 'string', default: '1' },
      steps: { type: 'string', default: '0' },
      scenario: { type: 'string' },
      'no-shrink': { type: 'boolean', default: false },
      each: { type: 'boolean', default: false },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return values;
}

type Values = ReturnType<typeof parse>;

function campaignOf(values: Values): CampaignOptions {
  const first = values.from === 'fresh' ? randomInt(1, 2 ** 40) : Number(values.from);
  return {
    first: values.seed === undefined ? first : Number(values.seed),
    count: values.seed === undefined ? Number(values.seeds) : 1,
    jobs: Number(values.jobs),
    run: {
      profile: values.profile,
      operations: Number(values.operations),
      leaderChanges: Number(values['leader-changes']),
      restarts: Number(values.restarts),
      steps: Number(values.steps),
    },
  };
}

function describe(report: RunReport): string {
  const { seed, hash, nodes, steps, simulatedMs, acknowledged, leaderChanges, restarts } = report;
  return `seed ${seed}: ${nodes} nodes, ${steps} events, ${(simulatedMs / 1000).toFixed(1)} s, ${acknowledged} acknowledged, ${leaderChanges} changes of leader, ${restarts} restarts, hash ${hash.toString(16)}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The last thing that `process.exitCode` is set by. */
async function main(): Promise<number> {
  const values = parse();
  if (values.help || PROFILES[values.profile] === undefined) {
    print(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.scenario !== undefined) return again(JSON.parse(values.scenario) as Scenario);
  const options = campaignOf(values);
  const totals = new Totals();
  const beganMs = performance.now();
  let toldMs = beganMs;
  const campaign = new Campaign(options, (report) => {
    totals.add(report);
    const nowMs = performance.now();
    if (values.quiet) return;
    if (values.each || options.count === 1) print(describe(report));
    if (nowMs - toldMs < PROGRESS_MS) return;
    toldMs = nowMs;
    print(totals.progress(nowMs - beganMs, options.count));
  });
  const tellAll = (count: number): void => {
    const { user, system } = process.cpuUsage();
    print(totals.progress(performance.now() - beganMs, count));
    print(`${totals.cost((user + system) / 1000)}\n${totals.summary()}`);
  };
  if (!values.quiet)
    print(`seeds from ${options.first} on, profile ${values.profile}, ${options.jobs} at a time`);
  process.once('SIGINT', () => {
    tellAll(options.count);
    print('interrupted; no seed failed so far');
    process.exit(INTERRUPTED);
  });
  const failed = await campaign.run();
  if (values.quiet) {
    const { seed, failure } = failed ?? {};
    const seeds = seed === undefined ? totals.seeds : seed - options.first + 1;
    print(JSON.stringify({ seeds, seed, failure }));
  } else {
    tellAll(totals.seeds);
    print(failed === undefined ? 'all well' : failureOf(failed, options));
    if (failed !== undefined && !values['no-shrink']) print(await tellShrunk(failed));
  }
  return failed === undefined ? 0 : 1;
}

/** One run as it was printed, with all its messages. */
async function again(scenario: Scenario): Promise<number> {
  const report = await run(scenario, true);
  print(`${report.trace.join('\n')}\n\n${tellScenario(scenario).join('\n')}\n${describe(report)}`);
  print(report.failure === undefined ? 'all well' : `FAILED: ${report.failure}`);
  return report.failure === undefined ? 0 : 1;
}

function failureOf(report: RunReport, { run }: CampaignOptions): string {
  const { profile, operations, leaderChanges, restarts, steps } = run;
  const limits = `--operations ${operations} --leader-changes ${leaderChanges} --restarts ${restarts}`;
  const again = `npm run sim -- --profile ${profile} ${limits}${steps > 0 ? ` --steps ${steps}` : ''} --seed ${report.seed}`;
  return `${report.trace.join('\n')}\n\n${describe(report)}\nFAILED: ${report.failure}\nagain: ${again}`;
}

process.exitCode = await main();
