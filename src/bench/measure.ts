import { ErrorCode, RaftlineError } from '../base/errors.js';
import { groupIdsOf } from './cluster.js';
import type { DepthNow } from './depth.js';
import { Histogram, type Percentiles } from './histogram.js';
import { type LoadReport, sharesOf } from './load-report.js';
import type { NodeSample } from './node.js';
import { sleep, until } from './processes.js';
import type { BenchSettings } from './settings.js';
import type { Side } from './side.js';

/** For what is outstanding when a run ends, and for every node to hold all of it. */
export const CATCH_UP_TIMEOUT_MS = 60_000;

/** One run of one side. Lists have one figure a node, the leader's first. */
export interface RunResult {
  side: Side['name'];
  seconds: number;
  entriesPerSecond: number;
  mbPerSecond: number;
  latency: Percentiles;
  batchesPerSecond: number;
  entriesPerBatch: number;
  compressionRatio: number;
  syncsPerSecond: number[];
  /** Cores kept busy; empty where nodes do not tell. */
  cores: number[];
  /** Processor time of all nodes together for one entry, µs: moves less than the rates when others use the machine. 0: not known. */
  cpuUsPerEntry: number;
  rssBytes: number[];
  loopDelayP99Ms: number[];
  /** Entries that each follower had still to take at the end of the window. */
  behind: number[];
  /** Refused as overloaded, and proposed again. */
  overloaded: number;
  /** Of the first group, at the end of the window. */
  depth?: DepthNow;
}

interface Samples {
  nodes: NodeSample[];
  loaders: LoadReport[];
}

/** Loads one side for `warmupSeconds` + `seconds`, then sees to it that all of it arrived everywhere. */
export async function measure(side: Side, settings: BenchSettings): Promise<RunResult> {
  await startLoad(side, settings);
  await sleep(settings.warmupSeconds * 1000);
  const before = await sample(side);
  await sleep(settings.seconds * 1000);
  const after = await sample(side);
  const done = await Promise.all(
    side.loaders.map((loader) => loader.ask<number>('stop', {}, CATCH_UP_TIMEOUT_MS)),
  );
  await arrived(
    side,
    done.reduce((sum, each) => sum + each, 0),
  );
  return summary(side, settings, before, after);
}

async function startLoad({ loaders }: Side, settings: BenchSettings): Promise<void> {
  const { payload, data, seed, concurrency, rate } = settings;
  const load = { payload, data, rate: rate && rate / loaders.length, groupIds: groupIdsOf(settings) };
  const shares = sharesOf(concurrency, loaders.length);
  await Promise.all(
    loaders.map((loader, at) => loader.ask('load', { ...load, concurrency: shares[at], seed: seed + at })),
  );
}

/** Latencies start anew with each. */
async function sample({ leader, followers, loaders }: Side): Promise<Samples> {
  const ask = { latencies: true };
  const [nodes, remote] = await Promise.all([
    Promise.all([leader, ...followers].map((node) => node.ask<NodeSample>('sample', ask))),
    Promise.all(loaders.filter((each) => each !== leader).map((each) => each.ask<LoadReport>('sample', ask))),
  ]);
  return { nodes, loaders: loaders[0] === leader ? [nodes[0]!] : remote };
}

/** Every follower has all entries, and the same, within some time, ms: a run that lost or doubled one is no result. */
export async function arrived(
  side: Side,
  completed: number,
  withinMs: number = CATCH_UP_TIMEOUT_MS,
): Promise<void> {
  const all = [side.leader, ...side.followers];
  const samples = await until(`${completed} entries on every node`, withinMs, async () => {
    const found = await Promise.all(all.map((node) => node.ask<NodeSample>('sample', {})));
    return found.every(({ entries }) => entries >= completed) ? found : undefined;
  });
  const [{ digest }] = samples as [NodeSample];
  for (const found of samples) {
    if (found.entries === completed && found.digest === digest) continue;
    throw new RaftlineError(
      ErrorCode.Internal,
      `${side.name}: expected ${completed} entries with digest ${digest} on every node, received ${found.entries} with ${found.digest}`,
    );
  }
}

/** 0, which is not known, where no entry was done: what idle nodes take is the cost of none. */
export function cpuUsPerEntry(cores: readonly number[], entriesPerSecond: number): number {
  if (entriesPerSecond === 0) return 0;
  return (cores.reduce((sum, each) => sum + each, 0) * 1e6) / entriesPerSecond;
}

function summary(side: Side, settings: BenchSettings, before: Samples, after: Samples): RunResult {
  const [first, last] = [before.nodes[0]!, after.nodes[0]!];
  const failure = after.loaders.find((loader) => loader.failure !== undefined)?.failure;
  if (failure !== undefined) throw new RaftlineError(ErrorCode.Internal, `${side.name}: ${failure}`);
  if (first.terms !== last.terms) {
    throw new RaftlineError(ErrorCode.Internal, `${side.name}: the leader changed during the run`);
  }
  const rates = (of: (sample: NodeSample) => number): number[] =>
    before.nodes.map((start, at) => {
      const end = after.nodes[at]!;
      return ((of(end) - of(start)) * 1000) / (end.atMs - start.atMs);
    });
  const entriesPerSecond = rates(({ entries }) => entries)[0]!;
  const cores = rates(({ cpuMs }) => cpuMs / 1000);
  const batches = last.batches - first.batches;
  const refused = (samples: Samples): number =>
    samples.loaders.reduce((sum, { overloaded }) => sum + overloaded, 0);
  const latencies = new Histogram();
  for (const loader of after.loaders) if (loader.latencies !== undefined) latencies.add(loader.latencies);
  return {
    side: side.name,
    seconds: (last.atMs - first.atMs) / 1000,
    entriesPerSecond,
    mbPerSecond: (entriesPerSecond * settings.payload) / 1e6,
    latency: latencies.percentiles(),
    batchesPerSecond: rates((each) => each.batches)[0]!,
    entriesPerBatch: batches === 0 ? 0 : (last.entries - first.entries) / batches,
    compressionRatio: (last.rawBytes - first.rawBytes) / Math.max(1, last.storedBytes - first.storedBytes),
    syncsPerSecond: rates(({ syncs }) => syncs),
    cores,
    cpuUsPerEntry: cpuUsPerEntry(cores, entriesPerSecond),
    rssBytes: after.nodes.map(({ rssBytes }) => rssBytes),
    loopDelayP99Ms: after.nodes.map(({ loopDelayP99Ms }) => loopDelayP99Ms),
    behind: after.nodes.slice(1).map(({ entries }) => Math.max(0, last.entries - entries)),
    overloaded: refused(after) - refused(before),
    ...(last.depth === undefined ? {} : { depth: last.depth }),
  };
}
