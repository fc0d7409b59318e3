import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startCluster } from '../../dist/bench/cluster.js';
import { arrived } from '../../dist/bench/measure.js';
import { sleep } from '../../dist/bench/processes.js';
import { runOnce } from '../../dist/bench/run.js';
import { slopeOf } from '../../dist/bench/statistics.js';
import { figure } from '../../dist/cli/bench/print.js';
import { segmentNumber } from '../../dist/wal/format.js';

const LOAD = 0.8;
const EVERY_MS = 1000;
const PROGRESS_MS = 60_000;
/** The first part of the time is for pools, caches and the compiler to fill. */
const SETTLED_FROM = 1 / 3;
/** A sawtooth is judged by the lowest of so many samples, what is left after a collection; of fewer in a short soak. */
const TOOTH = { most: 15, least: 3 };
/** Fewer lows make no slope. */
const LOWS = 8;
const MiB = 1024 * 1024;
/** What a slope may be and still be called flat, MiB an hour, beyond twice its own uncertainty. */
const FLAT = { rss: 16, heap: 8 };
const STOP_TIMEOUT_MS = 120_000;
/** Half an hour at full load would write 100 to 150 GB. Of each node's log the newest so many segments stay; nobody reads the others. */
const SEGMENTS_KEPT = 16;

export const soakRow = {
  name: 'soak',
  own: ['rate', 'runs'],
  measure: 'slope of RSS and heap of every node at 80 % load (--minutes, 30 by default)',
  target: `flat: below ${FLAT.rss} and ${FLAT.heap} MiB/h beyond the slope's own uncertainty`,
  async run(context) {
    const point = { payload: 128, batchBytesMax: 256 * 1024 };
    const full = await runOnce(
      'cluster',
      { settings: context.settings(point), threads: {} },
      context.workspace,
    );
    const rate = Math.floor(LOAD * full.entriesPerSecond);
    const settings = { ...context.settings({ ...point, rate }), seconds: context.minutes * 60 };
    context.output.line(
      `full load: ${figure(full.entriesPerSecond)} entries/s; soaking at ${figure(rate)} for ${context.minutes} min`,
    );
    const { samples, names } = await soak(context, settings);
    const figures = names.flatMap((name, node) =>
      ['rss', 'heap'].map((what) =>
        slopeFigure(
          name,
          what,
          samples.map(({ atMs, nodes }) => [atMs, nodes[node][what]]),
        ),
      ),
    );
    const last = samples[samples.length - 1];
    const beside = names.map((name, node) => {
      const { entries, rss, heap } = last.nodes[node];
      return `${name} at the end: ${figure(entries)} entries, RSS ${figure(rss / MiB)} MiB, heap ${figure(heap / MiB)} MiB`;
    });
    return { figures, settings, beside, data: { full, samples } };
  },
};

async function soak(context, settings) {
  const { workspace, output } = context;
  const side = await startCluster(settings, workspace);
  const nodes = [side.leader, ...side.followers];
  await side.leader.ask('load', { ...settings, groupIds: [1] });
  const startMs = performance.now();
  const samples = [];
  let told = 0;
  while (performance.now() - startMs < settings.seconds * 1000) {
    await sleep(EVERY_MS);
    const found = await Promise.all(nodes.map((node) => node.ask('sample', {})));
    const atMs = performance.now() - startMs;
    const failure = found[0].failure;
    if (failure !== undefined) throw new Error(`soak: ${failure}`);
    samples.push({
      atMs,
      nodes: found.map(({ rssBytes, heapBytes, entries }) => ({ rss: rssBytes, heap: heapBytes, entries })),
    });
    if (Math.floor(atMs / PROGRESS_MS) === told) continue;
    told = Math.floor(atMs / PROGRESS_MS);
    const text = found
      .map(({ rssBytes, heapBytes }) => `${figure(rssBytes / MiB)}/${figure(heapBytes / MiB)}`)
      .join(' ');
    forgetOldSegments(workspace.root);
    output.line(`  ${told} min: ${figure(found[0].entries)} entries, RSS/heap by node ${text} MiB`);
  }
  await arrived(side, await side.leader.ask('stop', {}, STOP_TIMEOUT_MS));
  await side.close();
  return { samples, names: nodes.map((_, at) => (at === 0 ? 'leader' : `follower ${at}`)) };
}

/** In each data directory below `root`. */
export function forgetOldSegments(root) {
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const directory = join(root, entry.name);
    const segments = readdirSync(directory).filter((name) => segmentNumber(name) !== undefined);
    for (const name of segments.sort().slice(0, -SEGMENTS_KEPT)) rmSync(join(directory, name));
  }
}

function slopeFigure(node, what, series) {
  const settled = series.slice(Math.floor(series.length * SETTLED_FROM));
  const tooth = Math.max(TOOTH.least, Math.min(TOOTH.most, Math.floor(settled.length / LOWS)));
  const low = [];
  for (let at = 0; at + tooth <= settled.length; at += tooth) {
    low.push(settled.slice(at, at + tooth).reduce((least, each) => (each[1] < least[1] ? each : least)));
  }
  const { slope, error } = slopeOf(low.map(([ms, bytes]) => [ms / 3_600_000, bytes / MiB]));
  const name = `${node}, ${what}, MiB/h`;
  return {
    name,
    value: slope,
    low: slope - 2 * error,
    high: slope + 2 * error,
    met: low.length >= LOWS && slope - 2 * error <= FLAT[what],
  };
}
