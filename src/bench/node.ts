import { Engine } from '../engine/engine.js';
import type { EngineOptions } from '../engine/options.js';
import type { PipelineOptions } from '../engine/pipeline-options.js';
import type { CommittedBatch, StateMachine } from '../engine/state-machine.js';
import { serveParent } from './child.js';
import { type DataSettings, makePool } from './data.js';
import { type DepthNow, depthOf } from './depth.js';
import type { LoadReport } from './load-report.js';
import { inTurn, LoadRunner, type LoadSettings } from './load-report.js';

/** One member of the benchmark's cluster; on the leader the client as well. */

/** What a node is told to open. */
export interface NodeSettings extends Omit<EngineOptions, 'groups' | 'dataDirectory'> {
  /** How long its state machines work on an entry, by the clock, µs. */
  applyUs: number;
  /** Data directory; goes with the process. */
  directory: string;
  groupIds: readonly number[];
}

/** What a node says of itself. */
export interface NodeSample extends LoadReport {
  atMs: number;
  cpuMs: number;
  rssBytes: number;
  rssMax: number;
  heapBytes: number;
  loopDelayP99Ms: number;
  /** Applied here, all groups. */
  entries: number;
  /** Of what was applied, in its order, all groups. */
  digest: number;
  syncs: number;
  bytesWritten: number;
  batches: number;
  rawBytes: number;
  storedBytes: number;
  /** Sum of the groups' terms: a leader that changed shows. */
  terms: number;
  /** Of a leader. */
  depth?: DepthNow;
}

/** Touches every entry; the digest depends on their order, so replicas can be compared. */
class Digest implements StateMachine {
  entries = 0;
  value = 0;
  readonly #applyMs: number;

  constructor(applyUs: number) {
    this.#applyMs = applyUs / 1000;
  }

  apply(batch: CommittedBatch): undefined {
    let { value } = this;
    batch.scan((payload, start, end) => {
      const length = end - start;
      value = (Math.imul(value, 31) + length) | 0;
      if (length > 0)
        value = (value + payload[start]! + payload[start + (length >> 1)]! * 7 + payload[end - 1]!) | 0;
    });
    this.value = value;
    if (this.#applyMs > 0) work(this.#applyMs * batch.count);
    this.entries += batch.count;
  }
}

/** Keeps a thread busy, by the clock: waiting for a core counts. */
function work(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

let engine: Engine | undefined;
let machines: Digest[] = [];
const load = new LoadRunner();

async function open({ groupIds, directory, applyUs, ...options }: NodeSettings): Promise<void> {
  machines = groupIds.map(() => new Digest(applyUs));
  const groups = groupIds.map((id, at) => ({ id, stateMachine: machines[at]! }));
  engine = await Engine.open({ ...options, dataDirectory: directory, groups });
  engine.on('fatal', (error) => {
    process.stderr.write(`node ${options.id}: ${error.stack}\n`);
    process.exit(1);
  });
}

/** Undefined unless it leads every group and streams to every follower. */
function ready(): { threads: Record<string, string[]>; address: string } | undefined {
  const { groups, threads, address } = engine!.status();
  const leads = groups.every(
    ({ role, commitIndex, lastIndex, followers }) =>
      role === 'leader' &&
      commitIndex === lastIndex &&
      followers.every((follower) => follower.state === 'replicate'),
  );
  return leads ? { threads, address } : undefined;
}

/** Until then leaders may use LZ4 and no more, whatever their option says. */
async function allowCompression({ level }: { level: number }): Promise<void> {
  const ids = engine!.status().groups.map(({ group }) => group);
  await Promise.all(ids.map((id) => engine!.group(id).setCompressionLevel(level)));
}

function start(settings: LoadSettings & DataSettings & { groupIds: readonly number[] }): void {
  const groups = settings.groupIds.map((id) => engine!.group(id));
  const proposers = groups.map((group) => (bytes: Buffer) => group.propose(bytes));
  load.start(inTurn(proposers), makePool(settings), settings);
}

function nodeSample(args: { latencies?: boolean }): NodeSample {
  const { disk, encoder, groups } = engine!.status();
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    ...own(),
    ...load.report(args.latencies === true),
    entries: sum(machines.map(({ entries }) => entries)),
    digest: sum(machines.map(({ value }) => value)) | 0,
    syncs: disk.syncs,
    bytesWritten: disk.bytesWritten,
    batches: encoder.batches,
    rawBytes: encoder.rawBytes,
    storedBytes: encoder.storedBytes,
    terms: sum(groups.map(({ term }) => term)),
    ...depthOf(groups[0]),
  };
}

const own = serveParent({
  open,
  ready,
  allowCompression,
  load: start,
  sample: nodeSample,
  status: () => engine!.status(),
  tune: (pipeline: PipelineOptions) => engine!.tune(pipeline),
  stop: () => load.stop(),
  finish: () => load.finish(),
  close: () => engine?.close(),
});
