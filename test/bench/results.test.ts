import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { RESULTS_VERSION, readResults } from '../../src/bench/results.js';
import { runOf, SETTINGS } from './figures.js';

const directory = mkdtempSync(join(tmpdir(), 'raftline-results-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const file = (content: unknown): string => {
  const path = join(directory, 'results.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};

describe('a file of results', () => {
  const machine = { commit: 'abc', at: '2026-01-01' };
  const good = { settings: SETTINGS, threads: {}, cluster: [runOf(1000, 1)], pipe: [] };

  it('is taken as it was written', () => {
    const results = { benchmark: 'cluster', version: RESULTS_VERSION, machine, measured: [good] };
    expect(readResults(file(results)).measured[0]!.cluster).toHaveLength(1);
  });

  it.each([
    ['none', 'no JSON', /received no JSON/],
    ['of another version', { version: 7, machine, measured: [good] }, /received \{"version":7/],
    ['null', 'null', /received null/],
    ['without any run', { version: RESULTS_VERSION, machine, measured: [] }, /received one without any run/],
    ['with a hole for a measurement', { machine, measured: [null] }, /lacks machine, settings or runs/],
    ['without settings', { machine, measured: [{ ...good, settings: {} }] }, /lacks machine, settings or/],
    ['without runs', { machine, measured: [{ settings: SETTINGS }] }, /lacks machine, settings or runs/],
    ['with half a run', { machine, measured: [{ ...good, pipe: [{}] }] }, /lacks machine, settings or runs/],
    ['without a machine', { measured: [good] }, /lacks machine, settings or runs/],
  ])('that is no result is refused in words: %s', (_what, content, why) => {
    const whole = typeof content === 'string' ? content : { version: RESULTS_VERSION, ...content };
    let thrown: RaftlineError | undefined;
    try {
      readResults(file(whole));
    } catch (error) {
      thrown = error as RaftlineError;
    }
    expect(thrown?.code).toBe(ErrorCode.UsageInvalid);
    expect(thrown?.message).toMatch(why);
  });
});
