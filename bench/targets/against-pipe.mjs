import { figureOf } from '../../dist/bench/results.js';
import { runPlan } from '../../dist/bench/run.js';
import { spreadOf } from '../../dist/bench/statistics.js';
import { figure, printRun, printSummary } from '../../dist/cli/bench/print.js';

/** A pipe slower than this part of what such a machine gave before needs an explanation first. */
const PIPE_LEAST = 0.8;
const DEPTH = 8;
const POINT = { batchBytesMax: 256 * 1024, applyUs: 0 };
/** What the bare pipe knows, which applies nothing either. */
const PIPE_CODECS = ['lz4', 'none'];

/** Entries a second of the bare pipe on two cores of an AMD EPYC with a local disk, by payload. */
const PIPE_BEFORE = { 16: 2_450_000, 128: 1_100_000, 1024: 220_000 };

export const throughputRows = [
  { payload: 16, least: 0.6 },
  { payload: 128, least: 0.65 },
  { payload: 1024, least: 0.7 },
].map(({ payload, least }) => ({
  name: `entries-${payload}`,
  own: ['rate', 'apply-us', 'minutes'],
  codecs: PIPE_CODECS,
  measure: `entries/s of ${payload} B against the bare pipe's`,
  target: `≥ ${least}`,
  run: (context) => throughput(context, payload, least),
}));

export const latencyRow = {
  name: 'latency-depth-1',
  own: ['rate', 'depth', 'concurrency', 'apply-us', 'minutes'],
  codecs: PIPE_CODECS,
  measure: "depth 1, one client: p50 commit latency against the bare pipe's",
  target: '≤ 1.6',
  async run(context) {
    const settings = context.settings({ ...POINT, payload: 128, depth: 1, concurrency: 1 });
    const { figures, ...rest } = await against(
      context,
      settings,
      (run) => run.latency.p50Ms,
      (ratio) => ratio <= 1.6,
    );
    return { ...rest, figures: figures.map((each) => ({ ...each, name: 'p50, cluster / pipe' })) };
  },
};

async function throughput(context, payload, least) {
  const settings = context.settings({ ...POINT, payload, depth: context.depth ?? DEPTH });
  const outcome = await against(
    context,
    settings,
    (run) => run.entriesPerSecond,
    (ratio) => ratio >= least,
  );
  const pipe = figureOf(outcome.data.pipe, (run) => run.entriesPerSecond).median;
  const share = pipe / PIPE_BEFORE[payload];
  const text = `the pipe gave ${figure(pipe)} entries/s, ${figure(share)} times what it gave on two cores of an AMD EPYC before`;
  const warning = share < PIPE_LEAST ? ': EXPLAIN THIS FIRST' : '';
  return { ...outcome, beside: [`${text}${warning}`] };
}

/** Runs in turns: the ratio of the medians, and the lowest and highest ratio of two runs side by side. */
async function against(context, settings, of, met) {
  const plan = { settings, sides: ['pipe', 'cluster'], runs: context.runs };
  const measured = await runPlan(plan, context.workspace, (run, result) =>
    printRun(context.output, settings, run, result),
  );
  printSummary(context.output, measured);
  const { cluster, pipe } = measured;
  const value = figureOf(cluster, of).median / figureOf(pipe, of).median;
  const { min, max } = spreadOf(cluster.map((run, at) => of(run) / of(pipe[at])));
  const figures = [{ name: 'cluster / pipe', value, low: min, high: max, met: met(value) }];
  return { figures, settings, beside: [], data: { cluster, pipe } };
}
