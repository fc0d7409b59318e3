import { runPlan } from '../../dist/bench/run.js';
import { spreadOf } from '../../dist/bench/statistics.js';
import { figure, printRun } from '../../dist/cli/bench/print.js';

const NODES = [3, 5, 7];
const PAYLOAD = 1024;
/** Low enough for seven processes on two cores. */
const RATE = 4000;
/** Of the rate; below it the machine, and not the rate, says how much is done. */
const REACHED = 0.95;
const EACH_MOST = 0.15;

/** What a follower costs its leader: the batch is encoded and compressed once, so it should be little. */
export const addedNodesRow = {
  name: 'cpu-per-node',
  own: ['minutes'],
  measure: `leader's CPU per MB committed, 3 → 5 → 7 nodes at one rate, ${PAYLOAD} B: what a follower adds`,
  target: `≤ ${EACH_MOST} of the three-node figure`,
  async run(context) {
    const settings = (nodes) =>
      context.settings({ payload: PAYLOAD, batchBytesMax: 256 * 1024, rate: context.rate ?? RATE, nodes });
    const costs = Object.fromEntries(NODES.map((nodes) => [nodes, []]));
    const data = [];
    for (let run = 1; run <= context.runs; run++) {
      for (const nodes of NODES) {
        const plan = { settings: settings(nodes), sides: ['cluster'], runs: 1 };
        const { cluster } = await runPlan(plan, context.workspace, (_, result) =>
          printRun(context.output, plan.settings, run, result),
        );
        const [result] = cluster;
        costs[nodes].push((result.cores[0] * 1000) / result.mbPerSecond);
        data.push({ nodes, result });
      }
    }
    const rate = settings(3).rate;
    const short = data.filter(({ result }) => result.entriesPerSecond < REACHED * rate);
    const warnings = short.map(
      ({ nodes, result }) =>
        `NOT AT ONE RATE: ${figure(result.entriesPerSecond)} of ${rate} entries/s with ${nodes} nodes`,
    );
    const added = (more) => costs[more].map((cost, at) => (cost - costs[3][at]) / (more - 3) / costs[3][at]);
    const figures = NODES.slice(1).map((nodes) => {
      const { median, min, max } = spreadOf(added(nodes));
      return {
        name: `each follower of ${nodes} nodes`,
        value: median,
        low: min,
        high: max,
        met: median <= EACH_MOST,
      };
    });
    const text = NODES.map(
      (nodes) => `${nodes} nodes: ${figure(spreadOf(costs[nodes]).median)} ms of CPU a MB`,
    );
    const beside = [`the leader's process, client included: ${text.join(', ')}`, ...warnings];
    return { figures, settings: settings(3), beside, data: { runs: data, costs } };
  },
};
