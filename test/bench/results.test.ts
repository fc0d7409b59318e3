import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { readResults } from '../../src/bench/results.js';
import { MACHINE, resultsOf, runOf, SETTINGS } from './figures.js';

const directory = mkdtempSync(join(tmpdir(), 'raftline-results-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const file = (content: unknown): string => {
  const path = join(directory, 'results.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};

describe('a file of results', () => {
  const good = { settings: SETTINGS, threads: {}, cluster: [runOf(1000, 1)], pipe: [] };

  it('is taken as it was written', () => {
    const results = resultsOf([good]);
    expect(readResults(file(results))).toEqual(JSON.parse(JSON.stringify(results)));
    const others = {
      threads: { encoders: 2 },
      data: { file: 'a' },
      depth: 'auto',
      rate: 5,
      durability: 'os',
    } as const;
    expect(readResults(file(resultsOf([{ ...good, settings: { ...SETTINGS, ...others } }])))).toMatchObject({
      measured: [{ settings: others }],
    });
  });

  it('that is older is read with what held before there were options for it', () => {
    const { durability: _durability, applyUs: _applyUs, ...settings } = SETTINGS;
    const older = { ...resultsOf([]), measured: [{ ...good, settings }] };
    expect(readResults(file(older)).measured[0]!.settings).toMatchObject({ durability: 'sync', applyUs: 0 });
  });

  it.each([
    ['none', 'no JSON', /received no JSON/],
    [
      'of another version',
      { version: 7 },
      /expected a result of raftline bench, received one of sweep, version 7$/,
    ],
    ['of another benchmark', { benchmark: 'targets', version: undefined }, /received one of targets$/],
    ['of another program', '{"name":"x"}', /received \{"name":"x"\}$/],
    ['null', 'null', /received null/],
    ['without any run', { measured: [] }, /received one without any run/],
    ['with a hole for a measurement', { measured: [null] }, /with measured\[0\].settings.payload undefined/],
    [
      'without settings',
      { measured: [{ ...good, settings: undefined }] },
      /measured\[0\].settings.payload undef/,
    ],
    [
      'without threads',
      { measured: [good, { ...good, settings: { ...SETTINGS, threads: null } }] },
      /measured\[1\].settings.threads null/,
    ],
    ['without data', { measured: [{ ...good, settings: { ...SETTINGS, data: {} } }] }, /settings.data \{\}$/],
    ['without runs', { measured: [{ settings: SETTINGS }] }, /measured\[0\].cluster undefined/],
    [
      'with half a run',
      { measured: [{ ...good, pipe: [{}] }] },
      /measured\[0\].pipe\[0\].entriesPerSecond undefined/,
    ],
    [
      'without latencies',
      { measured: [{ ...good, pipe: [{ ...runOf(1, 1), latency: null }] }] },
      /pipe\[0\].latency null/,
    ],
    ['without a machine', { machine: null }, /received one with machine null/],
    ['without a processor', { machine: { ...MACHINE, cpu: 7 } }, /received one with machine.cpu 7/],
    ['without what it compresses', { compressibility: null }, /received one with compressibility null/],
  ])('that is no result is refused in words: %s', (_what, content, why) => {
    const whole = typeof content === 'string' ? content : { ...resultsOf([good]), ...content };
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
