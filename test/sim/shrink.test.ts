import { afterEach, describe, expect, it, vi } from 'vitest';
import type * as Quorum from '../../src/core/quorum.js';
import { tellShrunk } from './failure.js';
import { drawScenario, type Scenario } from './scenario.js';
import { type Outcome, shrink } from './shrink.js';
import { run } from './simulation.js';

const engine = vi.hoisted(() => ({ broken: false }));

// H35: with the mutant on, an index counts as committed once a single voter holds it.
vi.mock('../../src/core/quorum.js', async (importOriginal) => {
  const real = await importOriginal<typeof Quorum>();
  const quorumIndex: typeof real.quorumIndex = (configuration, matchOf) =>
    engine.broken ? Math.max(...configuration.voters.map(matchOf)) : real.quorumIndex(configuration, matchOf);
  return { ...real, quorumIndex };
});

const draw = (seed: number): Scenario =>
  drawScenario({ seed, profile: 'mixed', operations: 150, leaderChanges: 0, restarts: 0, steps: 0 });

/** Stands in for a run: fails if a power cut comes at any time behind a partition, whatever else there is. */
function pretend(scenario: Scenario): Promise<Outcome> {
  const split = scenario.faults.findIndex(({ kind }) => kind === 'split');
  const cut = scenario.faults.findLastIndex(({ kind }) => kind === 'powerCut');
  const fails = split >= 0 && cut > split;
  const failure = fails ? `n${scenario.seed % 3} lost entry ${scenario.seed}` : undefined;
  return Promise.resolve({ failure, steps: 1000, simulatedMs: 20_000 });
}

describe('a failing scenario is made smaller', () => {
  afterEach(() => {
    engine.broken = false;
  });

  it('down to the two faults that matter, one client and one node', async () => {
    const kinds = ['kill', 'split', 'oneWay', 'stallMain', 'powerCut', 'bridge', 'slowDisk'] as const;
    const faults = Array.from({ length: 70 }, (_, at) => ({
      ...{ atMs: 250 * at, kind: kinds[at % kinds.length]!, forMs: 5000 },
      seed: at,
    }));
    const scenario = { ...draw(7), faults };
    const small = await shrink(scenario, await pretend(scenario), pretend);
    expect(small.scenario.faults.map(({ kind }) => kind)).toEqual(['split', 'powerCut']);
    expect(Math.max(...small.scenario.faults.map(({ forMs }) => forMs))).toBeLessThan(150);
    expect(small.scenario.clients).toHaveLength(1);
    expect(small.scenario.nodes).toHaveLength(1);
  });

  it('and never to one in which something else is broken', async () => {
    const scenario = draw(7);
    const first = { failure: 'two leaders in term 3: 1 and 2', steps: 10, simulatedMs: 20_000 };
    const other = (): Promise<Outcome> => Promise.resolve({ ...first, failure: 'no convergence' });
    const small = await shrink(scenario, first, other);
    expect(small.scenario).toEqual(scenario);
    expect(small.result).toBe(first);
  });

  it('and gives up at its limits', async () => {
    const limits = { events: 5_500, runs: 100, draws: 1 };
    const scenario = draw(7);
    const failing = (): Promise<Outcome> =>
      Promise.resolve({ failure: 'bad', steps: 1000, simulatedMs: 9000 });
    expect((await shrink(scenario, await failing(), failing, limits)).runs).toBe(6);
  });

  it('H35 with an engine that is really broken: smaller, the same twice, and it fails again bit for bit', async () => {
    engine.broken = true;
    const scenario = draw(3);
    const report = await run(scenario);
    expect(report.failure).toMatch(/was committed with/);
    const limits = { events: 400_000, runs: 60, draws: 1 };
    const small = await shrink(scenario, report, run, limits);
    expect(small.scenario.faults.length).toBeLessThanOrEqual(2);
    expect(small.result.steps).toBeLessThan(report.steps);
    expect((await shrink(scenario, report, run, limits)).scenario).toEqual(small.scenario);
    const again = await run(JSON.parse(JSON.stringify(small.scenario)) as Scenario);
    expect({ hash: again.hash, failure: again.failure }).toEqual({
      hash: small.result.hash,
      failure: small.result.failure,
    });
    const told = await tellShrunk(again);
    expect(told).toMatch(/n\d>n\d .*append/);
    expect(told).toContain('--scenario');
    engine.broken = false;
    expect((await run(small.scenario)).failure).toBeUndefined();
  });
});
