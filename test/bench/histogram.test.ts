import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { Histogram } from '../../src/bench/histogram.js';

describe('a histogram of latencies', () => {
  it('gives every percentile of very unlike values within 1.6 %, or one microsecond', () => {
    const random = seededRandom(7);
    const values = Array.from({ length: 100_000 }, () => 10 ** (random() * 6 - 2));
    const histogram = new Histogram();
    for (const value of values) histogram.record(value);
    values.sort((a, b) => a - b);
    for (const part of [0.01, 0.25, 0.5, 0.9, 0.99, 0.999]) {
      const exact = values[Math.ceil(part * values.length) - 1]!;
      const off = Math.abs(histogram.quantile(part) - exact);
      expect(off, `quantile ${part}, ${exact} ms`).toBeLessThan(Math.max(0.001, 0.016 * exact));
    }
    expect(histogram.percentiles()).toMatchObject({ samples: 100_000, maxMs: values.at(-1) });
  });

  it('of two processes, sent and added up, is the histogram of all', () => {
    const random = seededRandom(8);
    const [one, two, all] = [new Histogram(), new Histogram(), new Histogram()];
    for (let at = 0; at < 5000; at++) {
      const value = randomInteger(random, 0, 5_000_000) / 1000;
      (at % 3 === 0 ? one : two).record(value);
      all.record(value);
    }
    const sent = JSON.parse(JSON.stringify(two.toJSON())) as ReturnType<Histogram['toJSON']>;
    const { meanMs, ...sum } = one.add(sent).percentiles();
    const { meanMs: meanOfAll, ...rest } = all.percentiles();
    expect(sum).toEqual(rest);
    expect(meanMs).toBeCloseTo(meanOfAll, 6);
  });

  it('holds nothing when nothing was recorded or it was cleared, and takes what no latency can be', () => {
    const histogram = new Histogram();
    const empty = { samples: 0, meanMs: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 };
    expect(histogram.percentiles()).toEqual(empty);
    histogram.record(-1);
    histogram.record(1e12);
    expect(histogram.samples).toBe(2);
    histogram.clear();
    expect(histogram.percentiles()).toEqual(empty);
  });
});
