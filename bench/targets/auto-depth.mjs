import { AUTO_BOUNDS, adviceOf, chosenDepth, seriesOf } from '../../dist/bench/advice.js';
import { spreadOf } from '../../dist/bench/statistics.js';
import { sweep } from '../../dist/bench/sweep.js';
import { figure, printRun } from '../../dist/cli/bench/print.js';

const DELAYS_MS = [0, 5, 20];
const DEPTHS = [1, 2, 4, 8, 16, 32, 64, 'auto'];
const POINT = { payload: 128, batchBytesMax: 256 * 1024 };

/** All under one load, the one that fills the deepest. */
export function autoDepthPoints({ rate, settings }) {
  const points = DELAYS_MS.flatMap((linkDelayMs) =>
    DEPTHS.map((depth) => ({ ...settings({ ...POINT, linkDelayMs, depth }), rate })),
  );
  const concurrency = Math.max(...points.map((each) => each.concurrency));
  return points.map((each) => ({ ...each, concurrency }));
}

/** What the default depth costs against the best number, near and far. */
export const autoDepthRow = {
  name: 'auto-depth',
  own: ['depth', 'followers-delay', 'minutes'],
  measure: "depth 'auto' against the best fixed one, at links of 0, 5 and 20 ms each way",
  target: `throughput ≥ ${AUTO_BOUNDS.throughput}, p99 ≤ ${AUTO_BOUNDS.p99} ×`,
  async run(context) {
    const points = autoDepthPoints(context);
    const never = new Promise(() => {});
    const measured = await sweep({ points, runs: context.runs }, context.workspace, never, (progress) =>
      printRun(context.output, progress.settings, progress.done, progress.result),
    );
    return { ...heldAgainst(measured), settings: points[DEPTHS.length - 1], data: measured };
  },
};

/** By links: 'auto' against the best fixed depth, or why there is nothing to say. */
export function heldAgainst(measured) {
  const all = seriesOf(measured).map((series) => {
    const advice = adviceOf(series);
    const missing = missingIn(series, advice);
    if (missing === undefined) return compared(series, advice);
    return { figures: [{ name: `${series.linkDelayMs} ms`, missing, met: false }], beside: [] };
  });
  return {
    figures: all.flatMap(({ figures }) => figures),
    beside: all.flatMap(({ beside }) => beside),
  };
}

function missingIn({ points }, advice) {
  const { rate } = points[0].settings;
  const keptUp = rate === undefined ? '' : ` and kept up with ${figure(rate)} entries/s`;
  if (advice === undefined) return `not known, since no fixed depth had latencies${keptUp}`;
  return advice.auto === undefined ? "not known, since depth 'auto' had no latencies" : undefined;
}

function compared({ linkDelayMs }, { best, auto }) {
  const at = `${linkDelayMs} ms`;
  // The spread is that of runs side by side: the n-th of one, and the n-th of the other.
  const one = (name, value, met, of) => {
    const { min: low, max: high } = spreadOf(auto.point.runs.map((run, at) => of(run) / of(best.runs[at])));
    return { name: `${at}, ${name}`, value, low, high, met };
  };
  const isFast = auto.throughput >= AUTO_BOUNDS.throughput;
  const chosen = chosenDepth(auto.point.runs);
  const text =
    `${at}: the best is ${best.settings.depth} (${figure(best.throughput.median)} entries/s, p99 ${figure(best.p99.median)} ms), ` +
    `auto ${figure(auto.point.throughput.median)} entries/s, p99 ${figure(auto.point.p99.median)} ms` +
    `${chosen === undefined ? '' : `, at a depth of ${chosen.median} in the end`}`;
  return {
    figures: [
      one('throughput', auto.throughput, isFast, (run) => run.entriesPerSecond),
      one('p99', auto.p99, auto.p99 <= AUTO_BOUNDS.p99, (run) => run.latency.p99Ms),
    ],
    beside: [text],
  };
}
