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
    const figures = [];
    const beside = [];
    for (const series of seriesOf(measured)) {
      const { best, auto } = adviceOf(series);
      const at = `${series.linkDelayMs} ms`;
      // The spread is that of runs side by side: the n-th of one, and the n-th of the other.
      const one = (name, value, met, of) => {
        const { min: low, max: high } = spreadOf(
          auto.point.runs.map((run, at) => of(run) / of(best.runs[at])),
        );
        return { name: `${at}, ${name}`, value, low, high, met };
      };
      const isFast = auto.throughput >= AUTO_BOUNDS.throughput;
      figures.push(one('throughput', auto.throughput, isFast, (run) => run.entriesPerSecond));
      figures.push(one('p99', auto.p99, auto.p99 <= AUTO_BOUNDS.p99, (run) => run.latency.p99Ms));
      const chosen = chosenDepth(auto.point.runs);
      beside.push(
        `${at}: the best is ${best.settings.depth} (${figure(best.throughput.median)} entries/s, p99 ${figure(best.p99.median)} ms), ` +
          `auto ${figure(auto.point.throughput.median)} entries/s, p99 ${figure(auto.point.p99.median)} ms` +
          `${chosen === undefined ? '' : `, at a depth of ${chosen.median} in the end`}`,
      );
    }
    return { figures, settings: points[DEPTHS.length - 1], beside, data: measured };
  },
};
