import { describe, expect, it } from 'vitest';
import { sweepPage } from '../../src/bench/report/page.js';
import { evenTicks, logTicks, plotSvg } from '../../src/bench/report/plot.js';
import { measuredAt, resultsOf } from './figures.js';

const NASTY = '<script>alert("&\'</title></svg>\u0000';

/** Tags must close what they open, in order; text holds no bare sign that could begin a tag or an entity. */
function faultOf(markup: string): string | undefined {
  const open: string[] = [];
  let from = 0;
  for (const tag of markup.matchAll(
    /<(!doctype html|\/?[a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g,
  )) {
    const between = markup.slice(from, tag.index);
    from = tag.index + tag[0].length;
    const inStyle = open.at(-1) === 'style';
    if (!inStyle && /[<>]|&(?!(amp|lt|gt|quot|#39);)/.test(between))
      return `stray signs: ${between.slice(0, 80)}`;
    const name = tag[1]!;
    if (name.startsWith('!') || tag[3] === '/') continue;
    if (!name.startsWith('/')) open.push(name);
    else if (open.pop() !== name.slice(1)) return `${name} closes nothing`;
  }
  if (open.length > 0) return `left open: ${open.join(' ')}`;
  return markup.slice(from).trim() === '' ? undefined : `after the end: ${markup.slice(from)}`;
}

const measured = [1, 2, 4, 'auto' as const].flatMap((depth) =>
  [65_536, 262_144].map((batchBytesMax) =>
    measuredAt({ depth, batchBytesMax }, [100_000, 10], [110_000, 12], [105_000, 11]),
  ),
);

describe('the report of a sweep', () => {
  const page = sweepPage(resultsOf(measured), true);

  it('is well-formed, one file, and asks nobody for anything', () => {
    expect(faultOf(page)).toBeUndefined();
    const own = page.replaceAll('xmlns="http://www.w3.org/2000/svg"', '');
    expect(own).not.toMatch(
      /https?:|\/\/[a-z]|<script|<link|<img|<iframe|\bsrc=|\bhref=|url\(|@import|@font-face/i,
    );
  });

  it('has every figure beside what it was measured with', () => {
    expect(page.match(/<svg /g)).toHaveLength(3);
    const captions = [...page.matchAll(/<figcaption>(.*?)<\/figcaption>/g)].map(([, text]) => text!);
    expect(captions).toHaveLength(3);
    for (const caption of captions) {
      expect(caption).toContain('128 B entries');
      expect(caption).toContain('3 nodes');
      expect(caption).toContain('batch 64, 256 KiB');
      expect(caption).toContain('depth 1, 2, 4, auto');
      expect(caption).toContain('synced on every node');
      expect(caption).toContain('3 × 1 s after 1 s of warm-up');
    }
  });

  it('has a chapter for every payload and every delay, each with advice of its own', () => {
    const all = [...measured, measuredAt({ depth: 8, linkDelayMs: 20 }, [10, 10])];
    const chapters = sweepPage(resultsOf(all), true);
    expect(chapters).toContain('Entries of 128 B, links without added delay');
    expect(chapters).toContain('Entries of 128 B, links 20 ms longer each way');
    expect(chapters.match(/class="advice"/g)).toHaveLength(2);
    expect(faultOf(chapters)).toBeUndefined();
  });

  it("says what 'auto' chose", () => {
    expect(page).toContain('<td>auto (7)</td>');
    expect(page).toContain('&#39;auto&#39;, which chose 7, reached 1.00 times');
  });

  it('says when the machine had other work', () => {
    expect(page).not.toContain('busy');
    expect(sweepPage(resultsOf(measured, { loadAverage: [2.1, 0, 0] }), true)).toContain(
      'busy with other work',
    );
  });

  it('says when it is not whole', () => {
    expect(page).not.toContain('interrupted');
    expect(sweepPage(resultsOf(measured.slice(0, 1)), false)).toContain('The sweep was interrupted');
    expect(faultOf(sweepPage(resultsOf([]), false))).toBeUndefined();
  });

  it('tells the numbers of runs where they differ', () => {
    const some = [measuredAt({ depth: 1 }, [10, 1], [11, 1]), measuredAt({ depth: 2 }, [10, 1])];
    expect(sweepPage(resultsOf(some), false)).toContain('1 to 2 × 1 s after 1 s of warm-up');
  });

  it('draws no latency, and tells none, where nothing was completed', () => {
    const silent = measuredAt({ depth: 1 }, [0, 0]);
    silent.cluster[0]!.latency.samples = 0;
    for (const all of [[silent], [silent, ...measured]]) {
      const shown = sweepPage(resultsOf(all), true);
      expect(faultOf(shown)).toBeUndefined();
      expect(shown).not.toMatch(/NaN|Infinity|∞/);
      expect(shown).toContain('<td>–</td>');
      expect(shown).toContain('Too few entries were completed');
    }
    const [, p99] = sweepPage(resultsOf([silent]), true)
      .split('<figure>')
      .slice(1);
    // The one in the legend.
    expect(p99!.match(/<circle/g)).toHaveLength(1);
  });

  it('shows what a machine or a file is called as text, whatever it holds', () => {
    const hostile = sweepPage(
      resultsOf([measuredAt({ data: { file: NASTY } }, [10, 10])], { cpu: NASTY, commit: NASTY }),
      true,
    );
    expect(hostile).toContain('&lt;script&gt;alert(&quot;&amp;&#39;&lt;/title&gt;&lt;/svg&gt;\ufffd');
    expect(hostile).not.toContain('<script');
    expect(hostile).not.toContain('\u0000');
    expect(faultOf(hostile)).toBeUndefined();
  });
});

describe('a plot', () => {
  const value = (y: number) => ({ y, low: y * 0.9, high: y * 1.1 });
  const plot = {
    title: NASTY,
    description: NASTY,
    xLabel: NASTY,
    yLabel: NASTY,
    categories: ['1', '2', NASTY],
    apart: 2,
    lines: [
      { name: NASTY, values: [value(10), value(20), value(30)] },
      { name: 'b', values: [value(1), undefined, value(3)] },
    ],
    mark: { category: 1, text: NASTY },
  };
  const coordinates = (svg: string): number[] =>
    [...svg.matchAll(/ (?:x|y|x1|x2|y1|y2|cx|cy)="([^"]+)"/g)].map(([, text]) => Number(text));

  it('is well-formed whatever its texts are, and stays inside its picture', () => {
    for (const log of [false, true]) {
      const svg = plotSvg({ ...plot, log });
      expect(faultOf(svg)).toBeUndefined();
      for (const place of coordinates(svg)) {
        expect(place).toBeGreaterThanOrEqual(0);
        expect(place).toBeLessThanOrEqual(720);
      }
    }
  });

  it('tells its lines apart without colours: dashes and markers differ', () => {
    const lines = ['a', 'b', 'c', 'd'].map((name) => ({ name, values: [value(1), value(2), value(3)] }));
    const svg = plotSvg({ ...plot, lines });
    const dashes = [...svg.matchAll(/<path d="M[^"]*" fill="none"[^>]*?(?:stroke-dasharray="([^"]*)")?\/>/g)];
    expect(new Set(dashes.map(([, dash]) => dash ?? '')).size).toBe(4);
  });

  it('tells as many lines apart as a sweep may have sizes of batches, in black too', () => {
    const lines = Array.from({ length: 25 }, (_, at) => ({ name: `${at}`, values: [value(1), value(2)] }));
    const svg = plotSvg({ ...plot, lines });
    const looks = [
      ...svg.matchAll(/<line x1="[^>]*?stroke-width="2"(.*?)\/><(\w+) [^>]*?(l[^"]*|)"? fill="#ffffff"/g),
    ];
    expect(looks).toHaveLength(25);
    expect(new Set(looks.map(([, dashes, shape, steps]) => `${dashes} ${shape} ${steps}`)).size).toBe(25);
  });

  it('has a legend of as many rows as its names need, and the rest below it', () => {
    const lines = [16, 64, 256, 1024, 4096].map((kib) => ({
      name: `batches of ${kib} KiB`,
      values: [value(1), value(2)],
    }));
    const [one, all] = [lines.slice(0, 1), lines].map((some) => plotSvg({ ...plot, lines: some }));
    const names = [...all!.matchAll(/<text x="([\d.]+)" y="(\d+)">(batches[^<]*)</g)];
    expect(names).toHaveLength(5);
    for (const [, x, , name] of names) expect(Number(x) + 6.6 * name!.length).toBeLessThan(720);
    expect(new Set(names.map(([, , y]) => y)).size).toBe(2);
    expect(one).toContain('viewBox="0 0 720 350"');
    expect(all).toContain('viewBox="0 0 720 368"');
    expect(all).toContain('<g transform="translate(0 18)">');
  });

  it('has a scale where every value is 0, or there is none', () => {
    const zero = { y: 0, low: 0, high: 0 };
    for (const values of [[zero, zero, zero], []]) {
      for (const log of [false, true]) {
        const svg = plotSvg({ ...plot, lines: [{ name: 'a', values }], log });
        expect(svg).not.toMatch(/NaN|Infinity/);
        expect(faultOf(svg)).toBeUndefined();
      }
    }
  });

  it('leads no line to what stands apart', () => {
    const svg = plotSvg(plot);
    const [path] = [...svg.matchAll(/<path d="(M[^"]*)" fill="none"/g)].map(([, d]) => d!);
    expect(path!.split(/[ML]/).filter((piece) => piece !== '')).toHaveLength(2);
  });

  it.each([
    [0.7, [0, 0.2, 0.4, 0.6, 0.8]],
    [5, [0, 1, 2, 3, 4, 5]],
    [412_345, [0, 100_000, 200_000, 300_000, 400_000, 500_000]],
  ])('has round steps from 0 to above %d', (high, ticks) => {
    expect(evenTicks(high)).toEqual(ticks);
  });

  it.each([
    [3, 70, [2, 5, 10, 20, 50, 100]],
    [0.04, 0.06, [0.02, 0.05, 0.1]],
    [10, 10, [10, 20]],
    [0, 1, [1e-6, 2e-6, 5e-6]],
  ])('has round factors from below %d to above %d', (low, high, ticks) => {
    expect(logTicks(low, high).slice(0, ticks.length)).toEqual(ticks);
    expect(logTicks(low, high).at(-1)).toBeGreaterThanOrEqual(high);
  });
});
