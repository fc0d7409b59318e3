import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { CampaignOptions } from './campaign.js';
import { PROFILES } from './profiles.js';
import type { Scenario } from './scenario.js';

export const USAGE = `Usage: npm run sim -- [options]
  --seeds N           how many seeds (default 100)
  --from N            the first seed (default 1); "fresh": a random one
  --seed N            only this one
  --jobs N            how many at a time (default: as many as there are cores)
  --profile NAME      ${Object.keys(PROFILES).join(' | ')} (default mixed)
  --operations N      acknowledged operations that a run has at least (default 2000)
  --leader-changes N  changes of leader that a run has at least (default 3)
  --restarts N        restarts of a node that a run has at least (default 1)
  --steps M           events per seed at most (default 0: as many as it takes)
  --scenario JSON     only this run, as a failure printed it
  --no-shrink         tell a failure as it is, not made smaller
  --each              a line for every seed
  --quiet             one line of JSON at the end, nothing else`;

export interface Flags {
  campaign: CampaignOptions;
  /** Instead of a campaign. */
  scenario: Scenario | undefined;
  shrink: boolean;
  each: boolean;
  quiet: boolean;
}

const SEEDS_MAX = 10_000_000;
const JOBS_MAX = 256;

/** What is wrong with the command line, for people. */
export class UsageError extends Error {}

/**
 * What a command line asks for; `help` if that is all.
 * @throws UsageError
 */
export function parseFlags(args: readonly string[]): Flags | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const { profile, seed } = values;
  if (!Object.hasOwn(PROFILES, profile))
    throw new UsageError(
      `--profile: expected one of ${Object.keys(PROFILES).join(', ')}, received ${profile}`,
    );
  const whole = (name: keyof typeof values, min: number, max = Number.MAX_SAFE_INTEGER): number =>
    wholeNumber(name, values[name] as string, min, max);
  const first = values.from === 'fresh' ? randomInt(1, 2 ** 40) : whole('from', 0);
  const run = {
    profile,
    operations: whole('operations', 1),
    leaderChanges: whole('leader-changes', 0),
    restarts: whole('restarts', 0),
    steps: whole('steps', 0),
  };
  const count = whole('seeds', 1, SEEDS_MAX);
  const jobs = whole('jobs', 1, JOBS_MAX);
  return {
    campaign:
      seed === undefined ? { first, count, jobs, run } : { first: whole('seed', 0), count: 1, jobs, run },
    scenario: values.scenario === undefined ? undefined : parseScenario(values.scenario),
    shrink: !values['no-shrink'],
    each: values.each,
    quiet: values.quiet,
  };
}

function parse(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
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
  } catch (thrown) {
    throw new UsageError((thrown as Error).message);
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new UsageError(`--${name}: expected a whole number from ${min} to ${max}, received ${text}`);
  return value;
}

function parseScenario(text: string): Scenario {
  let scenario: Partial<Scenario> | null | undefined;
  try {
    scenario = JSON.parse(text) as Partial<Scenario> | null;
  } catch {
    scenario = undefined;
  }
  const { seed, nodes, faults } = scenario ?? {};
  const lists = [nodes, faults, scenario?.groups, scenario?.clients];
  if (typeof seed !== 'number' || !lists.every(Array.isArray) || nodes?.length === 0)
    throw new UsageError('--scenario: expected the JSON that a failure printed, received something else');
  return scenario as Scenario;
}
