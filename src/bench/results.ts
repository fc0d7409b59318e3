import { readFileSync } from 'node:fs';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { seededRandom } from '../base/prng.js';
import type { MachineFacts } from './machine.js';
import type { RunResult } from './measure.js';
import { faultOfResults } from './results-shape.js';
import { type BenchSettings, conditionsText } from './settings.js';
import type { Side } from './side.js';
import { compareRuns, nothingShown, type Quotient, type Spread, spreadOf } from './statistics.js';

/** Of the format of result files. */
export const RESULTS_VERSION = 1;

/** One set of settings and all that was measured with it. */
export interface Measured {
  settings: BenchSettings;
  /** Programs by thread, of each side. */
  threads: { cluster?: Side['threads']; pipe?: Side['threads'] };
  cluster: RunResult[];
  pipe: RunResult[];
}

/** What a benchmark writes with `--json`. */
export interface Results {
  benchmark: 'cluster' | 'limit' | 'sweep';
  version: typeof RESULTS_VERSION;
  machine: MachineFacts;
  /** Raw bytes for one stored, of full batches of the data, by payload. */
  compressibility: Record<string, number>;
  measured: Measured[];
}

const SIDES = ['cluster', 'pipe'] as const;

/** The figures that are summed up over runs: name, how to read it from a run, and whether more is better; undefined: it is neither. */
export const FIGURES = [
  { name: 'entries/s', of: (run: RunResult) => run.entriesPerSecond, more: true },
  { name: 'MB/s', of: (run: RunResult) => run.mbPerSecond, more: true },
  { name: 'latency p50, ms', of: (run: RunResult) => run.latency.p50Ms, more: false },
  { name: 'latency p99, ms', of: (run: RunResult) => run.latency.p99Ms, more: false },
  { name: 'latency p99.9, ms', of: (run: RunResult) => run.latency.p999Ms, more: false },
  { name: 'batches/s', of: (run: RunResult) => run.batchesPerSecond, more: undefined },
  { name: 'CPU, µs an entry, all nodes', of: (run: RunResult) => run.cpuUsPerEntry, more: false },
] as const;

export function figureOf(runs: readonly RunResult[], of: (run: RunResult) => number): Spread | undefined {
  return runs.length === 0 ? undefined : spreadOf(runs.map(of));
}

/** Cluster against pipe, by the medians of entries a second; undefined unless both were measured. */
export function limitRatio({ cluster, pipe }: Measured): number | undefined {
  const ours = figureOf(cluster, (run) => run.entriesPerSecond);
  const limit = figureOf(pipe, (run) => run.entriesPerSecond);
  return ours === undefined || limit === undefined ? undefined : ours.median / limit.median;
}

/** How one figure of one measured set changed. */
export interface Change {
  conditions: string;
  side: 'cluster' | 'pipe';
  figure: string;
  base: number;
  changed: number;
  quotient: Quotient;
  /** undefined: no difference that the runs could show, or one that is neither better nor worse. */
  better: boolean | undefined;
}

/** What is measured, or was: settings, and the sides that ran with them. */
export interface Subject {
  settings: BenchSettings;
  sides: readonly ('cluster' | 'pipe')[];
}

/** Of what was not measured alike, a line names so many. */
const SHOWN = 2;

/** @throws RaftlineError `RAFTLINE_USAGE_INVALID` unless `base` measured one of these, so that the two can be compared */
export function requireAlike(base: Results, subjects: readonly Subject[]): void {
  const had = subjectsOf(base).flatMap(subjectTexts);
  const wanted = subjects.flatMap(subjectTexts);
  if (wanted.some((each) => had.includes(each))) return;
  throw new RaftlineError(
    ErrorCode.UsageInvalid,
    `nothing was measured alike: expected ${someText(wanted)}, received ${someText(had)}`,
  );
}

/** A sweep has many. */
function someText(texts: readonly string[]): string {
  const others = texts.length - SHOWN;
  return texts.slice(0, SHOWN).join('; ') + (others > 0 ? ` and ${others} more` : '');
}

function subjectsOf({ measured }: Results): Subject[] {
  return measured.map((each) => ({
    settings: each.settings,
    sides: SIDES.filter((side) => each[side].length > 0),
  }));
}

function subjectTexts({ settings, sides }: Subject): string[] {
  return sides.map((side) => `${side} with ${everythingText(settings)}`);
}

/**
 * What two files have measured alike, compared figure by figure. What only one of them has is left out.
 * @throws RaftlineError `RAFTLINE_USAGE_INVALID` when they have nothing in common
 */
export function compareResults(base: Results, changed: Results): Change[] {
  requireAlike(base, subjectsOf(changed));
  return changed.measured.flatMap((after) => {
    const conditions = conditionsText(after.settings);
    const everything = everythingText(after.settings);
    const before = base.measured.find(({ settings }) => everythingText(settings) === everything);
    if (before === undefined) return [];
    return SIDES.flatMap((side) => changesOf(conditions, side, before[side], after[side]));
  });
}

/** All that two measurements must have in common: what is printed beside each figure, and what goes without saying there. */
function everythingText(settings: BenchSettings): string {
  const { concurrency, data, seed, seconds, warmupSeconds } = settings;
  const file = typeof data === 'string' ? '' : ` of ${data.file}`;
  const outstanding = `at most ${concurrency} outstanding, data${file} by seed ${seed}`;
  return `${conditionsText(settings)} (${outstanding}, ${seconds} s after ${warmupSeconds} s)`;
}

function changesOf(
  conditions: string,
  side: 'cluster' | 'pipe',
  before: readonly RunResult[],
  after: readonly RunResult[],
): Change[] {
  if (before.length === 0 || after.length === 0) return [];
  return FIGURES.flatMap(({ name, of, more }) => {
    const [from, to] = [before.map(of), after.map(of)];
    if ([...from, ...to].some((value) => value <= 0)) return [];
    const quotient = compareRuns(from, to, seededRandom(1));
    const better = quotient.significant && more !== undefined ? quotient.ratio > 1 === more : undefined;
    const medians = { base: spreadOf(from).median, changed: spreadOf(to).median };
    return [{ conditions, side, figure: name, ...medians, quotient, better }];
  });
}

export function verdictText({ better, quotient }: Change): string {
  if (!quotient.significant) return nothingShown(quotient);
  return better === undefined ? 'a difference, neither better nor worse' : better ? 'better' : 'worse';
}

/**
 * Where two results were taken with data that LZ4 makes smaller by more than a twentieth otherwise, in words: a file may have changed
 * under its name. Another size of batch, or another LZ4, makes less of a difference.
 */
export function dataNote(base: Results, changed: Results): string | undefined {
  const others = Object.entries(changed.compressibility).flatMap(([payload, ratio]) => {
    const before = base.compressibility[payload];
    if (before === undefined || Math.max(before / ratio, ratio / before) < 1.05) return [];
    return [`full batches of ${payload} B entries ${before.toFixed(2)} → ${ratio.toFixed(2)} times smaller`];
  });
  return others.length === 0 ? undefined : `not of the same data: LZ4 makes ${others.join(', ')}`;
}

/** @throws RaftlineError `RAFTLINE_USAGE_INVALID` for a file that is missing, no result of ours, or one without runs */
export function readResults(file: string): Results {
  const refuse = (why: string): RaftlineError => noResult(file, 'raftline bench', why);
  const results = readJson(file, refuse) as Partial<Results> | null;
  if (results?.version !== RESULTS_VERSION || !Array.isArray(results.measured)) {
    throw refuse(`received ${kindText(results)}`);
  }
  if (results.measured.length === 0) throw refuse('received one without any run');
  const measured = results.measured.map(withOlderDefaults);
  const fault = faultOfResults(results.machine, results.compressibility, measured);
  if (fault !== undefined) throw refuse(`received one with ${fault}`);
  return { ...results, measured } as Results;
}

/** What a file holds that is not what was expected: another benchmark's results, or the beginning of whatever it is. */
export function kindText(results: unknown): string {
  const { benchmark, version } = (results ?? {}) as Record<string, unknown>;
  if (typeof benchmark !== 'string') return JSON.stringify(results).slice(0, 60);
  return `one of ${benchmark.slice(0, 60)}${version === undefined ? '' : `, version ${version}`}`;
}

/** About a file that `program` is to have written. */
export function noResult(file: string, program: string, why: string): RaftlineError {
  return new RaftlineError(ErrorCode.UsageInvalid, `${file}: expected a result of ${program}, ${why}`);
}

/** Throws what `refuse` makes of the reason for a file that is missing or no JSON. */
export function readJson(file: string, refuse: (why: string) => RaftlineError): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (thrown) {
    throw refuse(`received ${(thrown as NodeJS.ErrnoException).code}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw refuse('received no JSON');
  }
}

/** Before there were options for them, every node synced, and no state machine had work to do. */
const OLDER_DEFAULTS: Pick<BenchSettings, 'durability' | 'applyUs'> = { durability: 'sync', applyUs: 0 };

function withOlderDefaults(measured: Measured | null): unknown {
  return { ...measured, settings: { ...OLDER_DEFAULTS, ...measured?.settings } };
}
