import type { RunResult } from './measure.js';
import { figureOf, type Measured } from './results.js';
import type { BenchSettings } from './settings.js';
import { type Spread, spreadOf } from './statistics.js';

/** Less than this of the highest throughput, or of the rate that was offered, is too little, whatever the latency. */
export const ENOUGH = 0.95;
/** Where a rate is offered, throughput says little: the knee is then where p99 is within this multiple of the lowest. */
export const KNEE_P99 = 1.2;
/** What 'auto' may cost: this part of the best fixed depth's throughput, and this multiple of its p99. */
export const AUTO_BOUNDS = { throughput: 0.95, p99: 1.2 } as const;

/** One set of settings with its medians. */
export interface Point {
  settings: BenchSettings;
  runs: RunResult[];
  throughput: Spread;
  /** Of the runs in which latencies were taken; infinite where there is none. */
  p99: Spread;
}

/** Points that were measured under the same load: only they can be set against each other. */
export interface Series {
  payload: number;
  linkDelayMs: number;
  /** By batch size, then depth, 'auto' last. */
  points: Point[];
}

/** What the points of one series say. */
export interface Advice {
  /** The highest throughput of a fixed depth; the lowest p99 among those within 5 % of it, or of the rate that was offered. */
  fastest: Point;
  best: Point;
  /** The best one, unless it is the only fixed setting that was measured. */
  recommended: Point | undefined;
  /**
   * undefined where that batch size was measured at one fixed depth only. The smallest depth of the best one's batch size that has 95 % of that batch size's highest throughput. Where a rate was offered: that
   * keeps up with it, at a p99 of at most 1.2 times the lowest.
   */
  knee: Point | undefined;
  /** Fixed depths whose runs overlap with the best one's, in throughput and in p99: the runs do not tell them apart. */
  alike: Point[];
  /** `good`: within its bounds. `alike`: its runs overlap with the best one's, in throughput and in p99. */
  auto: { point: Point; throughput: number; p99: number; good: boolean; alike: boolean } | undefined;
}

export function seriesOf(measured: readonly Measured[]): Series[] {
  const found = new Map<string, Series>();
  for (const { settings, cluster } of measured) {
    const throughput = figureOf(cluster, (run) => run.entriesPerSecond);
    if (throughput === undefined) continue;
    const p99 =
      figureOf(cluster.filter(hasLatencies), (run) => run.latency.p99Ms) ??
      spreadOf([Number.POSITIVE_INFINITY]);
    const { payload, linkDelayMs } = settings;
    const key = `${payload} ${linkDelayMs}`;
    const series = found.get(key) ?? { payload, linkDelayMs, points: [] };
    series.points.push({ settings, runs: cluster, throughput, p99 });
    found.set(key, series);
  }
  for (const { points } of found.values()) points.sort(bySettings);
  return [...found.values()].sort((a, b) => a.linkDelayMs - b.linkDelayMs || a.payload - b.payload);
}

/** A run that completed no entry of those whose latency is taken has none, which is not a latency of 0. */
export function hasLatencies({ latency }: RunResult): boolean {
  return latency.samples > 0;
}

/** Whether some run of it has latencies. */
export function isTimed({ p99 }: Point): boolean {
  return Number.isFinite(p99.median);
}

function bySettings({ settings: a }: Point, { settings: b }: Point): number {
  return a.batchBytesMax - b.batchBytesMax || depthOrder(a.depth) - depthOrder(b.depth);
}

/** 'auto' comes last. */
export function depthOrder(depth: BenchSettings['depth']): number {
  return depth === 'auto' ? Number.POSITIVE_INFINITY : depth;
}

export function isFixed({ settings }: Point): boolean {
  return settings.depth !== 'auto';
}

/** Whether it completes what is offered; in a closed loop nothing is. */
export function keepsUp({ settings, throughput }: Point): boolean {
  return throughput.median >= ENOUGH * (settings.rate ?? 0);
}

/** @returns undefined where no fixed depth has latencies, or none keeps up with the rate: there is nothing to hold anything against */
export function adviceOf({ points }: Series): Advice | undefined {
  const timed = points.filter(isTimed);
  const fixed = timed.filter(isFixed);
  if (!fixed.some(keepsUp)) return undefined;
  const fastest = highest(fixed);
  const best = enough(fixed).reduce((low, each) => (each.p99.median < low.p99.median ? each : low));
  const sameBatch = fixed.filter(({ settings }) => settings.batchBytesMax === best.settings.batchBytesMax);
  const alike = fixed.filter((each) => each !== best && runsOverlap(each, best));
  const autos = timed.filter((each) => !isFixed(each));
  return {
    fastest,
    best,
    recommended: points.filter(isFixed).length > 1 ? best : undefined,
    knee: sameBatch.length > 1 ? kneeOf(enough(sameBatch)) : undefined,
    alike,
    auto: autoOf(autos, best),
  };
}

/** The one with the best's batch size, if it was measured. */
function autoOf(autos: readonly Point[], best: Point): Advice['auto'] {
  const alike = autos.find(({ settings }) => settings.batchBytesMax === best.settings.batchBytesMax);
  const point = alike ?? (autos.length === 0 ? undefined : highest(autos));
  if (point === undefined) return undefined;
  const throughput = point.throughput.median / best.throughput.median;
  const p99 = point.p99.median / best.p99.median;
  const good = throughput >= AUTO_BOUNDS.throughput && p99 <= AUTO_BOUNDS.p99;
  return { point, throughput, p99, good, alike: runsOverlap(point, best) };
}

function runsOverlap(a: Point, b: Point): boolean {
  return overlap(a.throughput, b.throughput) && overlap(a.p99, b.p99);
}

function overlap(a: Spread, b: Spread): boolean {
  return a.min <= b.max && b.min <= a.max;
}

/** How many batches a pipeline let be under way at the end of its runs; undefined where nobody told. */
export function chosenDepth(runs: readonly RunResult[]): Spread | undefined {
  const depths = runs.flatMap(({ depth }) => (depth === undefined ? [] : [depth.batches]));
  return depths.length === 0 ? undefined : spreadOf(depths);
}

export function highest(points: readonly Point[]): Point {
  return points.reduce((high, each) => (each.throughput.median > high.throughput.median ? each : high));
}

/** @param points with enough throughput, by depth */
function kneeOf(points: readonly Point[]): Point {
  const [first] = points as [Point];
  if (first.settings.rate === undefined) return first;
  const most = KNEE_P99 * Math.min(...points.map(({ p99 }) => p99.median));
  return points.find(({ p99 }) => p99.median <= most)!;
}

function enough(points: readonly Point[]): Point[] {
  const { throughput, settings } = highest(points);
  const least = ENOUGH * Math.min(throughput.median, settings.rate ?? Number.POSITIVE_INFINITY);
  return points.filter(({ throughput }) => throughput.median >= least);
}
