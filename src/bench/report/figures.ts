import { type Advice, depthOrder, type Point, type Series } from '../advice.js';
import type { RunResult } from '../measure.js';
import type { BenchSettings } from '../settings.js';
import { spreadOf } from '../statistics.js';
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

/** What is drawn of one series: throughput, p99 and the latencies' distribution, each against depth. */
export function plotsOf(series: Series, advice: Advice | undefined): Plot[] {
  const depths = [...new Set(series.points.map(({ settings }) => settings.depth))].sort(
    (a, b) => depthOrder(a) - depthOrder(b),
  );
  const apart = depths.filter((depth) => depth !== 'auto').length;
  const common = { xLabel: 'depth: batches in flight', categories: depths.map(String), apart };
  const batches = [...new Set(series.points.map(({ settings }) => settings.batchBytesMax))];
  const byBatch = (of: (run: RunResult) => number): Line[] =>
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
      lines: byBatch((run) => run.entriesPerSecond),
      mark: markOf(advice?.knee, 'knee'),
    },
    {
      ...common,
      title: '99th percentile of latency against depth',
      description: described(series.points, 'milliseconds', ({ p99 }) => p99.median),
      yLabel: 'p99 of commit latency, ms',
      lines: byBatch((run) => run.latency.p99Ms),
      mark: markOf(advice?.best, 'recommended'),
    },
    {
      ...common,
      title: `Percentiles of latency against depth, batches of ${shown.settings.batchBytesMax / KiB} KiB`,
      description: described(
        series.points,
        'milliseconds at the median',
        ({ runs }) => runs[0]!.latency.p50Ms,
      ),
      yLabel: 'commit latency, ms',
      lines: QUANTILES.map(({ name, of }) => ({
        name,
        values: depths.map((depth) => valueAt(series.points, shown.settings.batchBytesMax, depth, of)),
      })),
      mark: markOf(advice?.best, 'recommended'),
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
  of: (run: RunResult) => number,
): Value | undefined {
  const point = points.find(({ settings }) => settings.batchBytesMax === batch && settings.depth === depth);
  if (point === undefined) return undefined;
  const { median, min, max } = spreadOf(point.runs.map(of));
  return { y: median, low: min, high: max };
}

function described(points: readonly Point[], unit: string, of: (point: Point) => number): string {
  return `${points.map((point) => `${shortText(point.settings)}: ${rounded(of(point))} ${unit}`).join('; ')}.`;
}
