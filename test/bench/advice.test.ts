import { describe, expect, it } from 'vitest';
import { adviceOf, type Series, seriesOf } from '../../src/bench/advice.js';
import { adviceText } from '../../src/bench/report/advice-text.js';
import { measuredAt } from './figures.js';

const only = (series: Series[]): Series => {
  expect(series).toHaveLength(1);
  return series[0]!;
};

/** More depth brings ever less: 32 is the fastest, 8 has 95 % of it, and 16 has the lowest p99 of those that have. */
const curve = [
  measuredAt({ depth: 32 }, [100_500, 50]),
  measuredAt({ depth: 1 }, [40_000, 10]),
  measuredAt({ depth: 16 }, [100_000, 28]),
  measuredAt({ depth: 8 }, [96_000, 30]),
  measuredAt({ depth: 4 }, [94_000, 20]),
];

describe('what a sweep says should be set', () => {
  it('is the lowest p99 among the depths within 5 % of the highest throughput; the knee is the smallest depth among them', () => {
    const advice = adviceOf(only(seriesOf(curve)))!;
    expect(advice.fastest.settings.depth).toBe(32);
    expect(advice.best.settings.depth).toBe(16);
    expect(advice.knee!.settings.depth).toBe(8);
    expect(advice.auto).toBeUndefined();
  });

  it('stands in a sentence with the figures it rests on', () => {
    const series = only(seriesOf(curve));
    const text = adviceText(series, adviceOf(series));
    expect(text).toContain('For 128 B entries over links without added delay, set pipeline.depth to 16');
    expect(text).toContain('pipeline.batchBytesMax to 262144: 100,000 entries/s');
    expect(text).toContain('99.5 % of the highest throughput measured, 101,000 at depth 32, 256 KiB');
    expect(text).toContain('p99 of 28 ms');
    expect(text).toContain('The knee is at depth 8');
    expect(text).toContain('take --runs 3 or more');
  });

  it.each([
    [95_000, 33, true],
    [94_900, 33, false],
    [95_000, 34, false],
  ])(
    "holds 'auto' against the best fixed depth: %d entries/s at p99 %d ms is good enough: %s",
    (entries, p99, good) => {
      const thrice = [...curve, measuredAt({ depth: 'auto' }, [entries, p99])].map((each) => ({
        ...each,
        cluster: [0, 1, 2].flatMap(() => each.cluster),
      }));
      const series = only(seriesOf(thrice));
      const advice = adviceOf(series)!;
      expect(advice.best.settings.depth).toBe(16);
      expect(advice.auto!.good).toBe(good);
      expect(adviceText(series, advice)).toMatch(
        good ? /leave depth at 'auto'/ : /a fixed depth is the better choice/,
      );
    },
  );

  it('at an offered rate takes whoever keeps up, however far ahead another ran, and sees the knee in the p99', () => {
    const rate = 10_000;
    const series = only(
      seriesOf([
        measuredAt({ depth: 1, rate }, [8000, 90]),
        measuredAt({ depth: 2, rate }, [9900, 70]),
        measuredAt({ depth: 4, rate }, [9900, 48]),
        measuredAt({ depth: 8, rate }, [9600, 40]),
        measuredAt({ depth: 16, rate }, [11_000, 45]),
      ]),
    );
    const advice = adviceOf(series)!;
    expect(advice.best.settings.depth).toBe(8);
    expect(advice.knee!.settings.depth).toBe(4);
    expect(adviceText(series, advice)).toContain('9,600 entries/s (of 10,000 offered) with a p99 of 40 ms');
    expect(adviceText(series, advice)).toContain(
      'less depth does not keep up, or has a p99 of more than 1.2 times',
    );
  });

  it('says which settings its runs do not tell apart from it', () => {
    const series = only(
      seriesOf([
        measuredAt({ depth: 1 }, [50_000, 10], [52_000, 10], [51_000, 10]),
        measuredAt({ depth: 2 }, [100_000, 12], [101_000, 12], [99_000, 13]),
        measuredAt({ depth: 4 }, [100_500, 13], [101_000, 14], [99_500, 13]),
      ]),
    );
    const text = adviceText(series, adviceOf(series));
    expect(text).toContain('set pipeline.depth to 2');
    expect(text).toContain('The knee is at depth 2');
    expect(text).toContain('The runs do not tell it apart from depth 4, 256 KiB.');
    expect(text).not.toContain('depth 1, 256 KiB');
  });

  it("does not call a number better than 'auto' while the runs of both overlap", () => {
    const best = measuredAt({ depth: 4 }, [100_000, 10], [100_000, 30], [100_000, 12]);
    const auto = measuredAt({ depth: 'auto' }, [100_000, 20], [99_000, 28], [101_000, 25]);
    const series = only(seriesOf([best, auto]));
    expect(adviceOf(series)!.auto).toMatchObject({ good: false, alike: true });
    expect(adviceText(series, adviceOf(series))).toContain(
      'their runs overlap: take more before setting a number',
    );
  });

  it('takes medians, so that one bad run does not decide', () => {
    const points = [
      measuredAt({ depth: 1 }, [50_000, 10], [52_000, 10], [51_000, 10]),
      measuredAt({ depth: 2 }, [100_000, 12], [10_000, 900], [99_000, 12]),
    ];
    const series = only(seriesOf(points));
    expect(adviceOf(series)!.best.settings.depth).toBe(2);
    const shallow = only(seriesOf([points[0]!, measuredAt({ depth: 2 }, [52_000, 40])]));
    expect(adviceText(shallow, adviceOf(shallow))).toContain('The knee is at or below depth 1, the smallest');
  });

  it("does not call a number better than 'auto' by too few runs, which never overlap", () => {
    const auto = measuredAt({ depth: 'auto' }, [50_000, 60]);
    const series = only(seriesOf([...curve, auto]));
    const text = adviceText(series, adviceOf(series));
    expect(text).toContain('but their runs are too few: take more before setting a number');
    expect(text).not.toContain('the better choice');
  });

  it('recommends nothing of one fixed setting, and sees no knee there', () => {
    const points = [measuredAt({ depth: 4 }, [50_000, 10]), measuredAt({ depth: 'auto' }, [51_000, 10])];
    const series = only(seriesOf(points));
    const advice = adviceOf(series)!;
    expect(advice).toMatchObject({ recommended: undefined, knee: undefined });
    const text = adviceText(series, advice);
    expect(text).toContain('no choice: depth 4, 256 KiB, 50,000 entries/s with a p99 of 10 ms. ');
    expect(text).toContain("leave depth at 'auto'");
    expect(text).not.toMatch(/knee|set pipeline/);
    const batches = only(seriesOf([points[0]!, measuredAt({ depth: 4, batchBytesMax: 65_536 }, [9, 9])]));
    expect(adviceOf(batches)!.recommended!.settings.batchBytesMax).toBe(262_144);
    expect(adviceText(batches, adviceOf(batches))).not.toContain('knee');
  });

  it('says that nothing kept up with a rate instead of recommending what fell behind least', () => {
    const rate = 10_000_000;
    const behind = [1, 4, 'auto' as const].map((depth, at) =>
      measuredAt({ depth, rate }, [50_000 + 1000 * at, 90]),
    );
    const series = only(seriesOf(behind));
    expect(adviceOf(series)).toBeUndefined();
    const text = adviceText(series, undefined);
    expect(text).toBe(
      'Nothing kept up with the 10,000,000 entries/s offered; the most was 52,000 entries/s, at depth auto, 256 KiB. ' +
        'Offer less, or leave --rate out, to see what to set.',
    );
    const kept = only(seriesOf([...behind.slice(0, 2), measuredAt({ depth: 'auto', rate }, [9_900_000, 9])]));
    expect(adviceText(kept, adviceOf(kept))).toMatch(/^No fixed depth kept up .* Leave depth at 'auto'\.$/);
  });

  it('takes no setting that completed nothing for one without latency', () => {
    const silent = measuredAt({ depth: 2 }, [0, 0]);
    silent.cluster[0]!.latency.samples = 0;
    const series = only(seriesOf([...curve, silent]));
    const advice = adviceOf(series)!;
    expect(advice.best.settings.depth).toBe(16);
    expect(adviceText(series, advice)).toContain(
      'to take a latency at depth 2, 256 KiB: take a longer --duration',
    );
    const none = only(seriesOf([silent]));
    expect(adviceOf(none)).toBeUndefined();
    expect(adviceText(none, undefined)).toContain('No fixed depth has a latency to go by.');
  });

  it('is never taken across payloads or links, and is not given without a fixed depth', () => {
    const found = seriesOf([
      measuredAt({ depth: 8, linkDelayMs: 20 }, [10, 10]),
      measuredAt({ depth: 8, payload: 1024 }, [10, 10]),
      measuredAt({ depth: 8 }, [10, 10]),
    ]);
    expect(found.map(({ payload, linkDelayMs }) => [payload, linkDelayMs])).toEqual([
      [128, 0],
      [1024, 0],
      [128, 20],
    ]);
    const series = only(seriesOf([measuredAt({ depth: 'auto' }, [10, 10])]));
    expect(adviceText(series, adviceOf(series))).toContain('nothing to hold it against');
  });
});
