import { writeFileSync } from 'node:fs';
import { joinedSettings } from '../../bench/joined.js';
import type { RunResult } from '../../bench/measure.js';
import { PIPE_WINDOW_BYTES_MAX } from '../../bench/pipe/memory.js';
import { pipeWindowBytes } from '../../bench/pipe/pipe.js';
import { Workspace } from '../../bench/processes.js';
import { RESULTS_VERSION, type Results } from '../../bench/results.js';
import { type Plan, runPlan, unmeasured } from '../../bench/run.js';
import { type BenchSettings, pipeDepth } from '../../bench/settings.js';
import { type CommandShape, type Flag, usageError } from '../arguments.js';
import { ExitCode, failureOf } from '../failure.js';
import { Output } from '../output.js';
import {
  BenchArguments,
  CONCURRENCY_FLAG,
  LOAD_FLAGS,
  NODES_FLAG,
  OUTPUT_FLAGS,
  POINT_FLAGS,
  type Point,
  SIDE_NOTES,
} from './flags.js';
import { printChanges, printRun, printSubject, printSummary } from './print.js';

const CLUSTER_FLAGS = [
  NODES_FLAG,
  { name: 'groups', value: 'N', help: 'replication groups, loaded evenly (default 1)' },
  {
    name: 'clients',
    value: 'in-process|remote',
    help: 'who proposes (default in-process, beside the leader)',
  },
  { name: 'client-processes', value: 'N', help: 'processes of remote clients (default 1)' },
  {
    name: 'peer',
    value: 'ID=HOST:PORT',
    repeated: true,
    help: 'load a cluster that runs already, by remote clients',
  },
  {
    name: 'with-limit',
    help: 'measure the bare pipe of this machine in the same run, and the ratio (both at depth 8 unless told)',
  },
] as const;

export const benchClusterShape: CommandShape = {
  name: 'bench cluster',
  summary: 'measures a cluster: throughput, latency, what it costs',
  flags: [...POINT_FLAGS, CONCURRENCY_FLAG, ...CLUSTER_FLAGS, ...LOAD_FLAGS, ...OUTPUT_FLAGS],
  notes: SIDE_NOTES,
};

const MiB = 1024 * 1024;

/** What the bare pipe has otherwise than a cluster, and what it has not. */
const LIMIT_FLAGS: Readonly<Record<string, Flag | undefined>> = {
  depth: { name: 'depth', value: 'N', help: 'batches in flight (default 8)' },
  compression: { name: 'compression', value: 'lz4|none', help: 'of the batches (default lz4)' },
  rate: undefined,
  threads: undefined,
  'apply-us': undefined,
};

export const benchLimitShape: CommandShape = {
  name: 'bench limit',
  summary: 'measures the bare pipe: what this machine gives to the same bytes without Raft',
  flags: [...POINT_FLAGS, CONCURRENCY_FLAG, ...LOAD_FLAGS, ...OUTPUT_FLAGS].flatMap((flag) =>
    flag.name in LIMIT_FLAGS ? (LIMIT_FLAGS[flag.name] ?? []) : flag,
  ),
  notes: [
    'Three processes with the same threads, rings, codec, streams, files and syncs; no Raft and no applying.',
    ...SIDE_NOTES.slice(1),
  ],
};

export async function benchCluster(args: readonly string[]): Promise<ExitCode> {
  const given = new BenchArguments(benchClusterShape, args);
  const servers = given.peers();
  const joins = Object.keys(servers).length > 0;
  const settings: BenchSettings = {
    ...given.settings(
      pointOf(given),
      given.integer('nodes', 1, 15) ?? 3,
      given.integer('groups', 1, 64) ?? 1,
    ),
    clients: given.choice('clients', ['in-process', 'remote'], joins ? 'remote' : 'in-process'),
    clientProcesses: given.integer('client-processes', 1, 64) ?? 1,
  };
  refuseCombinations(given, settings, joins);
  const sides: Plan['sides'] = given.flag('with-limit') ? ['pipe', 'cluster'] : ['cluster'];
  if (!joins) return run('cluster', given, { settings, sides, runs: given.runs() });
  const seen = await joinedSettings(settings, servers);
  return run('cluster', given, { settings: seen, sides, runs: given.runs(), servers });
}

export function benchLimit(args: readonly string[]): Promise<ExitCode> {
  const given = new BenchArguments(benchLimitShape, args);
  const point = given.point();
  const settings = given.settings({ ...point, depth: pipeDepth(point) });
  given.choice('compression', ['lz4', 'none'], 'lz4');
  refuseWindow(settings);
  return run('limit', given, { settings, sides: ['pipe'], runs: given.runs() });
}

/** Beside the pipe, which finds no depth by itself, both have the same one. */
function pointOf(given: BenchArguments): Point {
  const point = given.point();
  return given.flag('with-limit') && given.text('depth') === undefined
    ? { ...point, depth: pipeDepth({ depth: 'auto' }) }
    : point;
}

/** What would be measured otherwise than the flags say. */
function refuseCombinations(given: BenchArguments, settings: BenchSettings, joins: boolean): void {
  if (joins) {
    if (settings.clients === 'in-process')
      throw usageError("--clients: expected remote for the cluster at --peer, received 'in-process'");
    for (const name of [
      'nodes',
      'followers-delay',
      'depth',
      'batch',
      'compression',
      'durability',
      'threads',
      'apply-us',
    ] as const) {
      if (given.text(name) !== undefined) {
        throw usageError(`--${name}: the cluster at --peer runs already and has its own`);
      }
    }
  }
  if (settings.clients === 'in-process' && given.text('client-processes') !== undefined)
    throw usageError('--client-processes: only with --clients remote');
  const { clientProcesses, concurrency } = settings;
  if (clientProcesses > concurrency)
    throw usageError(
      `--client-processes: expected at most one for each of ${concurrency} entries outstanding (--concurrency), received ${clientProcesses}`,
    );
  if (!given.flag('with-limit')) return;
  if (joins) throw usageError('--with-limit: the pipe is of this machine, the cluster at --peer may not be');
  const different: [boolean, string][] = [
    [settings.nodes !== 3, '--nodes'],
    [settings.groups !== 1, '--groups'],
    [settings.clients !== 'in-process', '--clients'],
    [settings.rate !== undefined, '--rate'],
    [settings.compression !== 'lz4' && settings.compression !== 'none', '--compression'],
    [settings.applyUs !== 0, '--apply-us'],
  ];
  for (const [differs, name] of different) {
    if (differs)
      throw usageError(
        `${name}: the bare pipe has three nodes, one group, LZ4 or none, a closed loop inside the leader, and applies nothing`,
      );
  }
  refuseWindow(settings);
}

/** What the rings of the bare pipe have no room for. */
function refuseWindow(settings: BenchSettings): void {
  const mib = Math.ceil(pipeWindowBytes(settings) / MiB);
  const max = PIPE_WINDOW_BYTES_MAX / MiB;
  if (mib > max)
    throw usageError(
      `--depth, --batch, --concurrency: expected at most ${max} MiB under way in the bare pipe, received ${mib} MiB`,
    );
}

async function run(benchmark: 'cluster' | 'limit', given: BenchArguments, plan: Plan): Promise<ExitCode> {
  const before = given.base([plan]);
  const json = given.resultsFile();
  const output = new Output();
  const workspace = new Workspace(given.directory(), given.profileDirectory());
  try {
    const subject = printSubject(output, workspace.root, [plan.settings]);
    const { seconds, warmupSeconds } = plan.settings;
    output.line(
      `${plan.runs} × ${plan.sides.join(' and ')}, ${seconds} s after ${warmupSeconds} s of warm-up\n`,
    );
    const measured = unmeasured(plan.settings);
    const onRun = (number: number, result: RunResult): void =>
      printRun(output, plan.settings, number, result);
    const failure = await failureOf(runPlan(plan, workspace, onRun, measured));
    if (measured.cluster.length + measured.pipe.length === 0) throw failure;
    printSummary(output, measured);
    const results: Results = {
      benchmark,
      version: RESULTS_VERSION,
      ...subject,
      measured: [measured],
    };
    writeResults(output, json, results);
    if (before !== undefined && failure === undefined) printChanges(output, before, results);
    await output.flushed();
    if (failure !== undefined) throw failure;
    return ExitCode.Done;
  } finally {
    workspace.dispose();
  }
}

export function writeResults(output: Output, file: string | undefined, results: Results): void {
  if (file === undefined) return;
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
  output.line(`\nwritten: ${file}`);
}
