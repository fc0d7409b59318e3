import { describe, expect, it } from 'vitest';
import { type Flags, parseFlags, UsageError } from './flags.js';
import { drawScenario } from './scenario.js';

const given = (...args: string[]): Flags => {
  const flags = parseFlags(args);
  if (flags === 'help') throw new Error('asked for help');
  return flags;
};

describe('the command line of the simulator', () => {
  it('has defaults, and says what a run has at least', () => {
    expect(given().campaign).toMatchObject({
      first: 1,
      count: 100,
      run: { profile: 'mixed', operations: 2000, leaderChanges: 3, restarts: 1, steps: 0 },
    });
    const some = given('--seeds', '1000', '--from', '7', '--jobs', '1', '--profile', 'crash', '--steps', '9');
    expect(some.campaign).toMatchObject({
      first: 7,
      count: 1000,
      jobs: 1,
      run: { profile: 'crash', steps: 9 },
    });
    expect(given('--seed', '33', '--seeds', '5').campaign).toMatchObject({ first: 33, count: 1 });
    expect(given('--from', 'fresh').campaign.first).toBeGreaterThan(0);
    expect(parseFlags(['--help', '--seeds', 'x'])).toBe('help');
    expect(given('--no-shrink', '--each', '--quiet')).toMatchObject({
      shrink: false,
      each: true,
      quiet: true,
    });
  });

  it.each([
    [['--seeds', 'x'], /--seeds: expected a whole number from 1/],
    [['--seeds', '0'], /--seeds/],
    [['--seed', '1.5'], /--seed: .* received 1\.5/],
    [['--from', 'tomorrow'], /--from/],
    [['--jobs', '0'], /--jobs/],
    [['--operations=-1'], /--operations/],
    [['--profile', 'nope'], /--profile: expected one of calm, .*, received nope/],
    [['--profile', 'toString'], /--profile/],
    [['--bogus'], /bogus/],
    [['--steps'], /steps/],
    [['extra'], /extra/],
    [['--scenario', '{'], /--scenario: expected the JSON/],
    [['--scenario', 'null'], /--scenario/],
    [['--scenario', '{"seed":1}'], /--scenario/],
    [['--scenario', '{"seed":1,"nodes":[],"faults":[],"groups":[1],"clients":[]}'], /--scenario/],
  ])('refuses %j, and says why', (args, why) => {
    expect(() => parseFlags(args)).toThrow(UsageError);
    expect(() => parseFlags(args)).toThrow(why);
  });

  it('takes back a scenario as it was printed', () => {
    const run = { seed: 3, profile: 'crash', operations: 10, leaderChanges: 0, restarts: 0, steps: 0 };
    const scenario = drawScenario(run);
    expect(given('--scenario', JSON.stringify(scenario)).scenario).toEqual(scenario);
  });
});
