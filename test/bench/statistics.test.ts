import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/prng.js';
import { compareResults, dataNote, type Results, verdictText } from '../../src/bench/results.js';
import type { BenchSettings } from '../../src/bench/settings.js';
import { compareRuns, intervalText, nothingShown, slopeOf, spreadOf } from '../../src/bench/statistics.js';
import { measuredAt, resultsOf, SETTINGS } from './figures.js';

/** Results in which a run's every figure is `scale` times the last one's. */
const results = (scales: number[], changes: Partial<BenchSettings> = {}): Results =>
  ({
    benchmark: 'cluster',
    version: 1,
    measured: [
      {
        settings: { ...SETTINGS, ...changes },
        threads: {},
        pipe: [],
        cluster: scales.map((scale) => ({
          entriesPerSecond: 1000 * scale,
          mbPerSecond: scale,
          latency: { p50Ms: scale, p99Ms: scale, p999Ms: scale },
          batchesPerSecond: scale,
          cpuUsPerEntry: scale,
        })),
      },
    ],
  }) as unknown as Results;

describe('figures of several runs', () => {
  it('are told by their median and ends', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
  });

  it('that differ more than their noise differ; noise alone does not; the same figures give the same interval', () => {
    const base = [100, 103, 98, 101, 99];
    const faster = compareRuns(base, [121, 118, 122, 119, 120], seededRandom(1));
    expect(faster.significant).toBe(true);
    expect(faster.ratio).toBeCloseTo(1.2, 5);
    expect(faster.low).toBeGreaterThan(1.1);
    expect(faster.high).toBeLessThan(1.3);
    const noise = compareRuns(base, [99, 104, 97, 102, 100], seededRandom(1));
    expect(noise.significant).toBe(false);
    expect(compareRuns(base, [99, 104, 97, 102, 100], seededRandom(1))).toEqual(noise);
  });

  it('are better when more entries or fewer milliseconds came, and worse the other way round', () => {
    const changes = compareResults(results([1, 1.01, 0.99, 1]), results([2, 2.01, 1.99, 2]));
    const verdicts = Object.fromEntries(changes.map(({ figure, better }) => [figure, better]));
    expect(verdicts['entries/s']).toBe(true);
    expect(verdicts['latency p99, ms']).toBe(false);
    expect(verdicts['CPU, µs an entry, all nodes']).toBe(false);
    const texts = Object.fromEntries(changes.map((change) => [change.figure, verdictText(change)]));
    expect(texts['entries/s']).toBe('better');
    expect(texts['latency p99, ms']).toBe('worse');
    expect(texts['batches/s']).toBe('a difference, neither better nor worse');
  });

  it('of data that compress otherwise are said to be so', () => {
    const of = (compressibility: Record<string, number>) => ({ ...results([1]), compressibility });
    expect(dataNote(of({ 128: 1, 16: 2 }), of({ 128: 200, 16: 2.05, 64: 3 }))).toBe(
      'not of the same data: LZ4 makes full batches of 128 B entries 1.00 → 200.00 times smaller',
    );
    expect(dataNote(of({ 128: 3.79 }), of({ 128: 3.75 }))).toBeUndefined();
  });

  it('of too few runs get an interval, but no verdict', () => {
    const quotient = compareRuns([100, 101, 102], [201, 202, 203], seededRandom(1));
    expect(quotient.low).toBeGreaterThan(1.9);
    expect(quotient.significant).toBe(false);
    expect(nothingShown(quotient)).toBe('no verdict below 4 runs');
    expect(intervalText(quotient)).toMatch(/^[12]\.\d{3}–2\.\d{3}$/);
    const [change] = compareResults(results([1]), results([2]));
    expect(change!.better).toBeUndefined();
    expect(intervalText(change!.quotient)).toBe('');
  });

  it('that grow have a slope, and one that is no more than noise is not larger than twice its error', () => {
    const noise = seededRandom(7);
    const grown = Array.from({ length: 50 }, (_, at) => [at, 3 * at + noise()] as const);
    const { slope, error } = slopeOf(grown);
    expect(Math.abs(slope - 3)).toBeLessThan(3 * error);
    expect(error).toBeLessThan(0.01);
    const flat = slopeOf(grown.map(([at]) => [at, noise()]));
    expect(Math.abs(flat.slope)).toBeLessThan(3 * flat.error);
    expect(
      slopeOf([
        [0, 1],
        [1, 2],
        [2, 3],
      ]),
    ).toEqual({ slope: 1, error: 0 });
    expect(
      slopeOf([
        [0, 1],
        [1, 9],
      ]),
    ).toEqual({ slope: 0, error: 0 });
  });

  it('are never compared across other settings', () => {
    expect(() => compareResults(results([1]), results([2], { depth: 4 }))).toThrow(
      /nothing was measured alike: .*depth 4.*received .*depth 8/,
    );
    const pipe = results([2]);
    const [measured] = pipe.measured as [Results['measured'][0]];
    [measured.pipe, measured.cluster] = [measured.cluster, []];
    expect(() => compareResults(results([1]), pipe)).toThrow(
      /alike: expected pipe with .*received cluster with /,
    );
    const sweep = resultsOf([1, 2, 3, 4].map((depth) => measuredAt({ depth }, [1, 1])));
    expect(() => compareResults(sweep, results([1], { depth: 9 }))).toThrow(
      /received cluster with [^;]* depth 1,[^;]*; cluster with [^;]* depth 2,[^;]* and 2 more$/,
    );
    const unseen = [
      { seed: 2 },
      { warmupSeconds: 31 },
      { seconds: 61 },
      { data: { file: 'b.txt' } },
      { rate: 5, concurrency: 7 },
    ];
    for (const change of unseen) {
      const base = results(
        [1],
        'rate' in change ? { rate: 5 } : 'data' in change ? { data: { file: 'a.txt' } } : {},
      );
      expect(() => compareResults(base, results([2], change))).toThrow(/nothing was measured alike/);
    }
  });
});
