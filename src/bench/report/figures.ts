import { type Advice, depthOrder, hasLatencies, isTimed, type Point, type Series } from '../advice.js';
import type { RunResult } from '../measure.js';
import { figureOf } from '../results.js';
import type { BenchSettings } from '../settings.js';
import type { Line, Plot, Value } from './plot.js';
import { rounded } from './text.js';

const KiB = 1024;

/** The quantiles that are drawn, the highest first, as they stand above each other. */
const QUANTILES = [
  { name: 'p99.9', of: (run: RunResult) => run.latency.p999Ms },
  { name: 'p99', of: (run: RunResult) => run.latency.p99Ms },
  { name: 'p90', of: (run: RunResult) => run.latency.p90Ms },
  { name: 'p50', of: (run: RunResult) => run.latency.p50Ms },
] as const;

/** Of several runs; undefined where none can tell. */
type Told = (runs: readonly RunResult[]) => Value | undefined;

/** What is drawn of one series: throughput, p99 and the latencies' distribution, each against depth. */
export function plotsOf(series: Series, advice: Advice | undefined): Plot[] {
  const depths = [...new Set(series.points.map(({ settings }) => settings.depth))].sort(
    (a, b) => depthOrder(a) - depthOrder(b),
  );
  const apart = depths.filter((depth) => depth !== 'auto').length;
  const common = { xLabel: 'depth: batches in flight', categories: depths.map(String), apart };
  const batches = [...new Set(series.points.map(({ settings }) => settings.batchBytesMax))];
  const byBatch = (of: Told): Line[] =>
    batches.map((batch) => ({
      name: `batches of ${batch / KiB} KiB`,
      values: depths.map((depth) => valueAt(series.points, batch, depth, of)),
    }));
  const markOf = (point: Point | undefined, text: string): Plot['mark'] =>
    point && {
      category: depths.indexOf(point.settings.depth),
      text: `${text}: ${shortText(point.settings)}`,
    };
  const shown = advice?.best ?? series.points[0]!;
  return [
    {
      ...common,
      title: 'Throughput against depth',
      description: described(series.points, 'entries a second', ({ throughput }) => throughput.median),
      yLabel: 'entries/s',
      lines: byBatch(toldOf((run) => run.entriesPerSecond)),
      mark: markOf(advice?.knee, 'knee'),
    },
    {
      ...common,
      title: '99th percentile of latency against depth',
      description: described(series.points, 'milliseconds', (point) =>
        isTimed(point) ? point.p99.median : undefined,
      ),
      yLabel: 'p99 of commit latency, ms',
      lines: byBatch(latencyOf((run) => run.latency.p99Ms)),
      mark: markOf(advice?.recommended, 'recommended'),
    },
    {
      ...common,
      title: `Percentiles of latency against depth, batches of ${shown.settings.batchBytesMax / KiB} KiB`,
      description: described(
        series.points,
        'milliseconds at the median',
        ({ runs }) => latencyOf((run) => run.latency.p50Ms)(runs)?.y,
      ),
      yLabel: 'commit latency, ms',
      lines: QUANTILES.map(({ name, of }) => ({
        name,
        values: depths.map((depth) =>
          valueAt(series.points, shown.settings.batchBytesMax, depth, latencyOf(of)),
        ),
      })),
      mark: markOf(advice?.recommended, 'recommended'),
      log: true,
    },
  ];
}

export function shortText({ depth, batchBytesMax }: BenchSettings): string {
  return `depth ${depth}, ${batchBytesMax / KiB} KiB`;
}

function valueAt(
  points: readonly Point[],
  batch: number,
  depth: BenchSettings['depth'],
  of: Told,
): Value | undefined {
  const point = points.find(({ settings }) => settings.batchBytesMax === batch && settings.depth === depth);
  return point && of(point.runs);
}

function toldOf(of: (run: RunResult) => number): Told {
  return (runs) => {
    const spread = figureOf(runs, of);
    return spread && { y: spread.median, low: spread.min, high: spread.max };
  };
}

function latencyOf(of: (run: RunResult) => number): Told {
  return (runs) => toldOf(of)(runs.filter(hasLatencies));
}

function described(points: readonly Point[], unit: string, of: (point: Point) => number | undefined): string {
  const each = points.map((point) => {
    const value = of(point);
    return `${shortText(point.settings)}: ${value === undefined ? 'not known' : `${rounded(value)} ${unit}`}`;
  });
  return `${each.join('; ')}.`;
}
