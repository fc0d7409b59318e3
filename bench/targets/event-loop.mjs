import { runPlan } from '../../dist/bench/run.js';
import { spreadOf } from '../../dist/bench/statistics.js';
import { figure, printRun } from '../../dist/cli/bench/print.js';

const MOST_MS = 15;

/** How late the main thread comes to anything else while it does all it can, with a state machine that is quick and one that is slow. */
export const eventLoopRow = {
  name: 'event-loop',
  own: ['rate', 'apply-us', 'minutes'],
  measure:
    'event-loop delay p99 of main threads at full load, the worst node; state machines of 0 and 20 µs an entry',
  target: `≤ ${MOST_MS} ms`,
  async run(context) {
    const point = { payload: 128, batchBytesMax: 256 * 1024 };
    const data = {};
    const figures = [];
    const beside = [];
    for (const applyUs of [0, 20]) {
      const settings = context.settings({ ...point, applyUs });
      const plan = { settings, sides: ['cluster'], runs: context.runs };
      const { cluster } = await runPlan(plan, context.workspace, (run, result) =>
        printRun(context.output, settings, run, result),
      );
      const worst = spreadOf(cluster.map(({ loopDelayP99Ms }) => Math.max(...loopDelayP99Ms)));
      const met = worst.median <= MOST_MS;
      figures.push({
        name: `${applyUs} µs an entry, ms`,
        value: worst.median,
        low: worst.min,
        high: worst.max,
        met,
      });
      const leader = spreadOf(cluster.map(({ loopDelayP99Ms }) => loopDelayP99Ms[0])).median;
      const rate = spreadOf(cluster.map(({ entriesPerSecond }) => entriesPerSecond)).median;
      beside.push(
        `${applyUs} µs an entry: ${figure(rate)} entries/s, the leader's own delay ${figure(leader)} ms`,
      );
      data[applyUs] = cluster;
    }
    return { figures, settings: context.settings(point), beside, data };
  },
};
