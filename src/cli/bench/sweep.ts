import { writeFileSync } from 'node:fs';
import { adviceOf, seriesOf } from '../../bench/advice.js';
import { Workspace } from '../../bench/processes.js';
import { adviceText } from '../../bench/report/advice-text.js';
import { sweepPage } from '../../bench/report/page.js';
import { RESULTS_VERSION, type Results } from '../../bench/results.js';
import { unmeasured } from '../../bench/run.js';
import { type BenchSettings, storedText } from '../../bench/settings.js';
import { type SweepPlan, type SweepProgress, sweep, sweepSeconds } from '../../bench/sweep.js';
import type { CommandShape } from '../arguments.js';
import { ExitCode, failureOf, fileError } from '../failure.js';
import { note, Output } from '../output.js';
import { writeResults } from './cluster.js';
import {
  BenchArguments,
  LOAD_FLAGS,
  NODES_FLAG,
  OUTPUT_FLAGS,
  SIDE_NOTES,
  SWEEP_CONCURRENCY_FLAG,
} from './flags.js';
import { figure, printChanges, printRun, printSubject } from './print.js';

const KiB = 1024;
const POINTS_MAX = 1000;
const REPORT = 'raftline-sweep.html';

export const benchSweepShape: CommandShape = {
  name: 'bench sweep',
  summary:
    'measures a cluster at many depths, batch sizes and payloads, and writes a report that says what to set',
  flags: [
    { name: 'depth', value: 'N,…|auto', help: 'batches in flight (default 1,2,4,8,16,32,auto)' },
    { name: 'batch', value: 'KIB,…', help: 'bytes of a batch, in KiB (default 256)' },
    { name: 'payload', value: 'BYTES,…', help: 'bytes of an entry (default 128)' },
    SWEEP_CONCURRENCY_FLAG,
    NODES_FLAG,
    ...LOAD_FLAGS,
    { name: 'html', value: 'FILE', help: `write the report there (default ${REPORT})` },
    ...OUTPUT_FLAGS,
  ],
  notes: [
    'Ctrl-C (or SIGTERM) ends it early, and writes the report of what has been measured by then; a second one writes nothing.',
    ...SIDE_NOTES,
  ],
};

export async function benchSweep(args: readonly string[]): Promise<ExitCode> {
  const given = new BenchArguments(benchSweepShape, args);
  const plan: SweepPlan = { points: pointsOf(given), runs: given.runs() };
  const before = given.base(plan.points.map((settings) => ({ settings, sides: ['cluster'] })));
  const json = given.resultsFile();
  const html = given.reportFile(REPORT);
  const output = new Output();
  const interruption = interruptible();
  const workspace = new Workspace(given.directory(), given.profileDirectory(), interruption.interrupt);
  try {
    const subject = printSubject(output, workspace.root, plan.points);
    output.line(
      `${plan.points.length} settings × ${plan.runs} runs, about ${timeText(sweepSeconds(plan))}\n`,
    );
    const points = plan.points.map(unmeasured);
    const onRun = (progress: SweepProgress): void => printProgress(output, progress);
    const failure = await failureOf(sweep(plan, workspace, interruption.interrupted, onRun, points));
    const measured = points.filter(({ cluster }) => cluster.length > 0);
    const complete = points.every(({ cluster }) => cluster.length === plan.runs);
    const results: Results = {
      benchmark: 'sweep',
      version: RESULTS_VERSION,
      ...subject,
      measured,
    };
    if (measured.length > 0) {
      report(output, html, results, complete);
      writeResults(output, json, results);
    } else note(`nothing was measured, nothing is written to ${[html, json].filter(Boolean).join(', ')}`);
    if (before !== undefined && complete) printChanges(output, before, results);
    await output.flushed();
    if (failure !== undefined) throw failure;
    // The run that was under way would keep the process: it is killed with its cluster.
    if (!complete) process.exit(interruption.exitCode());
    return ExitCode.Done;
  } finally {
    workspace.dispose();
  }
}

function report(output: Output, html: string, results: Results, complete: boolean): void {
  try {
    writeFileSync(html, sweepPage(results, complete));
  } catch (thrown) {
    throw fileError(html, thrown);
  }
  for (const series of seriesOf(results.measured)) {
    const { settings } = series.points[0]!;
    output.line(`\n${settings.payload} B entries, ${settings.nodes} nodes, ${storedText(settings)}:`);
    output.line(adviceText(series, adviceOf(series)));
  }
  output.line(`\n${complete ? 'report' : 'not complete; report of what was measured'}: ${html}`);
}

/** All points of one payload are measured under one load, the one that fills the deepest. */
function pointsOf(given: BenchArguments): BenchSettings[] {
  const depths = given.depths([1, 2, 4, 8, 16, 32, 'auto']);
  const batches = given.list('batch', 1, 16_384, [256]).map((kib) => kib * KiB);
  const payloads = given.list('payload', 1, KiB * KiB, [128]);
  const nodes = given.integer('nodes', 1, 15) ?? 3;
  const linkDelayMs = given.linkDelayMs();
  const points = payloads.flatMap((payload) => {
    const all = batches.flatMap((batchBytesMax) =>
      depths.map((depth) => given.settings({ payload, depth, batchBytesMax, linkDelayMs }, nodes)),
    );
    const concurrency = Math.max(...all.map((settings) => settings.concurrency));
    return all.map((settings) => ({ ...settings, concurrency }));
  });
  return given.bounded(points, POINTS_MAX, 'settings');
}

function printProgress(output: Output, { done, total, secondsLeft, settings, result }: SweepProgress): void {
  printRun(output, settings, done, result);
  const left = done === total ? 'done' : `about ${timeText(secondsLeft)} left`;
  note(`${done} of ${total}, ${left}`);
}

function timeText(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${figure(seconds / 3600)} h`;
}

/** The first signal ends the measuring, not the command. */
function interruptible() {
  let interrupt = (_exitCode: number): void => {};
  let exitCode = 0;
  const interrupted = new Promise<void>((done) => {
    interrupt = (code) => {
      note('\ninterrupted');
      exitCode = code;
      done();
    };
  });
  return { interrupted, interrupt, exitCode: () => exitCode };
}
